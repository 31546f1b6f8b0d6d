"""The directories of a TIFF, which are its pages and what goes with them: TIFF 6.0 and BigTIFF."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value, by type."""
_LETTERS: Final = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q", 17: "q", 18: "Q"}
"""struct's, of the types that are whole numbers."""

_PHOTOMETRIC: Final = 262
_NO_TAG: Final = 65_000
"""Of those for private use; nobody looks for it."""
_KINDS: Final[dict[int, Callable[[int], bool]]] = {
    254: lambda value: bool(value & 0b101),
    255: lambda value: value == 2,
    _PHOTOMETRIC: lambda value: value == 4,
}


def tiff_directories(data: bytes, max_count: int) -> list[int]:
    """Offsets of a TIFF's pages (image file directories) in order, at most `max_count`.

    The chain ends at a zero, and where it meets itself. A directory that lies beyond the data is the last one listed:
    its page is missing, and that must not go unnoticed. So is the end of the data, where the chain breaks off there.
    """
    layout = _TiffLayout.of(data)
    offsets: dict[int, None] = {}
    offset = layout.pointer(data, layout.first)
    while offset and offset not in offsets and len(offsets) < max_count:
        offsets[offset] = None
        offset = layout.next_directory(data, offset) or 0
    return list(offsets)


def tiff_page(data: bytes, offset: int) -> bytes:
    """`data` with the directory at `offset` as its first page: a page opens thus whatever its neighbours are."""
    layout = _TiffLayout.of(data)
    if layout.pointer(data, layout.first) == offset:
        return data
    pointer = struct.pack(layout.order + layout.word, offset)
    return b"".join((data[: layout.first], pointer, memoryview(data)[layout.first + len(pointer) :]))


@dataclass(frozen=True, slots=True)
class _TiffLayout:
    """How offsets and counts are written: struct's byte order and letters, and where the first offset stands."""

    order: str
    word: str
    count: str
    entry_size: int
    first: int

    @classmethod
    def of(cls, data: bytes) -> _TiffLayout:
        order = "<" if data.startswith(b"II") else ">"
        return cls(order, "Q", "Q", 20, 8) if b"+" in data[2:4] else cls(order, "L", "H", 12, 4)

    @property
    def head(self) -> int:
        """Bytes of an entry before its value."""
        return struct.calcsize(f"{self.order}HH{self.word}")

    def pointer(self, data: bytes, at: int) -> int:
        return self._number(self.word, data, at) or 0

    def next_directory(self, data: bytes, offset: int) -> int | None:
        """Where the directory after the one at `offset` stands, 0 where that is the last.

        The end of the data where only the pointer to it is missing; None where the directory itself runs beyond.
        """
        count = self._number(self.count, data, offset)
        if count is None:
            return None
        end = offset + struct.calcsize(self.order + self.count) + count * self.entry_size
        following = self._number(self.word, data, end)
        if following is None and end <= len(data):
            return len(data)
        return following

    def entries(self, data: bytes, offset: int) -> Iterator[TiffEntry]:
        """Of the directory at `offset`, as far as there is data."""
        count = self._number(self.count, data, offset) or 0
        at = offset + struct.calcsize(self.order + self.count)
        head = struct.Struct(f"{self.order}HH{self.word}")
        value_at, inline = head.size, self.entry_size - head.size
        for start in range(at, min(at + count * self.entry_size, len(data) - self.entry_size + 1), self.entry_size):
            tag, kind, number = head.unpack_from(data, start)
            size = number * _SIZES.get(kind, 0)
            place = start + value_at if size <= inline else self.pointer(data, start + value_at)
            yield TiffEntry(tag, kind, number, place, self.order, start)

    def _number(self, letter: str, data: bytes, at: int) -> int | None:
        size = struct.calcsize(self.order + letter)
        return struct.unpack_from(self.order + letter, data, at)[0] if at + size <= len(data) else None


@dataclass(frozen=True, slots=True)
class TiffEntry:
    """A tag of a directory; its values, `count` of the type `kind`, stand at `place`."""

    tag: int
    kind: int
    count: int
    place: int
    order: str
    start: int
    """Where the entry itself stands."""

    def values(self, data: bytes, most: int = 64) -> tuple[int, ...]:
        """The first `most` values, of a tag of whole numbers; none where they lie beyond the data, or are none."""
        letter, count = _LETTERS.get(self.kind), min(self.count, most)
        if letter is None or self.place + count * _SIZES[self.kind] > len(data):
            return ()
        return struct.unpack_from(f"{self.order}{count}{letter}", data, self.place)


def tiff_tags(data: bytes, offset: int, most: int = 64) -> dict[int, tuple[int, ...]]:
    """The whole numbers among the tags of the directory at `offset`, the first `most` of each."""
    return {entry.tag: entry.values(data, most) for entry in _TiffLayout.of(data).entries(data, offset)}


def tiff_bytes(data: bytes, offset: int, tag: int) -> bytes:
    """The value of this tag of bytes of the directory at `offset`; empty where there is none."""
    found = (entry for entry in _TiffLayout.of(data).entries(data, offset) if entry.tag == tag)
    return next((data[entry.place : entry.place + entry.count] for entry in found if _SIZES.get(entry.kind) == 1), b"")


def first_directory(data: bytes) -> int:
    layout = _TiffLayout.of(data)
    return layout.pointer(data, layout.first)


def pages_among(data: bytes, directories: Sequence[int]) -> list[int]:
    """Those directories that are pages: not a smaller copy of one, nor a mask. All of them where none is.

    TIFF 6.0, tags NewSubfileType and SubfileType; PhotometricInterpretation 4 is a mask.
    """
    pages = [offset for offset in directories if not _is_secondary(data, offset)]
    return pages or list(directories)


def _is_secondary(data: bytes, offset: int) -> bool:
    layout = _TiffLayout.of(data)
    for entry in layout.entries(data, offset):
        if entry.tag > _PHOTOMETRIC:
            return False
        if entry.tag in _KINDS:
            value = entry.values(data, 1)
            if value and _KINDS[entry.tag](value[0]):
                return True
    return False


def with_values(data: bytes, changes: Mapping[int, int]) -> bytes:
    """`data` with these tags of its first directory, each of whole numbers, changed: all their values to the same."""
    layout, changed = _TiffLayout.of(data), bytearray(data)
    for entry in layout.entries(data, layout.pointer(data, layout.first)):
        letter = _LETTERS.get(entry.kind)
        if entry.tag in changes and letter and entry.place + entry.count * _SIZES[entry.kind] <= len(data):
            values = (changes[entry.tag],) * entry.count
            struct.pack_into(f"{entry.order}{entry.count}{letter}", changed, entry.place, *values)
    return bytes(changed)


def tiff_ends_early(data: bytes) -> bool:
    layout = _TiffLayout.of(data)
    return layout.next_directory(data, layout.pointer(data, layout.first)) in (None, len(data))


def with_single_values(data: bytes, changes: Mapping[int, int], without: int) -> bytes:
    """`data` whose first directory has one value for each of these tags, and not the tag `without`."""
    layout, changed = _TiffLayout.of(data), bytearray(data)
    for entry in layout.entries(data, layout.pointer(data, layout.first)):
        if entry.tag == without:
            struct.pack_into(f"{entry.order}H", changed, entry.start, _NO_TAG)
        if entry.tag in changes:
            inline = struct.pack(f"{layout.order}L", changes[entry.tag]).ljust(layout.entry_size - layout.head, b"\0")
            head = struct.pack(f"{layout.order}HH{layout.word}", entry.tag, 4, 1)
            changed[entry.start : entry.start + layout.entry_size] = head + inline
    return bytes(changed)


def with_part_of_values(data: bytes, tag: int, first: int, count: int) -> bytes:
    """`data` whose first directory has `count` of the values of this tag of whole numbers, from the `first` on."""
    layout = _TiffLayout.of(data)
    for entry in layout.entries(data, layout.pointer(data, layout.first)):
        size = _SIZES.get(entry.kind, 0)
        if entry.tag != tag or entry.kind not in _LETTERS or not 0 < first + count <= entry.count:
            continue
        place, inline = entry.place + first * size, layout.entry_size - layout.head
        value = data[place : place + count * size]
        if len(value) > inline:
            value = struct.pack(layout.order + layout.word, place)
        head = struct.pack(f"{layout.order}HH{layout.word}", tag, entry.kind, count)
        changed = head + value.ljust(inline, b"\0")
        return data[: entry.start] + changed + data[entry.start + layout.entry_size :]
    return data
