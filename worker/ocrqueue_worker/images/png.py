"""Small pictures as PNG (ISO/IEC 15948), for speed."""

from __future__ import annotations

import zlib
from io import BytesIO
from struct import pack
from typing import Final

from PIL.Image import Image
from PIL.PngImagePlugin import putchunk

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES: Final = {"L": 0, "RGB": 2}
_UNFILTERED: Final = b"\0"
"""The filter of a row. Pillow tries all five for each, which takes as long as the compression of a word's picture, and
makes it no smaller: measured on 900 words of photographed receipts."""


def encode_png(image: Image) -> bytes:
    """Of an image in mode "L" or "RGB": about 0.03 ms for 100 x 40 pixels of grey. Raises KeyError for other modes."""
    width, height = image.size
    rows, row = image.tobytes(), width * len(image.getbands())
    filtered = b"".join(_UNFILTERED + rows[at : at + row] for at in range(0, len(rows), row))
    buffer = BytesIO(_SIGNATURE)
    buffer.seek(len(_SIGNATURE))
    putchunk(buffer, b"IHDR", pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[image.mode], 0, 0, 0))
    putchunk(buffer, b"IDAT", zlib.compress(filtered, level=1))
    putchunk(buffer, b"IEND")
    return buffer.getvalue()
