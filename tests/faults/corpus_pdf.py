"""Mutations of PDFs: of the tree of pages, of boxes and streams, of what points where, and traps put into them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from random import Random
from typing import Final

from tests.faults.corpus_bytes import LARGE, Mutation
from tests.support.pdfs import stream_object

_ODD: Final = (b"0", b"-1", b"1e99", b"null", b"(a)", b"/n", b"[]", b"<<>>", b"99999 0 R", b"1 0 R", b"2147483648")
_TRAP: Final = b"trailer"


def _with(key: bytes, *values: bytes) -> Mutation:
    """One of the values in the place of what `key` has in some object, or beside the catalog's type where none has."""

    def mutate(chance: Random, data: bytes) -> bytes:
        value = chance.choice(values)
        found = list(re.finditer(re.escape(key) + rb"\s*(\[[^\]]*\]|\d+ \d+ R|/?[\w.-]+)", data))
        if not found:
            return data.replace(b"/Type /Catalog", b"/Type /Catalog " + key + b" " + value, 1)
        place = chance.choice(found)
        return data[: place.start()] + key + b" " + value + data[place.end() :]

    return mutate


def _with_object(entry: bytes, *objects: bytes) -> Mutation:
    """A new object, which the entry of every page refers to."""

    def mutate(chance: Random, data: bytes) -> bytes:
        made = b"77 0 obj\n%s\nendobj\n" % chance.choice(objects)
        pages = data.replace(b"/Type /Page ", b"/Type /Page %s 77 0 R " % entry)
        # nothing is where the table says: PDFium looks for it all
        return pages.replace(_TRAP, made + _TRAP, 1)

    return mutate


def offsets_wrong(chance: Random, data: bytes) -> bytes:
    return re.sub(rb"\d{10}(?= 00000 n)", lambda _: b"%010d" % chance.choice((0, 5, len(data), *LARGE)), data)


def without_table(chance: Random, data: bytes) -> bytes:
    start = data.rfind(b"xref\n0")
    return data[:start] + data[data.rfind(_TRAP) :] if chance.random() < 0.5 else data[:start]


def table_elsewhere(chance: Random, data: bytes) -> bytes:
    return re.sub(rb"startxref\n\d+", b"startxref\n%d" % chance.choice((0, 1, 10**9, 2**31, 2**63)), data)


def table_in_a_circle(chance: Random, data: bytes) -> bytes:
    start = data.rfind(b"xref\n0")
    return data.replace(b"/Size", b"/Prev %d /Size" % (start + chance.choice((0, 0, 1))), 1)


def objects_lost(chance: Random, data: bytes) -> bytes:
    found = list(re.finditer(rb"\d+ 0 obj.*?endobj\n", data, re.DOTALL))
    place = chance.choice(found)
    return data[: place.start()] + data[place.end() :]


def objects_renumbered(chance: Random, data: bytes) -> bytes:
    found = list(re.finditer(rb"(\d+) 0 obj", data))
    place = chance.choice(found)
    return data[: place.start()] + b"%d 0 obj" % chance.choice((0, 1, 2, 3, 10**7)) + data[place.end() :]


def lengths_wrong(chance: Random, data: bytes) -> bytes:
    return re.sub(rb"/Length \d+", lambda _: b"/Length %d" % chance.choice((0, 1, 7, *LARGE)), data)


def streams_garbled(chance: Random, data: bytes) -> bytes:
    return re.sub(
        rb"(stream\n)(.{20,}?)(\nendstream)",
        lambda found: found[1] + chance.randbytes(len(found[2])) + found[3],
        data,
        flags=re.DOTALL,
    )


def content_of_nonsense(chance: Random, data: bytes) -> bytes:
    words = (
        b"q",
        b"Q",
        b"BT",
        b"ET",
        b"re",
        b"f",
        b"W",
        b"n",
        b"Do",
        b"/Im0",
        b"/F1",
        b"cm",
        b"sh",
        b"BI",
        b"ID",
        b"EI",
    )
    numbers = (b"0", b"1", b"-1", b"1e9", b"99999999999", b"(x)", b"<<", b"[", b"]")
    content = b" ".join(chance.choice((*words, *numbers)) for _ in range(chance.choice((100, 5_000))))
    return _contents(data, stream_object(content))


def content_without_end(chance: Random, data: bytes) -> bytes:
    piece = chance.choice((b"q ", b"BT ", b"[ ", b"<< ", b"0 0 9 9 re f ", b"/F1 9 Tf (x) Tj ", b"1 0 0 1 1 1 cm "))
    packed = zlib.compress(piece * chance.choice((1_000, 60_000)), 9)
    return _contents(data, stream_object(packed, b"/Filter /FlateDecode"))


def packed_again_and_again(chance: Random, data: bytes) -> bytes:
    packed, depth = bytes(10_000_000), chance.choice((1, 3, 9))
    for _ in range(depth):
        packed = zlib.compress(packed, 9)
    return _contents(data, stream_object(packed, b"/Filter [%s]" % (b"/FlateDecode " * depth)))


def _contents(data: bytes, made: bytes) -> bytes:
    pointed = re.sub(rb"/Contents \d+ 0 R", b"/Contents 77 0 R", data)
    return pointed.replace(_TRAP, b"77 0 obj\n" + made + b"\nendobj\n" + _TRAP, 1)


PDF: Final[Mapping[str, Mutation]] = {
    "page tree": _with(b"/Kids", b"[2 0 R]", b"[2 0 R 2 0 R 2 0 R]", b"[1 0 R]", b"[]", b"[[[]]]", *_ODD),
    "page count": _with(b"/Count", b"1000000000", b"2", b"-2147483648", *_ODD),
    "parent": _with(b"/Parent", b"5 0 R", *_ODD),
    "media box": _with(b"/MediaBox", b"[0 0 1e9 1e9]", b"[0 0 1 1]", b"[0 0 14400 1]", b"[5 5 5 5]", *_ODD),
    "crop box": _with(b"/CropBox", b"[0 0 0 0]", b"[9999 9999 99999 99999]", b"[-9 -9 9 9]", *_ODD),
    "rotation": _with(b"/Rotate", b"91", b"-90", b"720", *_ODD),
    "contents": _with(b"/Contents", b"[1 0 R 2 0 R 3 0 R]", *_ODD),
    "resources": _with(b"/Font", *_ODD),
    "picture's size": _with(b"/Width", b"1", b"60000", *_ODD),
    "picture's colors": _with(b"/ColorSpace", b"/DeviceN", b"[/Indexed /DeviceRGB 255 (a)]", *_ODD),
    "filter": _with(b"/Filter", b"/JBIG2Decode", b"/JPXDecode", b"/LZWDecode", b"/ASCII85Decode", b"/None", *_ODD),
    "catalog": _with(b"/Pages", *_ODD),
    "root": _with(b"/Root", *_ODD),
    "encryption": _with(
        b"/Size", b"9 /Encrypt << /Filter /Standard /V 5 /R 6 /O (o) /U (u) /P -1 >>", b"9 /Encrypt 3 0 R"
    ),
    "script": _with(b"/OpenAction", b"<< /S /JavaScript /JS (while(1){}) >>", b"<< /S /Launch /F (/bin/sh) >>"),
    "attachment": _with(b"/Names", b"<< /EmbeddedFiles << /Names [(a) 1 0 R] /Kids [1 0 R] >> >>"),
    "form": _with(b"/AcroForm", b"<< /Fields [1 0 R 2 0 R] /XFA 3 0 R >>", b"<< /Fields [[[]]] /CO [1 0 R] >>", *_ODD),
    "notes": _with_object(
        b"/Annots",
        b"[77 0 R 77 0 R]",
        b"[<< /Subtype /Widget /Parent 77 0 R /Kids [77 0 R] /AP << /N 77 0 R >> >>]",
        b"[%s]" % (b"<< /Subtype /Link /Rect [0 0 9 9] >> " * 5_000),
    ),
    "offsets": offsets_wrong,
    "no table": without_table,
    "table elsewhere": table_elsewhere,
    "table in a circle": table_in_a_circle,
    "objects lost": objects_lost,
    "objects renumbered": objects_renumbered,
    "lengths": lengths_wrong,
    "streams garbled": streams_garbled,
    "nonsense": content_of_nonsense,
    "without end": content_without_end,
    "packed again": packed_again_and_again,
}
