"""Markdown as the tests of the documentation look at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    [
        path
        for folder in (".", "docs", "samples", "producer", "producer/ocrqueue_gateway", "worker")
        for path in (ROOT / folder).glob("*.md")
    ],
    key=lambda page: page.as_posix(),
)

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: the language after the fence and what is in it."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code_spans(page: Path) -> list[str]:
    """What stands between single backticks in the prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def block_after(page: Path, words: str, language: str) -> str:
    """The first block of `language` after `words`."""
    rest = page.read_text(encoding="utf-8").partition(words)[2]
    return next(text for found, text in _FENCE.findall(rest) if found == language)


def snippets(page: Path) -> Iterator[tuple[str, str | None]]:
    """Each Python block, with the text block right after it: what it prints."""
    found = list(_FENCE.finditer(page.read_text(encoding="utf-8")))
    for position, match in enumerate(found):
        if match[1] != "python":
            continue
        after = found[position + 1] if position + 1 < len(found) else None
        follows = after is not None and after[1] == "text" and not after.string[match.end() : after.start()].strip()
        yield match[2], after[2] if after is not None and follows else None


def anchors(page: Path) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
