"""One call of an engine, whatever comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from ocrqueue.document import Line, Page
from ocrqueue.errors import EngineFailed, EngineTimeout, OcrQueueError
from ocrqueue_worker.engines.asking import fault
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.engines.output_checks import check_results
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.limits.process_end import MUST_PASS
from ocrqueue_worker.limits.resource_errors import exhaustion
from ocrqueue_worker.pipeline.file_pixels import in_file_pixels

_log = structlog.get_logger(__name__)

Result = Page | OcrQueueError


def recognise(engine: Engine[Any], pages: Sequence[PageImage], reading: Reading[Any]) -> list[Result]:
    """A Page for each, in order, or the error in its stead. Raises nothing but MUST_PASS.

    Pages are in the pixels of what was given.
    """
    if not pages:
        return []
    if reading.seconds_left() <= 0:
        return [EngineTimeout()] * len(pages)
    try:
        results = check_results(engine.recognize(pages, reading), pages, engine.name)
        return [result if isinstance(result, Page) else _without_frames(result) for result in results]
    except MUST_PASS:
        raise
    except OcrQueueError as error:
        return [_without_frames(error)] * len(pages)
    except BaseException as error:
        return [_broke_off(engine, error)] * len(pages)


def as_in_file(page: Page, image: PageImage) -> Page:
    """`page`, as read on `image`, in the file's own pixels, and with what the file says of it."""
    page = in_file_pixels(page, image)
    return page if image.size_pt is None else page.model_copy(update={"dpi": image.dpi, "size_pt": image.size_pt})


def _without_frames(error: OcrQueueError) -> OcrQueueError:
    """An error holds the frames in which it was raised, and these the image. A frame that holds the error again, in the
    list of its results, would keep both until Python looks for cycles, some hundred jobs later."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def recognise_lines(
    engine: Engine[Any], page: PageImage, lines: Sequence[Line], reading: Reading[Any]
) -> list[Line | OcrQueueError] | OcrQueueError:
    """A Line for each, or the error in its stead; one error if the call failed. As recognise() does."""
    if reading.seconds_left() <= 0:
        return EngineTimeout()
    try:
        read = engine.recognize_lines(page, lines, reading)
    except MUST_PASS:
        raise
    except OcrQueueError as error:
        return _without_frames(error)
    except BaseException as error:
        return _broke_off(engine, error)
    if not isinstance(read, Sequence) or len(read) != len(lines):
        count = len(read) if isinstance(read, Sequence) else "no"
        return EngineFailed(f"{engine.name} returned {count} lines for {len(lines)}.")
    if wrong := [line for line in read if not isinstance(line, Line | OcrQueueError)]:
        return EngineFailed(f"{engine.name} returned a {type(wrong[0]).__name__[:40]} not a Line.")
    return [_without_frames(line) if isinstance(line, OcrQueueError) else line for line in read]


def unseen_lines(engine: Engine[Any], page: PageImage, seen: Sequence[Line]) -> list[Line]:
    """Where the engine takes text to stand besides these lines; none if it breaks off, since nothing is lost by it."""
    try:
        return list(engine.unseen_lines(page, seen))
    except MUST_PASS:
        raise
    except BaseException:
        _log.exception("engine raised an exception", engine=engine.name, call="unseen_lines()")
        return []


def recognise_reference(engine: Engine[Any], uri: str, reading: Reading[Any]) -> Page:
    """The image behind a reference as one page. Raises OcrQueueError."""
    try:
        return Page.model_validate(engine.recognize_reference(uri, reading).model_dump(round_trip=True))
    except (OcrQueueError, *MUST_PASS):
        raise
    except BaseException as error:
        raise _broke_off(engine, error) from error


def check_page(engine: Engine[Any], image: PageImage, page: Page) -> Result:
    """A page made of what the engine returned, or the error if that cannot be right."""
    return check_results([page], [image], engine.name)[0]


def _broke_off(engine: Engine[Any], error: BaseException) -> OcrQueueError:
    ran_out = exhaustion(error)
    if ran_out is None:
        _log.exception("engine raised an exception", engine=engine.name)
    return ran_out or EngineFailed(f"{engine.name} raised {fault(error)}.")


def as_page(image: PageImage, result: Result) -> Page:
    """A page that failed carries its error; one that is retryable is raised, so that the whole job is tried again."""
    if isinstance(result, Page):
        return result
    if result.retryable:
        raise result
    width, height = image.file_size or image.image.size
    return Page(
        number=image.number, width=width, height=height, dpi=image.dpi, size_pt=image.size_pt, error=result.info
    )
