"""Google's annotations of an image as a Page.

The format is google.cloud.vision.v1.TextAnnotation: pages > blocks > paragraphs > words > symbols. Lines are not in
it; they end where a symbol's detected break says so. Vertices come in reading orientation, from the top left of the
text, so that their order tells how it is turned; a coordinate that is 0, and a confidence that is not known, is left
out of the message, and reads as 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ocrqueue.document import (
    Block,
    Line,
    Page,
    Paragraph,
    Point,
    Polygon,
    Region,
    Symbol,
    Word,
    box_of,
    mean_confidence,
    polygon_of,
)
from ocrqueue_worker.engines.vision.languages import name_of
from ocrqueue_worker.geometry import Rotation, letters_by_rotation
from ocrqueue_worker.layout import inferred_blocks
from ocrqueue_worker.layout.word_ids import word_id

_DECIMALS: Final = 3
"""Of a pixel."""
_UNKNOWN, _SPACE, _SURE_SPACE, _EOL_SURE_SPACE, _HYPHEN, _LINE_BREAK = range(6)
"""TextAnnotation.DetectedBreak.BreakType."""
_ENDS_LINE: Final = {_EOL_SURE_SPACE, _HYPHEN, _LINE_BREAK}


@dataclass(frozen=True, slots=True)
class Frame:
    """The page that a Page is to describe, and the image that Google saw of it, in pixels."""

    number: int
    size: tuple[int, int]
    seen: tuple[int, int]
    dpi: float | None = None

    def polygon(self, bounds: Any) -> Polygon | None:
        """Of a BoundingPoly, on the page; None where it has no vertices."""
        across, down = self.size[0] / max(self.seen[0], 1), self.size[1] / max(self.seen[1], 1)
        points = [(vertex.x * across, vertex.y * down) for vertex in bounds.vertices]
        points = points or [(each.x * self.size[0], each.y * self.size[1]) for each in bounds.normalized_vertices]
        points = [self.within(x, y) for x, y in points]
        if len(points) == 4:
            return cast("Polygon", tuple(points))
        return _upright(points) if points else None

    def within(self, x: float, y: float) -> Point:
        """The point of the page that is nearest, rounded."""
        return (_within(x, self.size[0]), _within(y, self.size[1]))


def page_of(annotation: Any, frame: Frame, symbols: bool = False) -> Page:
    """The Page of an AnnotateImageResponse: of the protobuf message, which is read faster than its wrapper.

    `symbols`: keep those of the words. Without a fullTextAnnotation, words and lines are made of textAnnotations.
    """
    full = annotation.full_text_annotation
    if not full.pages and annotation.text_annotations:
        return _page_of_words(annotation.text_annotations, frame)
    reader = _Reader(frame, symbols)
    blocks = tuple(made for page in full.pages for block in page.blocks if (made := reader.block(block)) is not None)
    return _page(frame, blocks, languages_of(full.pages), layout="engine")


def languages_of(pages: Iterable[Any]) -> tuple[str, ...]:
    """What Google has detected, the likeliest first: of the pages, or of their blocks where the pages say nothing."""
    likelihood: dict[str, float] = defaultdict(float)
    for page in pages:
        told = page.property.detected_languages or [
            language for block in page.blocks for language in block.property.detected_languages
        ]
        for language in told:
            if language.language_code and language.language_code != "und":
                likelihood[name_of(language.language_code)] += language.confidence
    return tuple(sorted(likelihood, key=lambda name: -likelihood[name]))


def rotation_of(words: Iterable[Word]) -> Rotation:
    """Degrees clockwise by which most of the text is turned, by the top edges of the words."""
    letters = letters_by_rotation(words)
    return max(letters, key=lambda degrees: (letters[degrees], -degrees), default=0)


def _page(frame: Frame, blocks: tuple[Block, ...], languages: tuple[str, ...], layout: Any) -> Page:
    words = [word for block in blocks for part in block.paragraphs for line in part.lines for word in line.words]
    return Page(
        number=frame.number,
        width=frame.size[0],
        height=frame.size[1],
        dpi=frame.dpi,
        rotation=rotation_of(words),
        languages=languages,
        layout=layout,
        blocks=blocks,
    )


def _page_of_words(annotations: Sequence[Any], frame: Frame) -> Page:
    """textAnnotations: the whole text, then each word."""
    words = [
        Word(id=word_id(frame.number, number), text=text, confidence=None, **_placed(polygon))
        for number, found in enumerate(annotations[1:], 1)
        if (text := _clean(found.description)) and (polygon := frame.polygon(found.bounding_poly)) is not None
    ]
    locale = annotations[0].locale
    blocks = inferred_blocks(words, page=frame.number, size=frame.size)
    return _page(frame, blocks, (name_of(locale),) if locale and locale != "und" else (), layout="inferred")


@dataclass(slots=True)
class _Part:
    """Symbols of a word up to a break; a word has more than one if a line ends or a space stands within it."""

    symbols: list[Any] = field(default_factory=list)
    ends_with: int = _UNKNOWN


class _Reader:
    """Turns Google's parts into the Document's; counts the words."""

    def __init__(self, frame: Frame, symbols: bool) -> None:
        self._frame = frame
        self._keeps_symbols = symbols
        self._words = 0

    def block(self, block: Any) -> Block | None:
        """None without text: a ruler, a picture."""
        parts = tuple(made for each in block.paragraphs if (made := self.paragraph(each, block)) is not None)
        return Block(paragraphs=parts, **self._region(block, parts)) if parts else None

    def paragraph(self, paragraph: Any, block: Any) -> Paragraph | None:
        lines: list[Line] = []
        line: list[Word] = []
        for word, ends_line in self._words_of(paragraph, block):
            if word is not None:
                line.append(word)
            if ends_line and line:
                lines.append(_line(line, self._frame))
                line = []
        if line:
            lines.append(_line(line, self._frame))
        return Paragraph(lines=tuple(lines), **self._region(paragraph, lines)) if lines else None

    def _words_of(self, paragraph: Any, block: Any) -> Iterator[tuple[Word | None, bool]]:
        """Each word (None for a blank one), and whether its line ends with it."""
        parts = [(part, word) for word in paragraph.words for part in _parts(word)]
        for number, (part, word) in enumerate(parts):
            text = _clean("".join(symbol.text for symbol in part.symbols))
            after = parts[number + 1][0].symbols[0] if number + 1 < len(parts) else None
            ends_with = part.ends_with or _prefix_of(after)
            if not text:
                yield None, ends_with in _ENDS_LINE
                continue
            polygon = self._polygon(part, word) or self._frame.polygon(paragraph.bounding_box)
            polygon = polygon or self._frame.polygon(block.bounding_box) or polygon_of((0, 0, *self._frame.size))
            self._words += 1
            made = Word(
                id=word_id(self._frame.number, self._words),
                # the hyphen at the end of a line is on the page, and not among Google's symbols
                text=text + "-" * (ends_with == _HYPHEN and not text.endswith("-")),
                confidence=_confidence(word),
                space_after=after is None or ends_with not in (_UNKNOWN, _HYPHEN),
                symbols=tuple(self._symbols(part, polygon)) if self._keeps_symbols else None,
                **_placed(polygon),
            )
            yield made, ends_with in _ENDS_LINE

    def _polygon(self, part: _Part, word: Any) -> Polygon | None:
        whole = self._frame.polygon(word.bounding_box)
        if whole is not None and len(part.symbols) == len(word.symbols):
            return whole
        found = [self._frame.polygon(symbol.bounding_box) for symbol in part.symbols]
        return _around([each for each in found if each is not None], self._frame) or whole

    def _symbols(self, part: _Part, polygon: Polygon) -> Iterator[Symbol]:
        for symbol in part.symbols:
            place = self._frame.polygon(symbol.bounding_box) or polygon
            yield Symbol(text=symbol.text.replace("\0", ""), confidence=_confidence(symbol), **_placed(place))

    def _region(self, found: Any, parts: Sequence[Region]) -> dict[str, Any]:
        polygon = self._frame.polygon(found.bounding_box) or _around([part.polygon for part in parts], self._frame)
        confidence = _confidence(found)
        return {**_placed(cast("Polygon", polygon)), "confidence": confidence or mean_confidence(parts)}


def _parts(word: Any) -> Iterator[_Part]:
    """Cut a word behind each symbol that a break follows."""
    part = _Part()
    for symbol in word.symbols:
        if _prefix_of(symbol) and part.symbols:
            part.ends_with = _prefix_of(symbol)
            yield part
            part = _Part()
        part.symbols.append(symbol)
        if found := _suffix_of(symbol):
            part.ends_with = found
            yield part
            part = _Part()
    if part.symbols:
        part.ends_with = _suffix_of(word)
        yield part


def _suffix_of(found: Any) -> int:
    """The break after a symbol or word."""
    detected = found.property.detected_break
    return _UNKNOWN if detected.is_prefix else int(detected.type_)


def _prefix_of(found: Any) -> int:
    """The break before a symbol."""
    if found is None:
        return _UNKNOWN
    detected = found.property.detected_break
    return int(detected.type_) if detected.is_prefix else _UNKNOWN


def _line(words: Sequence[Word], frame: Frame) -> Line:
    polygon = cast("Polygon", _around([word.polygon for word in words], frame))
    return Line(words=tuple(words), confidence=mean_confidence(words), **_placed(polygon))


def _around(polygons: Sequence[Polygon], frame: Frame) -> Polygon | None:
    """The rectangle around them, turned as their upper and lower edges are on average; it ends at the page's edge."""
    if not polygons:
        return None
    tops = [(second[0] - first[0], second[1] - first[1]) for first, second, _, _ in polygons]
    bottoms = [(third[0] - fourth[0], third[1] - fourth[1]) for _, _, third, fourth in polygons]
    across, down = (sum(edge[axis] for edge in (*tops, *bottoms)) for axis in (0, 1))
    length = math.hypot(across, down)
    along = (across / length, down / length) if length else (1.0, 0.0)
    points = [point for polygon in polygons for point in polygon]
    us = [x * along[0] + y * along[1] for x, y in points]
    vs = [y * along[0] - x * along[1] for x, y in points]
    corners = [(min(us), min(vs)), (max(us), min(vs)), (max(us), max(vs)), (min(us), max(vs))]
    placed = [frame.within(u * along[0] - v * along[1], u * along[1] + v * along[0]) for u, v in corners]
    return cast("Polygon", tuple(placed))


def _upright(points: Sequence[Point]) -> Polygon:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return polygon_of((min(xs), min(ys), max(xs), max(ys)))


def _placed(polygon: Polygon) -> dict[str, Any]:
    return {"polygon": polygon, "bbox": box_of([polygon])}


def _confidence(found: Any) -> float | None:
    """0 stands for none: the message does not tell them apart."""
    value = round(min(max(float(found.confidence), 0.0), 1.0), 4)
    return value or None


def _within(value: float, most: float) -> float:
    return round(min(max(float(value), 0.0), float(most)), _DECIMALS) if math.isfinite(value) else 0.0


def _clean(text: str) -> str:
    """Without what is no text: NUL, and white space around it."""
    return text.replace("\0", "").strip()
