"""A page of a TIFF as Pillow's image, in codings too that Pillow does not know of TIFF."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image, ImageChops

from ocrqueue.document.formats.resolution import DECODER_ERRORS
from ocrqueue_worker.images.levels import as_unsigned
from ocrqueue_worker.images.tiff_parts import part_decoder
from ocrqueue_worker.images.tiff_structure import (
    first_directory,
    tiff_tags,
    with_part_of_values,
    with_single_values,
    with_values,
)

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_CHANNELS, _PLANAR, _PREDICTOR, _EXTRAS, _SAMPLE_FORMAT = 277, 284, 317, 338, 339
_STRIPS: Final = (273, 279, 278)
_TILES: Final = (324, 325, 323)
"""Offsets, sizes, and rows of each."""
_TILE_WIDTH: Final = 322

_GREY_OR_RGB: Final = (0, 1, 2)
_PLANES: Final = 2
_MOST_PARTS: Final = 100_000
_LARGE_TILE: Final = 1 << 24
"""Pixels of a tile. A small page may be a part of one."""


def open_tiff(data: bytes) -> Image.Image:
    """The first page of `data`, its header read, its pixels not. Raises what Pillow does.

    Where Pillow refuses channels besides the colors, it is told that they mean nothing.
    """
    try:
        return Image.open(BytesIO(data), formats=["TIFF"])
    except DECODER_ERRORS:
        tags = tiff_tags(data, first_directory(data))
        if not any(tags.get(_EXTRAS, ())):
            raise
        return Image.open(BytesIO(with_values(data, {_EXTRAS: 0})), formats=["TIFF"])


def page_of_parts(data: bytes, max_pixels: int) -> Image.Image | None:
    """The first page of `data`, decoded, where its parts are coded as Pillow does not know of TIFF; else None.

    Raises what Pillow and imagecodecs do, DecompressionBombError where it has more than `max_pixels`.
    """
    tags = tiff_tags(data, first_directory(data), _MOST_PARTS)
    decode = part_decoder(data, tags)
    offsets, sizes, rows = _TILES if _TILES[0] in tags else _STRIPS
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    if decode is None or width * height < 1 or _one(tags, _PLANAR, 1) != 1:
        return None
    if width * height > max_pixels:
        raise Image.DecompressionBombError(f"{width} x {height} pixels")
    across = _one(tags, _TILE_WIDTH, width) if offsets == _TILES[0] else width
    down = min(_one(tags, rows, height), height) if offsets == _STRIPS[0] else _one(tags, rows, height)
    if across < 1 or down < 1 or across * down > max(max_pixels, _LARGE_TILE):
        return None
    page: Image.Image | None = None
    places = [(left, top) for top in range(0, height, down) for left in range(0, width, across)]
    for place, start, size in zip(places, tags.get(offsets, ()), tags.get(sizes, ()), strict=False):
        if start + size > len(data):
            raise OSError("image file is truncated")
        room = (across, down if offsets == _TILES[0] else min(down, height - place[1]))
        part = decode(data[start : start + size], room)
        if page is None:
            page = Image.new(part.mode, (width, height))
        page.paste(part if part.mode == page.mode else part.convert(page.mode), place)
    if len(places) > min(len(tags.get(offsets, ())), len(tags.get(sizes, ()))):
        raise OSError("image file is truncated")
    return page


def turned_over(image: Image.Image) -> Image.Image:
    """Of a page where white is 0: black as 0."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point([65535 - level for level in range(1 << 16)], "I")
    if image.mode in ("I", "F"):
        return image.convert("F").point(lambda level: level * -1.0 + 0.0)
    return ImageChops.invert(image) if image.mode == "L" else image


def is_misread(data: bytes) -> bool:
    """Whether Pillow reads the first page of `data` without a word, and wrong: planes of more than 8 bits."""
    tags = tiff_tags(data, first_directory(data))
    return _one(tags, _PLANAR, 1) == _PLANES and _one(tags, _CHANNELS, 1) > 1 and _one(tags, _BITS, 1) > 8


def grey_of_channels(data: bytes, max_pixels: int) -> Image.Image | None:
    """One channel of the first page of `data`, whose channels are of 16 or 32 bits; else None.

    It is the grey that has an alpha beside it, or of colors the green, in mode "I;16", "I" or "F". Pillow reads but one
    channel of such: side by side they all come as one that is so many times as wide, and are then parted; in planes of
    their own one is left.
    """
    tags = tiff_tags(data, first_directory(data), _MOST_PARTS)
    channels, bits = _one(tags, _CHANNELS, 1), set(tags.get(_BITS, ()))
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    if not (2 <= channels <= 5 and bits in ({16}, {32}) and 0 < width * height * channels <= 4 * max_pixels):
        return None
    if _one(tags, _PHOTOMETRIC, 1) not in _GREY_OR_RGB:
        return None
    form, chosen = _one(tags, _SAMPLE_FORMAT, 1), 1 if channels > 2 else 0
    changes = {_CHANNELS: 1, _PHOTOMETRIC: 1, _BITS: min(bits), _SAMPLE_FORMAT: form, _PLANAR: 1}
    if _one(tags, _PLANAR, 1) == _PLANES:
        parts = len(tags.get(_TILES[0]) or tags.get(_STRIPS[0]) or ()) // channels
        for tag in (*_STRIPS[:2], *_TILES[:2]):
            data = with_part_of_values(data, tag, chosen * parts, parts)
        return _loaded(with_single_values(data, changes, _EXTRAS), form)
    if _one(tags, _PREDICTOR, 1) != 1:
        return None
    changes |= {_WIDTH: width * channels, _TILE_WIDTH: _one(tags, _TILE_WIDTH, 0) * channels}
    return _every(_loaded(with_single_values(data, changes, _EXTRAS), form), channels, chosen)


def _loaded(data: bytes, form: int) -> Image.Image:
    image = Image.open(BytesIO(data), formats=["TIFF"])
    image.load()
    return as_unsigned(image) if form == 1 else image


def _every(image: Image.Image, step: int, first: int) -> Image.Image:
    """The columns `first`, `first` + `step` and so on."""
    size = (image.width // step, image.height)
    return image.transform(size, Image.Transform.AFFINE, (step, 0, first - step / 2 + 0.5, 0, 1, 0))


def _one(tags: dict[int, tuple[int, ...]], tag: int, otherwise: int) -> int:
    values = tags.get(tag)
    return values[0] if values else otherwise
