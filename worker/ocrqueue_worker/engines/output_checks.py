"""A look at what an engine returns, before anything is made of it: engines are plug-ins, and models can go astray.

What the schema of Page can say is checked by the schema; this module adds what it cannot: that a page is the one that
was asked for, that what was found lies on it, and that ids and texts can be written down. About 3 ms for 500 words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from pydantic import ValidationError

from ocrqueue.document import Page, Region, Word
from ocrqueue.errors import EngineFailed, EngineOutOfMemory, OcrQueueError
from ocrqueue.job import describe_validation_error
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.layout.word_ids import word_id

_log = structlog.get_logger(__name__)

_TOLERANCE_PX: Final = 2.0
_TOLERANCE: Final = 0.02
"""Of the page's longer side: models place boxes on a scaled page, and let them hang over its edge a little."""

_COUNT: Final = re.compile("[0-9]{4,9}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def check_results(results: object, pages: Sequence[PageImage], engine: str) -> list[Page | OcrQueueError]:
    """What an engine returned for `pages`, with an EngineFailed in place of each Page that cannot be right.

    The Pages are returned as the schema reads them. Where the number is wrong, no result can be told to be any page's.
    """
    if isinstance(results, str | bytes) or not isinstance(results, Sequence):
        return [_failed(engine, f"{_kind(results)} and no list of results")] * len(pages)
    if len(results) != len(pages):
        return [_failed(engine, f"{len(results)} results for {len(pages)} pages")] * len(pages)
    return [_checked(result, page, engine) for result, page in zip(results, pages, strict=True)]


def _checked(result: object, image: PageImage, engine: str) -> Page | OcrQueueError:
    if isinstance(result, OcrQueueError):
        return result
    if not isinstance(result, Page):
        return _failed(engine, f"{_kind(result)} and no Page")
    try:
        page = Page.model_validate(result.model_dump(round_trip=True, warnings=False))
        complaint = next(_complaints(page, image), None)
    except SoftTimeLimitExceeded:
        raise
    except MemoryError:
        return EngineOutOfMemory()
    except ValidationError as error:
        complaint = f"an invalid Page: {describe_validation_error(error).removesuffix('.')}"
    except Exception as error:
        complaint = f"a Page that cannot be looked at ({type(error).__name__})"
    return page if complaint is None else _failed(engine, complaint)


def _complaints(page: Page, image: PageImage) -> Iterator[str]:
    """What is wrong with a page that has the right types."""
    width, height = image.image.size
    if page.number != image.number:
        yield f"page {page.number} for page {image.number}"
    if (page.width, page.height) != (width, height):
        yield f"a page of {page.width} x {page.height} pixels for one of {width} x {height}"
    if not all(math.isfinite(value) for value in (page.dpi, page.rotation_confidence) if value is not None):
        yield "a resolution or rotation that is no number"
    if not _is_text("".join(page.languages)):
        yield "a language that is not text"
    for region in _regions(page):
        if (complaint := _misplaced(region, width, height)) is not None:
            yield f"{_name(region)} {complaint}"
    yield from _word_complaints(page)


def _word_complaints(page: Page) -> Iterator[str]:
    prefix = word_id(page.number, 0).removesuffix("0000")
    ids: set[str] = set()
    for word in page.words():
        if not (word.id.startswith(prefix) and _COUNT.fullmatch(word.id, len(prefix))):
            yield f"the word id {_shown(word.id)}, which is not as {word_id(page.number, 1)}"
        if word.id in ids:
            yield f"two words {word.id}"
        ids.add(word.id)
        if not _is_text(word.text):
            yield f"word {word.id} with an invalid text: {_shown(word.text)}"
        if word.crop is not None:
            yield f"word {word.id} with a crop, which is the worker's to make"


def _misplaced(region: Region, width: int, height: int) -> str | None:
    over = _TOLERANCE_PX + _TOLERANCE * max(width, height)
    left, top, right, bottom = region.bbox
    for x, y in (*region.polygon, (left, top), (right, bottom)):
        # the comparison is false for NaN as well
        if not (-over <= x <= width + over and -over <= y <= height + over):
            return f"at ({x:g}, {y:g}) on a page of {width} x {height} pixels"
    return None if left <= right and top <= bottom else "with a box whose right or bottom comes before its left or top"


def _regions(page: Page) -> Iterator[Region]:
    for block in page.blocks:
        yield block
        for paragraph in block.paragraphs:
            yield paragraph
            for line in paragraph.lines:
                yield line
                yield from line.words


def _is_text(text: str) -> bool:
    """Whether it can be stored everywhere: UTF-8 has no lone surrogates, and many a format has no NUL."""
    return "\0" not in text and not _SURROGATE.search(text)


def _name(region: Region) -> str:
    return f"word {_shown(region.id)}" if isinstance(region, Word) else f"a {type(region).__name__.lower()}"


def _kind(value: object) -> str:
    return f"a {type(value).__name__[:40]}"


def _shown(text: str) -> str:
    return ascii(text[:40])


def _failed(engine: str, complaint: str) -> EngineFailed:
    _log.warning("engine returned garbage", engine=engine, found=complaint)
    return EngineFailed(f"{engine} returned {complaint}.")
