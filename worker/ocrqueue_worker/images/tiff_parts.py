"""Strips and tiles of a TIFF that are coded as Pillow does not know of TIFF: files of other formats, and LERC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import Final

from PIL import Image

from ocrqueue_worker.images import codecs
from ocrqueue_worker.images.jpeg_structure import jpeg_structure
from ocrqueue_worker.images.tiff_structure import first_directory, tiff_bytes

Tags = Mapping[int, tuple[int, ...]]
Decode = Callable[[bytes, tuple[int, int]], Image.Image]
"""Of a part's bytes, and its width and height as the TIFF states them."""

_BITS, _COMPRESSION, _PHOTOMETRIC, _CHANNELS, _PREDICTOR, _SAMPLE_FORMAT = 258, 259, 262, 277, 317, 339
_JPEG_TABLES, _LERC_PARAMETERS = 347, 50674
_JPEG, _LERC, _JPEG_XL, _YCBCR_JPEG2000 = 7, 34887, (50002, 52546), 33003
_WHOLE_FILES: Final = {
    50001: "WEBP",
    34927: "WEBP",
    34712: "JPEG2000",
    33003: "JPEG2000",
    33005: "JPEG2000",
    34933: "PNG",
}
"""Compressions whose strips and tiles are each a file of a format that Pillow reads."""
_KINDS: Final = {1: "u", 2: "i", 3: "f"}


def part_decoder(data: bytes, tags: Tags) -> Decode | None:
    """What decodes the parts of the first page of `data`; None where Pillow reads it as a TIFF, or nobody does.

    Raises ImageUnsupported where imagecodecs is not installed.
    """
    compression = _one(tags, _COMPRESSION, 1)
    if compression in _WHOLE_FILES:
        return partial(_file, _WHOLE_FILES[compression], compression == _YCBCR_JPEG2000)
    if compression == _LERC and _one(tags, _PREDICTOR, 1) == 1:
        codecs.require("LERC in TIFF", "TIFF")
        return partial(_lerc, tags)
    if compression in _JPEG_XL:
        codecs.require("JPEG XL in TIFF", "TIFF")
        return _jpeg_xl
    if compression == _JPEG and set(tags.get(_BITS, (8,))) != {8}:
        codecs.require(f"{_one(tags, _BITS, 8)}-bit JPEG in TIFF", "TIFF")
        return partial(_jpeg, tiff_bytes(data, first_directory(data), _JPEG_TABLES))
    return None


def _file(kind: str, is_ycbcr: bool, data: bytes, size: tuple[int, int]) -> Image.Image:
    part: Image.Image = Image.open(BytesIO(data), formats=[kind])
    _check(part.size, size)
    part.load()
    return Image.merge("YCbCr", part.split()).convert("RGB") if is_ycbcr and part.mode == "RGB" else part


def _jpeg_xl(data: bytes, size: tuple[int, int]) -> Image.Image:
    stored = codecs.jpeg_xl_size(data)
    _check(stored, size)
    return codecs.decoded_jpeg_xl(data, stored)


def _jpeg(tables: bytes, data: bytes, size: tuple[int, int]) -> Image.Image:
    frame = jpeg_structure(data)
    _check((frame.width, frame.height), size)
    return codecs.decoded_jpeg(data, (frame.width, frame.height), frame.channels, frame.precision, tables)


def _lerc(tags: Tags, data: bytes, size: tuple[int, int]) -> Image.Image:
    channels, bits = _one(tags, _CHANNELS, 1), _one(tags, _BITS, 8)
    kind = f"{_KINDS[_one(tags, _SAMPLE_FORMAT, 1)]}{bits // 8}"
    if not 1 <= channels <= 4:
        raise ValueError(f"{channels} channels")
    packing = (tags.get(_LERC_PARAMETERS) or (0, 0))[1:2]
    shape = (size[1], size[0]) if channels == 1 else (size[1], size[0], channels)
    return codecs.decoded_lerc(data, shape, kind, packing[0] if packing else 0)


def _check(found: tuple[int, int], stated: tuple[int, int]) -> None:
    if found[0] > stated[0] or found[1] > stated[1]:
        raise ValueError("a part is larger than its place")


def _one(tags: Tags, tag: int, otherwise: int) -> int:
    values = tags.get(tag)
    return values[0] if values else otherwise
