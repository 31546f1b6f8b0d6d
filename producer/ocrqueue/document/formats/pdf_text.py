"""The invisible text of a PDF page: each word in its place and size, in reading order."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ocrqueue.document import Line, Page, Point, Polygon, Word
from ocrqueue.document.formats.glyphless_font import DESCENT, UNITS, Codes, clusters, width_of
from ocrqueue.document.formats.sanitise import clamp, inline_text

FONT_NAME: Final = "OcrqueueGlyphless"

Matrix = tuple[float, float, float, float, float, float]
"""From pixels of the Document, y down, to the page's units, as PDF writes a matrix."""

_LANGUAGES: Final = {
    **{"ara": "ar", "ces": "cs", "chi_sim": "zh-Hans", "chi_tra": "zh-Hant", "dan": "da", "deu": "de", "ell": "el"},
    **{"eng": "en", "fin": "fi", "fra": "fr", "heb": "he", "hin": "hi", "hun": "hu", "ita": "it", "jpn": "ja"},
    **{"kor": "ko", "nld": "nl", "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "spa": "es"},
    **{"swe": "sv", "tha": "th", "tur": "tr", "ukr": "uk", "vie": "vi"},
}
_SMALLEST_PX: Final = 0.5
_JOINED_GAP: Final = 0.08
"""Of the font size: from 0.1 on, readers of PDFs take a gap for a space."""
_SPACED_GAP: Final = 0.17
"""Below 0.15, pdftotext takes none for one."""
_MOST_SHRINK_PX: Final = 1.0
_MOST_SHRINK: Final = 0.1
"""Of the width: a word of few pixels keeps its place too."""
_VERTICAL: Final = 1.3
_VERTICAL_SCRIPTS: Final = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "HANGUL", "BOPOMOFO")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A word as it is set: from `start`, the lower left of its letters, along `along`, a vector of length 1."""

    text: str
    start: Point
    along: Point
    width: float
    height: float
    space_after: bool
    right_to_left: bool


def text_content(page: Page, codes: Codes, to_page: Matrix) -> bytes:
    """The content stream that sets all words of `page` in the font FONT_NAME."""
    language = language_tag(page.languages[:1])
    written = [f"/Span << /Lang ({language}) >> BDC\n" if language else "", f"q {_numbers(to_page)} cm BT 3 Tr\n"]
    for line in page.lines():
        written.extend(_line_content(line, page, codes))
    return "".join([*written, "ET Q\n", "EMC\n" if language else ""]).encode("ascii")


def language_tag(languages: tuple[str, ...]) -> str:
    """By BCP 47, of the first; empty where it is none that PDF could name."""
    for language in languages:
        if language in _LANGUAGES:
            return _LANGUAGES[language]
        stem = language.split("_")[0]
        return _LANGUAGES.get(stem, stem if stem.isascii() and stem.isalpha() and len(stem) in {2, 3} else "")
    return ""


def _line_content(line: Line, page: Page, codes: Codes) -> Iterator[str]:
    if not line.words:
        return
    turns = _turns(line)
    placed = [item for item in (_placed(word, page, turns) for word in line.words) if item is not None]
    for item, after in zip(placed, [*placed[1:], None], strict=True):
        gap = None if after is None else _gap(item, after)
        width = item.width
        if gap is not None and not item.space_after and _JOINED_GAP * item.height < gap < item.height:
            width += gap - _JOINED_GAP * item.height
        elif gap is not None and item.space_after and abs(gap) < _SPACED_GAP * item.height:
            width -= min(_SPACED_GAP * item.height - gap, _MOST_SHRINK_PX, _MOST_SHRINK * width)
        yield _shown(item, item.text, width, codes)
        if after is None or item.space_after:
            yield _space(item, width, codes, None if gap is None else gap + item.width - width)


def _space(item: _Placed, width: float, codes: Codes, gap: float | None) -> str:
    """A space up to the next word; behind the line's last, or where the next is elsewhere, a narrow one."""
    room = gap if gap is not None and 0 < gap < 4 * item.height else 0.1 * item.height
    sign = -1 if item.right_to_left else 0
    offset = sign * room if sign else width
    start = (item.start[0] + offset * item.along[0], item.start[1] + offset * item.along[1])
    space = _Placed(" ", start, item.along, room, item.height, True, False)
    return _shown(space, " ", room, codes)


def _shown(item: _Placed, text: str, width: float, codes: Codes) -> str:
    parts = list(clusters(text))
    natural = sum(map(width_of, parts)) / UNITS * item.height
    (x, y), (cos, sin) = item.start, item.along
    forward = 1.0
    if item.right_to_left:
        # from the right on, each letter mirrored: the order of the text and of the letters on the page are both kept
        x, y, forward = x + width * cos, y + width * sin, -1.0
    drop = -DESCENT / UNITS * item.height
    # the letters' up is y downwards turned by the word's angle; text matrices have y up, pixels y down
    baseline = (x + drop * sin, y - drop * cos)
    shown = "".join(f"{codes.of(part):04X}" for part in parts)
    return (
        f"/{FONT_NAME} {_number(item.height)} Tf {_number(100 * width / natural)} Tz "
        f"{_numbers((forward * cos, forward * sin, sin, -cos, *baseline))} Tm <{shown}> Tj\n"
    )


def _placed(word: Word, page: Page, turns: int) -> _Placed | None:
    text = inline_text(word.text)
    corners = _corners(word, page)
    top_left, top_right, bottom_right, bottom_left = corners[turns:] + corners[:turns]
    width = (math.dist(top_left, top_right) + math.dist(bottom_left, bottom_right)) / 2
    height = (math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right)) / 2
    if not text or width < _SMALLEST_PX or height < _SMALLEST_PX:
        return _smallest(text, top_left) if text else None
    length = math.dist(bottom_left, bottom_right) or 1.0
    along = ((bottom_right[0] - bottom_left[0]) / length, (bottom_right[1] - bottom_left[1]) / length)
    if along == (0.0, 0.0):
        along = (1.0, 0.0)
    return _Placed(text, bottom_left, along, width, height, word.space_after, _is_right_to_left(text))


def _smallest(text: str, place: Point) -> _Placed:
    """A word without an extent is still found by its text."""
    return _Placed(text, place, (1.0, 0.0), 1.0, 1.0, True, _is_right_to_left(text))


def _corners(word: Word, page: Page) -> Polygon:
    one, two, three, four = ((clamp(x, page.width), clamp(y, page.height)) for x, y in word.polygon)
    return one, two, three, four


def _gap(item: _Placed, after: _Placed) -> float | None:
    """Pixels from one word's end to the next one's start along the line; None where that lies elsewhere."""
    x, y = after.start[0] - item.start[0], after.start[1] - item.start[1]
    cos, sin = item.along
    forward, aside = x * cos + y * sin, abs(y * cos - x * sin)
    if aside > max(item.height, after.height):
        return None
    return -forward - after.width if item.right_to_left else forward - item.width


def _is_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in {"R", "AL"} for character in text)


def _turns(line: Line) -> int:
    """By how many quarters its text runs otherwise than its polygons say: 1 down, 3 up the page.

    Engines give upright boxes to Japanese and Chinese that is set in columns, and to turned lines that they were not
    asked to look for. A line much higher than wide, of words one after the other up or down, is such a one.
    """
    if any(_is_turned(word) for word in line.words):
        return 0
    text = "".join(word.text for word in line.words)
    width = max(word.bbox[2] for word in line.words) - min(word.bbox[0] for word in line.words)
    height = max(word.bbox[3] for word in line.words) - min(word.bbox[1] for word in line.words)
    if len(text) < 2 or not height > _VERTICAL * width:
        return 0
    middles = [(word.bbox[1] + word.bbox[3]) / 2 for word in line.words]
    if len(middles) > 1:
        steps = [after - before for before, after in pairwise(middles)]
        return 1 if min(steps) > 0 else 3 if max(steps) < 0 else 0
    wide = sum(unicodedata.name(character, "").startswith(_VERTICAL_SCRIPTS) for character in text)
    return 1 if 2 * wide > len(text) else 0


def _is_turned(word: Word) -> bool:
    (x0, y0), (x1, y1) = word.polygon[0], word.polygon[1]
    return abs(y1 - y0) > abs(x1 - x0) or x1 < x0


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(map(_number, values))


def _number(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".") or "0"
