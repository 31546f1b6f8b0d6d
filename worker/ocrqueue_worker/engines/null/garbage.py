"""What an engine gone astray may return: for the null engine's fault `garbage`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from ocrqueue.document import Page

Garbage = Literal[
    "count",
    "type",
    "number",
    "size",
    "same_ids",
    "bad_id",
    "nan",
    "outside",
    "shape",
    "confidence",
    "no_text",
    "surrogate",
    "nul",
    "loop",
]


def garbage(page: Page, kind: Literal[Garbage, "any"]) -> list[Any]:
    """The results in place of `page`, which has a word at least (else some kinds are no garbage)."""
    kinds = get_args(Garbage)
    return _MAKERS[kinds[(page.number - 1) % len(kinds)] if kind == "any" else kind](page)


def _with_words(page: Page, change: Mapping[str, object]) -> list[Any]:
    """`page` with each word changed; model_copy() checks nothing."""
    (block,) = page.blocks
    (paragraph,) = block.paragraphs
    lines = [
        line.model_copy(update={"words": tuple(word.model_copy(update=change) for word in line.words)})
        for line in paragraph.lines
    ]
    changed = block.model_copy(update={"paragraphs": (paragraph.model_copy(update={"lines": tuple(lines)}),)})
    return [page.model_copy(update={"blocks": (changed,)})]


def _words(**change: object) -> Callable[[Page], list[Any]]:
    return lambda page: _with_words(page, change)


def _loop(page: Page) -> list[Any]:
    blocks: list[object] = []
    blocks.append(page.model_copy(update={"blocks": blocks}))
    return blocks


_NAN: Final = float("nan")
_MAKERS: Final[Mapping[str, Callable[[Page], list[Any]]]] = MappingProxyType(
    {
        "count": lambda page: [page, page],
        "type": lambda page: [page.model_dump()],
        "number": lambda page: [page.model_copy(update={"number": page.number + 1})],
        "size": lambda page: [page.model_copy(update={"width": 10 * page.width})],
        "same_ids": lambda page: _with_words(page, {"id": next(page.words()).id}),
        "bad_id": _words(id="../../p001-w0001"),
        "nan": _words(polygon=((0.0, 0.0), (_NAN, 0.0), (1.0, 1.0), (0.0, 1.0))),
        "outside": _words(bbox=(0.0, 0.0, 1.0, 1e9)),
        "shape": _words(polygon=((0.0, 0.0), (1.0, 1.0))),
        "confidence": _words(confidence=97.0),
        "no_text": _words(text=None),
        "surrogate": _words(text="\ud800"),
        "nul": _words(text="a\0b"),
        "loop": _loop,
    }
)
