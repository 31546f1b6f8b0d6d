"""Mutations that know the directories of a TIFF 6.0: entries, offsets, counts, and the chain of pages."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.corpus_bytes import Mutation, number

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _OFFSETS, _ROWS, _COUNTS = 256, 257, 258, 259, 273, 278, 279
_TAGS: Final = (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 284, 317, 320, 322, 323, 338, 339, 347)
_COMPRESSIONS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 32_773, 32_946, 34_712, 34_925, 50_000, 50_001, 65_535)
_UNSIGNED_LONG: Final = 4


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file writes its numbers: struct's byte order; letters of offsets and of counts of entries; sizes."""

    order: str
    word: str
    count: str
    entry_size: int
    first: int

    @classmethod
    def of(cls, data: bytes) -> _Layout:
        order = "<" if data.startswith(b"II") else ">"
        return cls(order, "Q", "Q", 20, 8) if b"+" in data[2:4] else cls(order, "L", "H", 12, 4)

    def pack(self, letters: str, *values: int) -> bytes:
        return struct.pack(self.order + letters, *values)

    def unpack(self, letters: str, data: bytes, at: int) -> int:
        found: int = struct.unpack_from(self.order + letters, data, at)[0]
        return found


@dataclass(frozen=True, slots=True)
class _Directory:
    offset: int
    entries: range
    """Where each entry stands."""
    pointer: int
    """Where the offset of the next directory stands."""


def _directories(data: bytes) -> list[_Directory]:
    layout = _Layout.of(data)
    found = []
    offset = layout.unpack(layout.word, data, layout.first)
    while offset:
        start = offset + struct.calcsize(layout.order + layout.count)
        end = start + layout.unpack(layout.count, data, offset) * layout.entry_size
        found.append(_Directory(offset, range(start, end, layout.entry_size), end))
        offset = layout.unpack(layout.word, data, end)
    return found


def _put(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def _with_tags(data: bytes, **values: int) -> bytes:
    """Entries of the first directory set to one LONG each, where they are there; `t256=1` sets tag 256."""
    layout = _Layout.of(data)
    for at in _directories(data)[0].entries:
        tag = layout.unpack("H", data, at)
        if f"t{tag}" in values:
            value = layout.pack("HH" + layout.word * 2, tag, _UNSIGNED_LONG, 1, values[f"t{tag}"])
            data = _put(data, at, value)
    return data


def entry(chance: Random, data: bytes) -> bytes:
    """One field of one entry (tag, type, count, value) is strange."""
    layout = _Layout.of(data)
    at = chance.choice(chance.choice(_directories(data)).entries)
    word = struct.calcsize(layout.order + layout.word)
    field, size = chance.choice(((0, 2), (2, 2), (4, word), (4 + word, word)))
    value = chance.choice(_TAGS) if field == 0 else number(chance, min(size, 4))
    return _put(data, at + field, layout.pack("H" if size == 2 else layout.word, value))


def value(chance: Random, data: bytes) -> bytes:
    """A tag that matters has another value of the right type."""
    tag = chance.choice(_TAGS)
    return _with_tags(data, **{f"t{tag}": number(chance, 4)})


def dimension(chance: Random, data: bytes) -> bytes:
    return _with_tags(data, **{f"t{chance.choice((_WIDTH, _HEIGHT, _ROWS))}": chance.choice((1, 97, 8000, 70_000))})


def zero_dimension(chance: Random, data: bytes) -> bytes:
    return _with_tags(data, **{f"t{chance.choice((_WIDTH, _HEIGHT))}": 0})


def huge(chance: Random, data: bytes) -> bytes:
    width, height = chance.choice(((8000, 9000), (60_000, 60_000), (0x7FFF_FFFF, 1), (0xFFFF_FFFF, 0xFFFF_FFFF)))
    return _with_tags(data, t256=width, t257=height, t278=height)


def compression(chance: Random, data: bytes) -> bytes:
    return _with_tags(data, t259=chance.choice(_COMPRESSIONS))


def strips(chance: Random, data: bytes) -> bytes:
    """Strips that lie beyond the file, in its header, or have no or endless bytes."""
    tag = chance.choice((_OFFSETS, _COUNTS))
    return _with_tags(data, **{f"t{tag}": chance.choice((0, 1, 4, 8, len(data) - 1, len(data), number(chance, 4)))})


def strip_data(chance: Random, data: bytes) -> bytes:
    """What is outside the directories is random: compressed pixels, or the values of long entries."""
    layout = _Layout.of(data)
    kept = [range(layout.first + struct.calcsize(layout.order + layout.word))]
    kept += [range(found.offset, found.pointer + 8) for found in _directories(data)]
    noise = bytearray(chance.randbytes(len(data)))
    for span in kept:
        noise[span.start : span.stop] = data[span.start : span.stop]
    return bytes(noise[: len(data)])


def entry_count(chance: Random, data: bytes) -> bytes:
    layout = _Layout.of(data)
    found = chance.choice(_directories(data))
    return _put(data, found.offset, layout.pack(layout.count, chance.choice((0, 1, 2, number(chance, 2), 65_535))))


def chain(chance: Random, data: bytes) -> bytes:
    """The next page is this one, the first, beyond the file, or in the midst of pixels."""
    layout, found = _Layout.of(data), _directories(data)
    following = chance.choice((found[0].offset, found[-1].offset, 1, 4, len(data), len(data) - 3, number(chance, 4)))
    return _put(data, chance.choice(found).pointer, layout.pack(layout.word, following))


def first_directory(chance: Random, data: bytes) -> bytes:
    layout = _Layout.of(data)
    return _put(data, layout.first, layout.pack(layout.word, chance.choice((0, 1, 2, len(data), number(chance, 4)))))


def byte_order(chance: Random, data: bytes) -> bytes:
    """The header of the other byte order, or of the other size of offsets."""
    heads = [b"MM\0*", b"II*\0", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"]
    return _put(data, 0, chance.choice([head for head in heads if not data.startswith(head[:4])]))


def many_pages(chance: Random, data: bytes) -> bytes:
    """A chain of directories without entries, longer than is read."""
    count = chance.choice((501, 5_000))
    links = b"".join(struct.pack("<HL", 0, 8 + 6 * index) for index in range(1, count)) + struct.pack("<HL", 0, 0)
    return b"II*\0" + struct.pack("<L", 8) + links


TIFF: Final[dict[str, Mutation]] = {
    "entry": entry,
    "value": value,
    "dimension": dimension,
    "zero dimension": zero_dimension,
    "huge": huge,
    "compression": compression,
    "strips": strips,
    "strip data": strip_data,
    "count of entries": entry_count,
    "chain of pages": chain,
    "first directory": first_directory,
    "byte order": byte_order,
    "many pages": many_pages,
}
