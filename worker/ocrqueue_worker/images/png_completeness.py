"""Whether a PNG holds as many pixels as it announces: Pillow leaves what is missing black, without a word."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from PIL import Image

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By color type."""

_ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row of each pass, and the steps between its columns and rows (ISO/IEC 15948, 8.2)."""

PIECE: Final = 1 << 20


def may_be_short(image: Image.Image) -> bool:
    """Whether a loaded PNG looks as if its last rows were never written: a moment's look, for most say no."""
    last = (0, image.height - 1, image.width, image.height)
    return bool(image.info.get("interlace")) or image.crop(last).getbbox() is None


def png_data_is_short(data: bytes) -> bool:
    """Whether the compressed data of a PNG that Pillow has opened and loaded ends before its last row.

    Takes as long as decompressing: about 4 ms a megabyte of pixels.
    """
    width, height, depth, color_type, _, _, interlace = struct.unpack_from(">2L5B", data, 16)
    missing = data_size(width, height, depth, color_type, interlace)
    inflate = zlib.decompressobj()
    for piece in _pixel_data(data):
        found = inflate.decompress(piece, PIECE)
        while found:
            missing -= len(found)
            if missing <= 0:
                return False
            found = inflate.decompress(inflate.unconsumed_tail, PIECE)
    return True


def data_size(width: int, height: int, depth: int, color_type: int, interlace: int) -> int:
    """Bytes of all rows, each with the one that names its filter. Raises KeyError for a strange color type."""
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    return sum(
        _size(-(-(width - left) // across), -(-(height - top) // down), depth * _CHANNELS[color_type])
        for left, top, across, down in passes
        if left < width and top < height
    )


def row_size(width: int, depth: int, color_type: int) -> int:
    """Bytes of a row of a picture that is not interlaced."""
    return _size(width, 1, depth * _CHANNELS[color_type])


def _size(columns: int, rows: int, bits: int) -> int:
    """Bytes of the rows of a pass, each with the byte that names its filter."""
    return rows * (1 + -(-columns * bits // 8))


def _pixel_data(data: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            yield data[at + 8 : at + 8 + size]
        at += 12 + size
