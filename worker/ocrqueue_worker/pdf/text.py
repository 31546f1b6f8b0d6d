"""The text that a page holds already: its words, where they stand once the page is shown."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import pi
from typing import Any, Final

from pypdfium2 import raw

from ocrqueue_worker.pdf.library import Handle

_MOST_CHARACTERS: Final = 500_000
_FINE: Final = 16
"""PDFium gives places on a page as whole numbers: they are asked for at so many times its size."""
_HYPHEN: Final = 0x02
"""PDFium's sign for one at which a word is parted."""
_PRIVATE: Final = ((0xE000, 0xF8FF), (0xFFFD, 0xFFFF), (0, 0))

Box = tuple[float, float, float, float]


@dataclass
class _Word:
    line: int
    quarters: int
    characters: list[int] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    space_after: bool = True

    @property
    def text(self) -> str:
        written = "".join(map(chr, self.characters))
        # characters beyond the first plane come as two halves
        whole = written.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return "".join(each for each in whole if each.isprintable())


@dataclass(frozen=True, slots=True)
class Text:
    words: list[dict[str, Any]]
    """text, box, quarters (by which it is turned clockwise), line, space_after."""
    is_readable: bool
    """Whether there is any, and each of its glyphs says which character it is."""


def text_of(page: Handle, size: tuple[int, int]) -> Text:
    """Boxes are in pixels of the page as it is shown at `size`."""
    turned = raw.FPDFPage_GetRotation(page)
    # the order of words on a turned page would be another
    raw.FPDFPage_SetRotation(page, 0)
    opened = raw.FPDFText_LoadPage(page)
    raw.FPDFPage_SetRotation(page, turned)
    if not opened:
        return Text([], False)
    try:
        count = min(raw.FPDFText_CountChars(opened), _MOST_CHARACTERS)
        readable = count > 0
        words = []
        for word in _words(opened, count):
            if not (text := word.text):
                continue
            readable = readable and not any(_is_unknown(each) for each in word.characters)
            words.append(
                {
                    "text": text,
                    "box": _shown(page, size, word.boxes),
                    "quarters": (turned - word.quarters) % 4,
                    "line": word.line,
                    "space_after": word.space_after,
                }
            )
        if any(raw.FPDFText_HasUnicodeMapError(opened, number) == 1 for number in range(count)):
            readable = False
        return Text(words, readable and bool(words))
    finally:
        raw.FPDFText_ClosePage(opened)


def _words(opened: Handle, count: int) -> Iterator[_Word]:
    line, word = 0, None
    for number in range(count):
        code = raw.FPDFText_GetUnicode(opened, number)
        if code == _HYPHEN:
            code = ord("-")
        if code in (0x0A, 0x0D) or (code < 0xD800 and chr(code).isspace()):
            if word is not None:
                yield word
            word = None
            line += code in (0x0A, 0x0D)
            continue
        quarters = round(raw.FPDFText_GetCharAngle(opened, number) / (pi / 2)) % 4
        if word is not None and word.quarters != quarters:
            word.space_after = False
            yield word
            word = None
        word = word or _Word(line, quarters)
        word.characters.append(min(code, 0x10FFFF))
        word.boxes.append(_box(opened, number))
    if word is not None:
        yield word


def _box(opened: Handle, number: int) -> Box:
    """Left, bottom, right, top in the page's own frame: around the ink, or the glyph's place where it has none."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    raw.FPDFText_GetCharBox(opened, number, left, right, bottom, top)
    if right.value > left.value and top.value > bottom.value:
        return left.value, bottom.value, right.value, top.value
    loose = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(opened, number, loose)
    return loose.left, loose.bottom, loose.right, loose.top


def _shown(page: Handle, size: tuple[int, int], boxes: list[Box]) -> Box:
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    corners = [(min(lefts), min(bottoms)), (max(rights), max(tops))]
    xs, ys = zip(*(_device(page, size, *corner) for corner in corners), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _device(page: Handle, size: tuple[int, int], x: float, y: float) -> tuple[float, float]:
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, size[0] * _FINE, size[1] * _FINE, 0, x, y, across, down)
    return across.value / _FINE, down.value / _FINE


def _is_unknown(code: int) -> bool:
    return any(first <= code <= last for first, last in _PRIVATE)
