"""Files of so many tiny parts that a decoder would be busy with them for minutes, or fill its memory.

Time limits would end such a job too, but only after minutes: they do not interrupt one call of a C library.
"""

from __future__ import annotations

import re
from typing import Final

from ocrqueue.document.signatures import ImageFormat

_MAX_SCANS: Final = 500
"""Of a JPEG; as TurboJPEG's TJFLAG_LIMITSCANS. Encoders write about ten. An empty one takes 12 bytes of a file and, at
72 megapixels, 7 ms of decoding."""

_MAX_PARTS: Final = 100_000
"""Segments of a JPEG, and chunks of a PNG besides its pixels. Pillow keeps each in Python: 10 MB of empty ones take
10 s and 300 MiB. An ICC profile of 16 MB, the longest that a JPEG can hold, has 256."""

_JPEG_MARKER: Final = re.compile(rb"\xff([^\0\1\xff\xd0-\xd7])", re.DOTALL)
"""One with a length after it. In a scan, 0xff is followed by 0 or is part of a restart marker (ITU-T T.81, B.1.1.5).
Fill bytes are counted apart: a pattern of all of them takes quadratic time where no marker follows."""


def flood(kind: ImageFormat, data: bytes) -> str | None:
    """What a JPEG or PNG has too many of, as part of a sentence; None where nothing.

    The pages of the other formats are counted on their own, and so are the blocks of a GIF.
    """
    match kind:
        case "JPEG":
            return _jpeg_flood(data)
        case "PNG":
            return _png_flood(data)
    return None


def _jpeg_flood(data: bytes) -> str | None:
    scans, parts, at = 0, 0, 2
    while (marker := _JPEG_MARKER.search(data, at)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        before = data[at : marker.end() - 1]
        parts += len(before) - len(before.rstrip(b"\xff"))  # Pillow takes fill bytes one at a time
        if scans > _MAX_SCANS:
            return f"more than {_MAX_SCANS} scans"
        if parts > _MAX_PARTS:
            return f"more than {_MAX_PARTS} segments and fill bytes"
        at = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2], "big"))
    return None


def _png_flood(data: bytes) -> str | None:
    parts, at = 0, 8
    while at < len(data):
        parts += data[at + 4 : at + 8] != b"IDAT"
        if parts > _MAX_PARTS:
            return f"more than {_MAX_PARTS} chunks besides its pixels"
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None
