"""A font without shapes, in which a PDF's invisible text is set: characters have a box and a meaning.

Its TrueType file holds two glyphs, half and fully as wide as high, so a PDF of any script carries 700 bytes of it.
Their outline is a line there and back: it has no area, and from its extent pdfium tells where a character is. Every
character of the document gets a code of its own (a base with its marks is one); ToUnicode says what each code means.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterator
from typing import Final

UNITS: Final = 1000
ASCENT: Final = 800
DESCENT: Final = -200
"""Together one unit of the font's size: a word's box is as high as its font size, and begins 0.2 of it below."""
_MOST_CODES: Final = 0xFFFF
_RANGE: Final = 100
"""Entries of one block of a CMap, as Adobe limits it."""
_JOINERS: Final = "\u200c\u200d"
_HALF: Final = 500


class Codes:
    """The codes of what was written so far, from 1 on."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def of(self, cluster: str) -> int:
        """The cluster's code; that of U+FFFD when all are given away, after 65,534 different ones."""
        code = self._codes.get(cluster)
        if code is None:
            code = len(self._codes) + 1
            if code >= _MOST_CODES:
                cluster, code = "\ufffd", _MOST_CODES
            self._codes[cluster] = code
        return code

    def widths(self) -> list[tuple[int, int]]:
        """Code and width of all that are not half as wide as high."""
        return [(code, width_of(cluster)) for cluster, code in self._codes.items() if width_of(cluster) != _HALF]

    def glyphs(self) -> bytes:
        """The font's glyph of each code, two bytes each, from code 0 on."""
        ordered = sorted((code, cluster) for cluster, code in self._codes.items())
        return b"\0\0" + b"".join(b"\0\2" if width_of(cluster) == UNITS else b"\0\1" for _, cluster in ordered)

    def to_unicode(self) -> bytes:
        """The CMap that leads from codes to text."""
        entries = [
            f"<{code:04X}> <{cluster.encode('utf-16-be').hex().upper()}>" for cluster, code in self._codes.items()
        ]
        blocks = [entries[start : start + _RANGE] for start in range(0, len(entries), _RANGE)]
        body = "".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks)
        return (_CMAP_HEAD + body + _CMAP_TAIL).encode("ascii")


_CMAP_HEAD: Final = """\
/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
"""
_CMAP_TAIL: Final = "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"


def clusters(text: str) -> Iterator[str]:
    """Characters with the marks that belong to them: what is one glyph wide."""
    cluster = ""
    for character in text:
        mark = unicodedata.category(character).startswith("M") or character in _JOINERS
        if cluster and not mark:
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def width_of(cluster: str) -> int:
    return UNITS if unicodedata.east_asian_width(cluster[0]) in "WF" else _HALF


def _glyph(width: int) -> bytes:
    """A line from one corner of its box to the other, and back."""
    box = struct.pack(">hhhhh", 1, 0, DESCENT, width, ASCENT)
    ends = struct.pack(">HH", 2, 0)
    moves = struct.pack(">3h3h", 0, width, -width, DESCENT, UNITS, -UNITS)
    glyph = box + ends + b"\1\1\1" + moves
    return glyph + bytes(-len(glyph) % 4)


def font_file() -> bytes:
    """A TrueType file with an empty .notdef, glyph 1 of half width and glyph 2 of full."""
    half, full = _glyph(_HALF), _glyph(UNITS)
    head = struct.pack(
        ">IIIIHHQQhhhhHHhhh",
        0x00010000,
        0x00010000,
        0,
        0x5F0F3CF5,
        0,
        UNITS,
        0,
        0,
        *(0, DESCENT, UNITS, ASCENT),
        0,
        8,
        2,
        0,
        0,
    )
    hhea = struct.pack(">IhhhHhhhhhhhhhhhH", 0x00010000, ASCENT, DESCENT, 0, UNITS, *(0,) * 11, 3)
    maxp = struct.pack(">IH13H", 0x00010000, 3, *(3, 1, 0, 0, 1, *(0,) * 8))
    os2 = struct.pack(
        ">HhHHHhhhhhhhhhhh10s4I4sHHHhhhHH",
        *(1, _HALF, 400, 5, 0, *(0,) * 11),
        bytes(10),
        *(0, 0, 0, 0),
        *(b"NONE", 64, 0, 0xFFFF, ASCENT, DESCENT, 0, ASCENT, -DESCENT),
    )
    os2 += bytes(8)
    cmap = struct.pack(">HHHHI", 0, 1, 3, 1, 12) + struct.pack(
        ">HHHHHHHHHHhH", 4, 24, 0, 2, 2, 0, 0, 0xFFFF, 0, 0xFFFF, 1, 0
    )
    name_text = "Glyphless".encode("utf-16-be")
    names = b"".join(struct.pack(">6H", 3, 1, 0x409, kind, len(name_text), 0) for kind in (1, 4, 6))
    name = struct.pack(">3H", 0, 3, 6 + len(names)) + names + name_text
    tables = {
        b"OS/2": os2,
        b"cmap": cmap,
        b"glyf": half + full,
        b"head": head,
        b"hhea": hhea,
        b"hmtx": struct.pack(">HhHhHh", _HALF, 0, _HALF, 0, UNITS, 0),
        b"loca": struct.pack(">4H", 0, 0, len(half) // 2, (len(half) + len(full)) // 2),
        b"maxp": maxp,
        b"name": name,
        b"post": struct.pack(">IIhhIIIII", 0x00030000, *(0,) * 8),
    }
    return _assembled(tables)


def _assembled(tables: dict[bytes, bytes]) -> bytes:
    power = len(tables).bit_length() - 1
    header = struct.pack(">IHHHH", 0x00010000, len(tables), 16 << power, power, 16 * (len(tables) - (1 << power)))
    offset = len(header) + 16 * len(tables)
    directory, body = b"", b""
    for tag, table in tables.items():
        padded = table + bytes(-len(table) % 4)
        directory += tag + struct.pack(
            ">III", sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF, offset, len(table)
        )
        body += padded
        offset += len(padded)
    return header + directory + body
