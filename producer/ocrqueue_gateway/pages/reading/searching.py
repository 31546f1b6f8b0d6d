"""Looking for words on one page."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

MOST_ON_A_PAGE: Final = 500
_AROUND: Final = 4
"""Words shown before and after what was found."""
_SHOWN: Final = 200


@dataclass(frozen=True)
class Hit:
    """What was found: words `first` to `last` of the page, counted from 0."""

    page: int
    first: int
    last: int
    before: str
    found: str
    after: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def folded(text: str) -> str:
    """As texts are compared: without case, and letters that look alike by Unicode's compatibility as one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def hits(page: Mapping[str, Any], query: str) -> Iterator[Hit]:
    """Where `query`, folded, stands on the page; `page` as `words.columns` tells it."""
    words: list[str] = page["text"]
    joined = set(page["joined"])
    starts, parts, length = [], [], 0
    for number, word in enumerate(words):
        part = folded(word) + ("" if number in joined else " ")
        starts.append(length)
        parts.append(part)
        length += len(part)
    text = "".join(parts)
    at, count = text.find(query), 0
    while at >= 0 and count < MOST_ON_A_PAGE:
        first = bisect_right(starts, at) - 1
        last = bisect_right(starts, at + len(query) - 1) - 1
        yield _hit(page, first, last)
        count += 1
        # a word that has it twice is one hit
        beyond = starts[last + 1] if last + 1 < len(starts) else length
        at = text.find(query, max(beyond, at + 1))


def _hit(page: Mapping[str, Any], first: int, last: int) -> Hit:
    words = page["text"]
    return Hit(
        page["number"],
        first,
        last,
        " ".join(words[max(0, first - _AROUND) : first])[-_SHOWN:],
        " ".join(words[first : last + 1])[:_SHOWN],
        " ".join(words[last + 1 : last + 1 + _AROUND])[:_SHOWN],
    )


def has_doubtful(page: Mapping[str, Any], below: int) -> bool:
    """Whether a word has a confidence below so many percents."""
    return any(0 <= confidence < below for confidence in page["confidence"])
