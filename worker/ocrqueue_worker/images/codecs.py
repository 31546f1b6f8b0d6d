"""Codings that Pillow does not read, by imagecodecs. It is an extra, since it brings some fifty libraries.

Whoever calls has checked the size of the picture: a decoder writes into an array of that size, and refuses a file that
is of another one before it takes memory for its pixels.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from typing import Any, Final

from PIL import Image

from ocrqueue.errors import ImageUnsupported

_READ: Final = re.compile(r"(\d+-bit JPEG|lossless JPEG|JPEG-LS|LERC|JPEG XL)( in TIFF)?")
_FEW_LEVELS: Final = 64
"""Of 256, as levels.py has it; colors of fewer are read as grey, whose levels are stretched."""
_LERC_HEAD: Final = 4096
"""Bytes by which packed pixels may be longer than bare ones."""
_DEFLATE, _ZSTD = 1, 2
_JXL_CHANNELS: Final = ((), (3,), (4,), (2,))

Shape = tuple[int, ...]


def reads(coding: str) -> bool:
    """Whether imagecodecs reads the coding of this name, and is installed."""
    return is_for_codecs(coding) and find_spec("imagecodecs") is not None


def is_for_codecs(coding: str) -> bool:
    return _READ.fullmatch(coding) is not None


def require(coding: str, kind: str) -> None:
    """Raises ImageUnsupported where imagecodecs is not installed."""
    if not reads(coding):
        raise ImageUnsupported(
            f"The image is coded as {coding}, and this worker has no decoder for it.",
            remedy="pip install 'ocrqueue-worker[codecs]' on the workers, or save the image as PNG.",
            format=kind,
            coding=coding,
        )


def decoded_jpeg(data: bytes, size: tuple[int, int], channels: int, bits: int, tables: bytes = b"") -> Image.Image:
    """A JPEG of more than 8 bits or without loss; `tables` are those of a TIFF. Raises RuntimeError, ValueError."""
    import imagecodecs

    out = _room(size, () if channels == 1 else (channels,), bits)
    return _as_image(imagecodecs.jpeg8_decode(data, tables=tables or None, out=out), bits)


def decoded_jpeg_ls(data: bytes, size: tuple[int, int], channels: int, bits: int) -> Image.Image:
    import imagecodecs

    out = _room(size, () if channels == 1 else (channels,), bits)
    return _as_image(imagecodecs.jpegls_decode(data, out=out), bits)


def decoded_jpeg_xl(data: bytes, size: tuple[int, int]) -> Image.Image:
    """The first frame, upright. Raises OSError where data is missing."""
    import imagecodecs
    import numpy as np

    width, height = size
    # its head is packed by bits: channels and depth are tried, which costs a look at it each
    for kind, channels, shape in product(("u1", "u2", "f4"), _JXL_CHANNELS, {(height, width), (width, height)}):
        try:
            read = imagecodecs.jpegxl_decode(data, index=0, numthreads=1, out=np.empty((*shape, *channels), kind))
        except ValueError:
            continue
        except RuntimeError as error:
            if "NEED_MORE_INPUT" in str(error):
                raise OSError("image file is truncated") from error
            raise
        return _as_image(read, 16)
    raise ValueError("a layout of channels that is not read")


def decoded_lerc(data: bytes, shape: Shape, kind: str, packing: int) -> Image.Image:
    """A strip or tile of a TIFF in LERC, deflated or packed by Zstandard besides; `kind` is NumPy's name of a pixel."""
    import imagecodecs
    import numpy as np

    out = np.empty(shape, kind)
    if packing == _DEFLATE:
        data = zlib.decompressobj().decompress(data, out.nbytes + _LERC_HEAD)
    elif packing == _ZSTD:
        data = bytes(imagecodecs.zstd_decode(data, out=out.nbytes + _LERC_HEAD))
    return _as_image(imagecodecs.lerc_decode(data, out=out), 16)


def jpeg_xl_size(data: bytes) -> tuple[int, int]:
    """Width and height as they are stored. Raises ValueError where the head is cut off.

    ISO/IEC 18181-1, SizeHeader; 18181-2, the boxes.
    """
    stream = data if data.startswith(b"\xff\x0a") else _codestream(data)
    bits = _bits(stream[2:16])
    small = bits(1)
    height = 8 * (1 + bits(5)) if small else 1 + bits((9, 13, 18, 30)[bits(2)])
    ratio = bits(3)
    if ratio:
        across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * across // down, height
    return (8 * (1 + bits(5)) if small else 1 + bits((9, 13, 18, 30)[bits(2)])), height


def _codestream(data: bytes) -> bytes:
    for name, start in _boxes(data):
        if name in (b"jxlc", b"jxlp"):
            at = start + (4 if name == b"jxlp" else 0)
            return data[at : at + 64]
    raise ValueError("no codestream")


def _boxes(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The name of each, and where what is in it begins."""
    at = 0
    while at + 8 <= len(data):
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        yield data[at + 4 : at + 8], at + head
        at += max(length, head) if length else len(data)


def _bits(data: bytes) -> Any:
    """A function that gives the next so many bits, the lowest of a byte first."""
    left, count = int.from_bytes(data, "little"), 8 * len(data)

    def take(number: int) -> int:
        nonlocal left, count
        if number > count:
            raise ValueError("the head is cut off")
        taken, left, count = left & ((1 << number) - 1), left >> number, count - number
        return taken

    return take


def _room(size: tuple[int, int], channels: Shape, bits: int) -> Any:
    import numpy as np

    return np.empty((size[1], size[0], *channels), np.uint8 if bits <= 8 else np.uint16)


def _as_image(pixels: Any, bits: int) -> Image.Image:
    """Grey as "L", "I;16", "I" or "F"; colors as "RGB" or "RGBA", or one of them where all are next to black."""
    import numpy as np

    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        pixels = pixels << np.uint16(16 - bits)
    elif bits < 8:
        pixels = pixels << np.uint8(8 - bits)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels > 1 and pixels.dtype == np.uint16 and channels != 2 and int(pixels[..., :3].max()) >> 8 >= _FEW_LEVELS:
        pixels = (pixels >> 8).astype(np.uint8)
    if channels > 1 and pixels.dtype != np.uint8:
        pixels = np.ascontiguousarray(pixels[..., 1 if channels > 2 else 0])
    if pixels.dtype in (np.int8, np.int16, np.uint32):
        pixels = pixels.astype(np.int32 if pixels.dtype != np.uint32 else np.float32)
    return Image.fromarray(pixels.astype(np.float32) if pixels.dtype == np.float64 else pixels)
