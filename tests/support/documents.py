"""Documents built by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ocrqueue.document import (
    Block,
    Document,
    EngineInfo,
    InputInfo,
    Line,
    Page,
    Paragraph,
    Word,
    box_of,
    polygon_of,
)

Texts = Sequence[Sequence[Sequence[str]]]
"""Paragraphs of lines of words."""


def word(text: str, box: tuple[float, float, float, float], confidence: float | None = 0.5) -> Word:
    return Word(id="p001-w0001", text=text, polygon=polygon_of(box), bbox=box, confidence=confidence)


def line_of(words: Sequence[Word]) -> Line:
    box = box_of([item.polygon for item in words])
    return Line(words=tuple(words), polygon=polygon_of(box), bbox=box)


def paragraph_of(lines: Sequence[Line]) -> Paragraph:
    box = box_of([item.polygon for item in lines])
    return Paragraph(lines=tuple(lines), polygon=polygon_of(box), bbox=box)


def block_of(paragraphs: Sequence[Paragraph]) -> Block:
    box = box_of([item.polygon for item in paragraphs])
    return Block(paragraphs=tuple(paragraphs), polygon=polygon_of(box), bbox=box)


def page_of(number: int, blocks: Sequence[Texts], confidence: float | None = 0.5, **fields: Any) -> Page:
    """Words 50 wide and 20 high on a grid of 60 x 30, from (10, 10) on."""
    built, row = [], 0
    for block in blocks:
        paragraphs = []
        for paragraph in block:
            lines = []
            for texts in paragraph:
                top = 10 + 30 * row
                row += 1
                boxes = [(10 + 60 * column, top, 60 + 60 * column, top + 20) for column in range(len(texts))]
                lines.append(line_of([word(text, box, confidence) for text, box in zip(texts, boxes, strict=True)]))
            paragraphs.append(paragraph_of(lines))
        built.append(block_of(paragraphs))
    return Page(number=number, blocks=tuple(built), **{"width": 400, "height": 300} | fields)


def document_of(*pages: Page, **fields: Any) -> Document:
    values: dict[str, Any] = {
        "job_id": "0198-a",
        "status": "succeeded",
        "input": InputInfo(uri='s3://bucket/a "b"; <c>.png', sha256="0" * 64, format="PNG", bytes=1),
        "engine": EngineInfo(name="tesseract", version="5.3.0", model="eng:1"),
        "languages": ("eng",),
        "finished_at": datetime(2024, 3, 12, tzinfo=UTC),
        "pages": pages,
    }
    return Document(**values | fields)
