"""What the server says of an image: of the sample images what is on them, of others words made of their pixels.

In the shape of Google's recorded answers: punctuation is a word of its own, breaks follow the last symbol of a word, a
line that wraps ends in EOL_SURE_SPACE and a paragraph in LINE_BREAK, a hyphen at the end of a line is no symbol.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from google.cloud.vision import (
    AnnotateImageResponse,
    Block,
    BoundingPoly,
    EntityAnnotation,
    Page,
    Paragraph,
    Symbol,
    TextAnnotation,
    Vertex,
    Word,
)
from PIL import Image

from tests.support.samples import pages

SAMPLES = Path(__file__).parents[3] / "samples"

Polygon = Sequence[Sequence[float]]
Break = TextAnnotation.DetectedBreak.BreakType


def fingerprint(image: Image.Image) -> str:
    """Of the pixels, in grey: 8 hexadecimal digits that survive every lossless format."""
    return hashlib.sha256(repr(image.size).encode() + image.convert("L").tobytes()).hexdigest()[:8]


def answer(image: Image.Image) -> AnnotateImageResponse:
    """Of a decoded image; without text for one of a single colour."""
    extrema = image.convert("L").getextrema()
    if extrema[0] == extrema[1]:
        return AnnotateImageResponse()
    sample = _samples().get(fingerprint(image))
    lines = sample[0] if sample else [[_made_words(image)]]
    return _response(lines, image.size, sample[1] if sample else "en")


Lines = list[list[list[tuple[str, Polygon]]]]
"""Paragraphs > lines > words with their polygons."""


def _made_words(image: Image.Image) -> list[tuple[str, Polygon]]:
    width, height = image.size
    top, bottom = height * 0.25, height * 0.75

    def box(left: float, right: float) -> Polygon:
        return [(width * left, top), (width * right, top), (width * right, bottom), (width * left, bottom)]

    return [(f"x{fingerprint(image)}", box(0.1, 0.6)), (f"{width}x{height}", box(0.65, 0.95))]


@cache
def _samples() -> dict[str, tuple[Lines, str]]:
    """By fingerprint, every page of the sample images."""
    found = {}
    for truth_file in sorted(SAMPLES.glob("*.json")):
        truth = json.loads(truth_file.read_text())
        texts = truth_file.with_suffix(".txt").read_text().split("\f")
        for number, (frame, text) in enumerate(zip(pages(truth_file.stem), texts, strict=True), 1):
            words = iter(word for word in truth["words"] if word["page"] == number)
            found[fingerprint(frame)] = (_lines(text, words), {"kor": "ko"}.get(truth["languages"][0], "en"))
    return found


def _lines(text: str, words: Iterator[Any]) -> Lines:
    return [
        [[(token, _polygon_of(token, next(words))) for token in line.split()] for line in paragraph.splitlines()]
        for paragraph in re.split(r"\n\s*\n", text.strip("\n"))
    ]


def _polygon_of(token: str, word: Any) -> Polygon:
    assert word["text"] == token, (word, token)
    polygon: Polygon = word["polygon"]
    return polygon


def _response(paragraphs: Lines, size: tuple[int, int], language: str) -> AnnotateImageResponse:
    blocks = [_block(lines) for lines in paragraphs]
    detected = [{"language_code": language, "confidence": 0.9}, {"language_code": "und", "confidence": 0.05}]
    page = Page(property={"detected_languages": detected}, width=size[0], height=size[1], blocks=blocks)
    text = "\n".join(" ".join(word for word, _ in line) for lines in paragraphs for line in lines) + "\n"
    entities = [EntityAnnotation(locale=language, description=text)]
    for lines in paragraphs:
        for line in lines:
            entities += [EntityAnnotation(description=word, bounding_poly=_bounds(polygon)) for word, polygon in line]
    return AnnotateImageResponse(
        text_annotations=entities, full_text_annotation=TextAnnotation(pages=[page], text=text)
    )


def _block(lines: list[list[tuple[str, Polygon]]]) -> Block:
    words = []
    for number, line in enumerate(lines, 1):
        end = Break.LINE_BREAK if number == len(lines) else Break.EOL_SURE_SPACE
        for place, (text, polygon) in enumerate(line, 1):
            words += _words(text, polygon, Break.SPACE if place < len(line) else end)
    bounds = _bounds_around([polygon for line in lines for _, polygon in line])
    paragraph = Paragraph(words=words, bounding_box=bounds, confidence=0.97)
    return Block(paragraphs=[paragraph], bounding_box=bounds, block_type=Block.BlockType.TEXT, confidence=0.96)


def _words(text: str, polygon: Polygon, end: Break) -> Iterator[Word]:
    """The word, and the punctuation behind it."""
    if end in (Break.LINE_BREAK, Break.EOL_SURE_SPACE) and len(text) > 1 and text.endswith("-"):
        text, end = text[:-1], Break.HYPHEN
    mark = re.fullmatch(r"(.*\w)([.,:;!?])", text)
    parts = [mark[1], mark[2]] if mark else [text]
    start = 0
    for part in parts:
        last = part is parts[-1]
        symbols = [
            Symbol(
                text=character,
                bounding_box=_bounds(_slice(polygon, start + place, start + place + 1, len(text))),
                confidence=0.9 + 0.01 * (place % 10),
            )
            for place, character in enumerate(part)
        ]
        if last:
            symbols[-1].property = {"detected_break": {"type_": end}}
        place = _slice(polygon, start, start + len(part), len(text))
        yield Word(symbols=symbols, bounding_box=_bounds(place), confidence=0.95)
        start += len(part)


def _slice(polygon: Polygon, start: int, end: int, parts: int) -> Polygon:
    """So many of equal parts of a polygon, along the text."""

    def along(first: Sequence[float], second: Sequence[float], share: float) -> tuple[float, float]:
        return (first[0] + (second[0] - first[0]) * share, first[1] + (second[1] - first[1]) * share)

    (a, b, c, d), left, right = polygon, start / parts, end / parts
    return [along(a, b, left), along(a, b, right), along(d, c, right), along(d, c, left)]


def _bounds(polygon: Polygon) -> BoundingPoly:
    return BoundingPoly(vertices=[Vertex(x=round(x), y=round(y)) for x, y in polygon])


def _bounds_around(polygons: Sequence[Polygon]) -> BoundingPoly:
    xs, ys = [x for each in polygons for x, _ in each], [y for each in polygons for _, y in each]
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return _bounds([(left, top), (right, top), (right, bottom), (left, bottom)])
