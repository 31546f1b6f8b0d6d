"""PDFs of two pages that PDFium reads well. What copies all objects of the first into another PDF comes to its end."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from tests.support.hostile_images import WORD
from tests.support.pdfs import HELVETICA, stream_object, text_at

_FIRST: Final = 8
"""The number of the first object that is in the object stream."""

_PAGE: Final = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> "
)


def object_chain(length: int = 60_000) -> bytes:
    """Beside its text the page has an object, which has an object, and so on: too deep for recursion.

    An object stream has 65,536 of them at most here."""
    numbers = range(_FIRST, _FIRST + length)
    return _page_with([*(b"<< /N %d 0 R >>" % (number + 1) for number in numbers[:-1]), b"<< >>"])


def object_bomb(numbers: int = 20_000_000) -> bytes:
    """A few kilobytes, and an array that takes gigabytes."""
    return _page_with([b"[%s]" % (b"1 " * numbers)])


def _page_with(private: list[bytes]) -> bytes:
    """What the first has beside the word is in an object stream, compressed twice (ISO 32000-1, 7.5.7)."""
    places, at = [], 0
    for number, made in enumerate(private, _FIRST):
        places.append(b"%d %d " % (number, at))
        at += len(made) + 1
    head = b"".join(places)
    packed = zlib.compress(zlib.compress(head + b"\n".join(private), 9), 9)
    entries = b"/Type /ObjStm /N %d /First %d /Filter [/FlateDecode /FlateDecode] " % (len(private), len(head))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R 6 0 R] /Count 2 >>",
        _PAGE + b"/PieceInfo %d 0 R >>" % _FIRST,
        stream_object(text_at(60, 700, WORD)),
        HELVETICA,
        _PAGE + b">>",
        stream_object(packed, entries),
    ]
    written, rows = bytearray(b"%PDF-1.7\n"), [struct.pack(">BLH", 0, 0, 65535)]
    for number, made in enumerate(objects, 1):
        rows.append(struct.pack(">BLH", 1, len(written), 0))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, made)
    rows += [struct.pack(">BLH", 2, len(objects), index) for index in range(len(private))]
    start, number = len(written), _FIRST + len(private)
    rows.append(struct.pack(">BLH", 1, start, 0))
    table = b"/Type /XRef /Size %d /W [1 4 2] /Root 1 0 R /Filter /FlateDecode " % (number + 1)
    written += b"%d 0 obj\n%s\nendobj\n" % (number, stream_object(zlib.compress(b"".join(rows), 9), table))
    return bytes(written) + b"startxref\n%d\n%%%%EOF\n" % start
