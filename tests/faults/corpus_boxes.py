"""Mutations that know the boxes of HEIF, AVIF, JPEG 2000 and JPEG XL, and the heads of Netpbm's formats and of PCX."""

from __future__ import annotations

import struct
from random import Random
from typing import Final

from tests.faults.corpus_bytes import Mutation, number

_INNER: Final = (b"meta", b"iprp", b"ipco", b"jp2h", b"iinf", b"moov", b"trak")
"""Boxes of boxes; `meta` has four bytes before them."""

# --- boxes -------------------------------------------------------------------------------------------------------


def _boxes(data: bytes) -> list[tuple[int, int, bytes]]:
    """Start, end and name of each, those within others too."""
    found, spans = [], [(0, len(data))]
    while spans:
        at, end = spans.pop()
        while at + 8 <= end:
            size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
            until = end if size == 0 else min(end, at + max(size, 8))
            found.append((at, until, name))
            if name in _INNER:
                spans.append((at + (12 if name == b"meta" else 8), until))
            at = until
    return found


def _one_box(chance: Random, data: bytes) -> tuple[int, int, bytes]:
    return chance.choice(_boxes(data) or [(0, len(data), b"")])


def box_length(chance: Random, data: bytes) -> bytes:
    at, _, _ = _one_box(chance, data)
    return data[:at] + struct.pack(">L", number(chance, 4)) + data[at + 4 :]


def box_missing(chance: Random, data: bytes) -> bytes:
    at, end, _ = _one_box(chance, data)
    return data[:at] + data[end:]


def box_twice(chance: Random, data: bytes) -> bytes:
    at, end, _ = _one_box(chance, data)
    return data[:end] + data[at:end] * chance.choice((1, 2, 200)) + data[end:]


def box_body(chance: Random, data: bytes) -> bytes:
    at, end, _ = _one_box(chance, data)
    return data[: at + 8] + chance.randbytes(max(0, min(end, len(data)) - at - 8)) + data[end:]


def box_dimension(chance: Random, data: bytes) -> bytes:
    """What says how large the picture is: ispe, ihdr, or the SIZ of a bare codestream."""
    places = [at + 12 for at, _, name in _boxes(data) if name == b"ispe"]
    places += [at + 8 for at, _, name in _boxes(data) if name == b"ihdr"]
    siz = data.find(b"\xff\x51")
    places += [siz + 6] if siz >= 0 else []
    at = chance.choice(places or [0]) + chance.choice((0, 4))
    return data[:at] + struct.pack(">L", chance.choice((1, 97, 8000, 60_000, number(chance, 4)))) + data[at + 4 :]


BOXES: Final[dict[str, Mutation]] = {
    "box length": box_length,
    "box missing": box_missing,
    "box twice": box_twice,
    "box of nonsense": box_body,
    "dimension": box_dimension,
}


def jxl_head(chance: Random, data: bytes) -> bytes:
    """Size, channels and depth are packed by bits at the codestream's beginning."""
    at = max(data.find(b"\xff\x0a"), 0) + 2 + chance.randrange(12)
    return data[:at] + chance.randbytes(chance.choice((1, 1, 4))) + data[at + 1 :]


def jxl_huge(chance: Random, data: bytes) -> bytes:
    """A size of up to 2^30 a side, stated with 30 bits each."""
    at = max(data.find(b"\xff\x0a"), 0) + 2
    side = chance.choice((60_000, (1 << 30) - 1))
    packed = 0b110 | side << 3 | 0b11 << 36 | side << 38
    return data[:at] + packed.to_bytes(9, "little") + data[at + 4 :]


JPEG_XL: Final[dict[str, Mutation]] = {
    "box length": box_length,
    "box of nonsense": box_body,
    "head": jxl_head,
    "huge": jxl_huge,
}

# --- Netpbm and PCX ----------------------------------------------------------------------------------------------


def pnm_number(chance: Random, data: bytes) -> bytes:
    """The width, the height or the greatest level becomes another."""
    head, body = data[:20], data[20:]
    words = head.split()
    place = chance.randrange(1, len(words) - 1)
    wrong = str(chance.choice((0, 7, 300, 9000, 70_000, number(chance, 4)))).encode()
    return head.replace(words[place], wrong, 1) + body


def pnm_kind(chance: Random, data: bytes) -> bytes:
    return data[:1] + bytes((chance.choice([kind for kind in b"123456" if kind != data[1]]),)) + data[2:]


def pnm_comment(chance: Random, data: bytes) -> bytes:
    return data[:2] + b"\n#" + b"x" * chance.choice((1, 5000, 100_000)) + chance.choice((b"\n", b"")) + data[2:]


def pcx_dimension(chance: Random, data: bytes) -> bytes:
    at = chance.choice((4, 6, 8, 10))
    return data[:at] + struct.pack("<H", chance.choice((1, 97, 9000, 65_535, number(chance, 2)))) + data[at + 2 :]


def pcx_layout(chance: Random, data: bytes) -> bytes:
    """Bits, planes or bytes a line that do not fit."""
    at = chance.choice((3, 65, 66))
    return data[:at] + bytes((chance.choice((1, 2, 3, 4, 8, 255)) ^ data[at] or 5,)) + data[at + 1 :]


PNM: Final[dict[str, Mutation]] = {"number": pnm_number, "kind": pnm_kind, "comment": pnm_comment}
PCX: Final[dict[str, Mutation]] = {"dimension": pcx_dimension, "layout": pcx_layout}
