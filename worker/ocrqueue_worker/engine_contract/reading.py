"""Checks of what an engine reads, in a process of its own after load(), as a worker child calls it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from ocrqueue.document import Block, Box, Line, Page, Paragraph, polygon_of
from ocrqueue.errors import EngineFailed, OcrQueueError
from ocrqueue_worker.engine_contract.findings import Advice, Complaint, Wrong
from ocrqueue_worker.engine_contract.pictures import PRINT, odd_pages, printed
from ocrqueue_worker.engine_contract.question import Check, Question
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.engine_call import check_page, recognise, recognise_lines
from ocrqueue_worker.routes.merging import with_lines

_MOST_UNSEEN: Final = 1000


def read(engine: Engine[Any], question: Question, page: PageImage) -> Page | OcrQueueError:
    (result,) = recognise(engine, [page], question.reading(engine))
    return result


def _printed(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    for mode in ("L", "RGB"):
        page = printed(mode=mode)
        before = page.image.tobytes()
        result = read(engine, question, page)
        if page.image.tobytes() != before:
            yield Wrong("recognize() draws on the page that it was given: crops are cut from it later.")
        if isinstance(result, OcrQueueError):
            yield Wrong(f"a printed page of mode {mode}: {result}")
            continue
        words = list(result.words())
        if not words:
            yield Advice(f"no word is found on a printed page of mode {mode}.")
        elif not any(_meet(word.bbox, PRINT) for word in words):
            yield Wrong("words lie where nothing is printed: polygons are in pixels of the page that was given.")
        if any(not word.text.strip() for word in words):
            yield Advice("a word has no text but white space: what is not read is left out.")
        confidences = {word.confidence for word in words}
        if confidences == {1.0}:
            yield Advice("every word has the confidence 1.0: an engine without confidences gives None.")
        yield from _of_parts(result)


def _of_parts(page: Page) -> Iterator[Complaint]:
    for line in page.lines():
        boxes = [word.bbox for word in line.words]
        if not boxes:
            yield Wrong("a line has no words: leave it out.")
        elif not any(_meet(box, line.bbox) for box in boxes):
            yield Wrong("a line lies where none of its words is.")


def _odd(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    for name, page in odd_pages().items():
        result = read(engine, question, page)
        if isinstance(result, EngineFailed):
            yield Wrong(f"{name}: {result}")
        elif isinstance(result, OcrQueueError) and not result.retryable:
            yield Advice(f"{name} is refused: {result}")


def _several(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    """Three pages of two images in one call: their numbers repeat."""
    pages = [printed(1), PageImage(2, printed(2).image.resize((900, 600))), printed(1)]
    results = recognise(engine, pages, question.reading(engine))
    for page, result in zip(pages, results, strict=True):
        if isinstance(result, OcrQueueError):
            yield Wrong(f"page {page.number} of three in one call: {result}")


def _again(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    first, second = (read(engine, question, printed()) for _ in range(2))
    if isinstance(first, Page) and engine.cacheable and first != second:
        yield Wrong("the same page is read differently the second time: set cacheable = False.")


def _lines(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    page = printed()
    unseen = list(islice(engine.unseen_lines(page, ()), _MOST_UNSEEN + 1))
    if len(unseen) > _MOST_UNSEEN:
        yield Wrong(f"unseen_lines() gives more than {_MOST_UNSEEN} lines of a page.")
    elif strange := [line for line in unseen if not isinstance(line, Line)]:
        yield Wrong(f"unseen_lines() gives a {type(strange[0]).__name__}, not a Line.")
    boxes: tuple[Box, ...] = (PRINT, (10.0, 10.0, 200.0, 40.0), (5.0, 5.0, 5.0, 5.0))
    lines = [Line(polygon=polygon_of(box), bbox=box, words=()) for box in boxes]
    results = recognise_lines(engine, page, lines, question.reading(engine))
    if isinstance(results, OcrQueueError):
        yield Wrong(f"recognize_lines(): {results}")
        return
    for box, result in zip(boxes, results, strict=True):
        if isinstance(result, OcrQueueError):
            yield Wrong(f"recognize_lines(), the line {box}: {result}")
            continue
        whole = check_page(engine, page, with_lines(_page_of(page, result), {0: result}, engine.name))
        if isinstance(whole, OcrQueueError):
            yield Wrong(f"recognize_lines(), the line {box}: {whole}")


def _page_of(page: PageImage, line: Line) -> Page:
    paragraph = Paragraph(lines=(line,), polygon=line.polygon, bbox=line.bbox)
    block = Block(paragraphs=(paragraph,), polygon=line.polygon, bbox=line.bbox)
    width, height = page.image.size
    return Page(number=page.number, width=width, height=height, blocks=(block,))


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


READING: Final = (
    Check("printed page", "a printed page comes back as it was given, with words where they stand", _printed),
    Check("odd pages", "empty, tiny, long and noisy pages are pages too", _odd),
    Check("several pages", "one result for each page, in order, of several images", _several),
    Check("the same again", "the same page gives the same, or cacheable is False", _again),
    Check("single lines", "recognize_lines() gives a Line for each, unseen_lines() gives Lines", _lines, of_lines=True),
)
