"""Document to AnalyzeResult: as JSON, page by page, since a large Document is never in memory as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ocrqueue.document import Document, Page
from ocrqueue.errors import ErrorInfo, error_for_clients
from ocrqueue_gateway.clouds.azure_read import models
from ocrqueue_gateway.clouds.azure_read.content import PAGE_BREAKS, PageContent, content_of
from ocrqueue_gateway.clouds.azure_read.geometry import Measure, angle
from ocrqueue_gateway.clouds.azure_read.languages import locale_of
from ocrqueue_gateway.clouds.azure_read.models import API_VERSION, MODEL
from ocrqueue_gateway.clouds.azure_read.offsets import Offsets
from ocrqueue_gateway.clouds.azure_read.presentation import Presentation

_PDF_TEXT: Final = 1.0
_NONE_GIVEN: Final = 0.0
"""Azure's schema wants a number of each word; no engine that gives confidences gives this one to what it has read."""
_READ_AS: Final = 1.0
"""Of languages: they are not guessed, but those that the page was read in."""


@dataclass
class _Gathered:
    """What is told of all pages together, behind them."""

    content: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)
    """As JSON, which takes less memory than what it was made of."""
    languages: dict[str, list[models.Span]] = field(default_factory=dict)
    warnings: list[models.Warned] = field(default_factory=list)
    errors: list[ErrorInfo] = field(default_factory=list)
    """Of pages that failed, of which there are warnings."""


def result_pieces(document: Document, shown: Presentation) -> Iterator[str]:
    """The JSON of `analyzeResult`."""
    head = {
        "apiVersion": API_VERSION,
        "modelId": MODEL,
        "stringIndexType": shown.string_index_type,
        "contentFormat": shown.content_format,
    }
    yield json.dumps(head).removesuffix("}") + ', "pages": ['
    gathered = _Gathered()
    place = 0
    for number, page in enumerate(document.pages):
        content = content_of(page, shown.content_format)
        if number:
            gathered.content.append(PAGE_BREAKS[shown.content_format])
            place += len(PAGE_BREAKS[shown.content_format])
        offsets = Offsets(content.text, shown.string_index_type, place)
        measure = Measure.of(page, is_pdf=document.input.format == "PDF")
        yield ("," if number else "") + _page(page, content, offsets, measure).json_text()
        _gather(gathered, page, content, offsets, measure)
        place = offsets.end
    yield "]"
    yield from _list("paragraphs", gathered.paragraphs)
    yield from _list("styles", [])
    if shown.with_languages:
        yield from _list("languages", [each.json_text() for each in _languages(gathered)])
    if warnings := [*gathered.warnings, *_of_the_file(document, gathered.errors)]:
        yield from _list("warnings", [each.json_text() for each in warnings])
    yield ', "content": ' + json.dumps("".join(gathered.content), ensure_ascii=False) + "}"


def _list(name: str, items: list[str]) -> Iterator[str]:
    yield f', "{name}": [{",".join(items)}]'


def _page(page: Page, content: PageContent, offsets: Offsets, measure: Measure) -> models.Page:
    return models.Page(
        page_number=page.number,
        angle=angle(page),
        width=measure.width,
        height=measure.height,
        unit=measure.unit,
        words=tuple(
            models.Word(
                content=each.text,
                polygon=measure.polygon(each.word.polygon),
                confidence=_confidence(page, each.word.confidence),
                span=offsets.span(each.start, each.end),
            )
            for each in content.words()
        ),
        lines=tuple(
            models.Line(
                content=each.text,
                polygon=measure.polygon(each.line.polygon),
                spans=(offsets.span(each.start, each.end),),
            )
            for each in content.lines()
        ),
        spans=(offsets.span(0, len(content.text)),),
    )


def _confidence(page: Page, confidence: float | None) -> float:
    if confidence is not None:
        return confidence
    return _PDF_TEXT if page.source == "pdf" else _NONE_GIVEN


def _gather(gathered: _Gathered, page: Page, content: PageContent, offsets: Offsets, measure: Measure) -> None:
    gathered.content.append(content.text)
    for each in content.paragraphs:
        region = models.BoundingRegion(page_number=page.number, polygon=measure.polygon(each.paragraph.polygon))
        paragraph = models.Paragraph(
            spans=(offsets.span(each.start, each.end),), bounding_regions=(region,), content=each.text
        )
        gathered.paragraphs.append(paragraph.json_text())
    if content.text:
        for language in page.languages:
            gathered.languages.setdefault(locale_of(language), []).append(offsets.span(0, len(content.text)))
    if page.error is not None:
        gathered.errors.append(page.error)
        gathered.warnings.append(_warned(page.error, str(page.number)))


def _languages(gathered: _Gathered) -> Iterator[models.Language]:
    for locale, spans in gathered.languages.items():
        yield models.Language(spans=tuple(spans), locale=locale, confidence=_READ_AS)


def _of_the_file(document: Document, of_pages: Sequence[ErrorInfo]) -> Iterator[models.Warned]:
    # such as that only a part of a page was there
    yield from (_warned(error) for error in document.errors if error not in of_pages)
    for each in document.warnings:
        target = None if each.page is None else str(each.page)
        yield models.Warned(code=each.code, message=each.message, target=target)


def _warned(error: ErrorInfo, target: str | None = None) -> models.Warned:
    error = error_for_clients(error)
    return models.Warned(code=error.code, message=f"{error.message} {error.remedy}".strip(), target=target)
