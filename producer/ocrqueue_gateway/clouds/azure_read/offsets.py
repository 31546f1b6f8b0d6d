"""Where in a text something stands, counted as a client's language counts: by what Azure calls a stringIndexType."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from wcwidth import iter_graphemes

from ocrqueue_gateway.clouds.azure_read.models import Span, StringIndexType


class Offsets:
    """Of one page's content, which begins `base` units after the content's start."""

    def __init__(self, text: str, kind: StringIndexType, base: int = 0) -> None:
        self._base = base
        self._kind = kind
        self._odd: Sequence[int] = ()
        """Characters that count as none (textElements), or as two (utf16CodeUnit)."""
        if not text.isascii():
            match kind:
                case "textElements":
                    self._odd = tuple(_joined(text))
                case "utf16CodeUnit":
                    self._odd = tuple(place for place, letter in enumerate(text) if letter > "\uffff")
        self.end = self._ends_at(len(text))
        """Where the next page's content may begin."""

    def span(self, start: int, end: int) -> Span:
        """Of the characters from `start` up to `end`; a text element that reaches across an edge is in it."""
        begins = self._begins_at(start)
        return Span(offset=begins, length=max(0, self._ends_at(end) - begins) if end > start else 0)

    def _begins_at(self, place: int) -> int:
        if self._kind == "textElements":
            return self._base + place - bisect_right(self._odd, place)
        return self._ends_at(place)

    def _ends_at(self, place: int) -> int:
        before = bisect_left(self._odd, place)
        return self._base + (place - before if self._kind == "textElements" else place + before)


def _joined(text: str) -> Iterator[int]:
    """The characters that go on with the text element before them: grapheme clusters, by Unicode's annex 29."""
    place = 0
    for element in iter_graphemes(text):
        yield from range(place + 1, place + len(element))
        place += len(element)
