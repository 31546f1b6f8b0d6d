"""Which pages of a document are to be read: `1-3,7,10-`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(r"([1-9][0-9]{0,8})(-([1-9][0-9]{0,8})?)?")
_MOST: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Pages count from 1. The ranges are in order and apart from each other; the last may be without an end."""

    ranges: tuple[tuple[int, int], ...] = ((1, _MOST),)

    @classmethod
    def of(cls, text: str | None) -> PageSelection:
        """None: all pages. Raises ValueError."""
        return cls() if text is None else cls(_joined(_parsed(text)))

    def among(self, count: int) -> list[int]:
        """The pages of a document of so many, in order."""
        return [page for first, last in self.ranges for page in range(first, min(last, count) + 1)]

    def has(self, page: int) -> bool:
        """Whether the page, counted from 1, is to be read."""
        return any(first <= page <= last for first, last in self.ranges)

    def nth(self, number: int) -> int:
        """The page that comes at this place, counted from 1."""
        for first, last in self.ranges:
            if number <= last - first + 1:
                return first + number - 1
            number -= last - first + 1
        raise ValueError("there are fewer pages")


def _parsed(text: str) -> list[tuple[int, int]]:
    ranges = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"not a page or a range of pages: {part[:20]!r}; 1-3,7,10- is one")
        first = int(found[1])
        last = int(found[3]) if found[3] else _MOST if found[2] else first
        if last < first:
            raise ValueError(f"the range {part.strip()[:20]} ends before it begins")
        ranges.append((first, last))
    return sorted(ranges)


def _joined(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)
