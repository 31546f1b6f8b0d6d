"""One call of an engine, whatever comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from ocrqueue.document import Page
from ocrqueue.errors import EngineFailed, EngineTimeout, OcrQueueError
from ocrqueue_worker.engines.checking import check_results
from ocrqueue_worker.engines.engine import Engine, PageImage, Reading
from ocrqueue_worker.exhaustion import exhaustion

_log = structlog.get_logger(__name__)

Result = Page | OcrQueueError


def recognise(engine: Engine[Any], pages: Sequence[PageImage], reading: Reading[Any]) -> list[Result]:
    """A Page for each, in order, or the error in its stead. Nothing but SoftTimeLimitExceeded is raised."""
    if not pages:
        return []
    if reading.seconds_left() <= 0:
        return [EngineTimeout()] * len(pages)
    try:
        return check_results(engine.recognize(pages, reading), pages, engine.name)
    except SoftTimeLimitExceeded:
        raise
    except OcrQueueError as error:
        return [error] * len(pages)
    except Exception as error:
        ran_out = exhaustion(error)
        if ran_out is None:
            _log.exception("engine broke off", engine=engine.name)
        return [ran_out or EngineFailed(f"{engine.name} broke off with {type(error).__name__}.")] * len(pages)


def as_page(image: PageImage, result: Result) -> Page:
    """A page that failed carries its error; one that is retryable is raised, so that the whole job is tried again."""
    if isinstance(result, Page):
        return result
    if result.retryable:
        raise result
    width, height = image.image.size
    return Page(number=image.number, width=width, height=height, dpi=image.dpi, error=result.info)
