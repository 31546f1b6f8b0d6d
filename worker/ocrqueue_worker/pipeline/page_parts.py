"""A document that is read in parts: what a page part leaves in storage, and how the closing part gathers it.

`results/<job id>/pages/<pin>/<number>.json` is the page as a Document of its own, crops named. By the pin, so that no
page of another content is ever taken for one of this. Those of a large Document stay, as its pages; of others all are
deleted before the job ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ocrqueue.core import Outcome
from ocrqueue.document import (
    Document,
    DocumentWarning,
    InputInfo,
    Page,
    PageObject,
    PagesTally,
    Timings,
    ahead,
    stored_document,
)
from ocrqueue.errors import ErrorInfo, SourceChanged, StorageNotFound, error_from_info
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.page_objects import is_large, of_objects, threads


@dataclass(frozen=True, slots=True)
class Split:
    """What the opening part has found: the job goes on as so many page parts."""

    pages: int
    pin: str
    """The sha256 of the source, which is to stay the same for all of them."""


def check_pin(attempt: Attempt, source: InputInfo) -> None:
    """Raises SourceChanged where a page part has fetched something else than the opening part."""
    if attempt.hold.page is not None and source.sha256 != attempt.start.pin:
        raise SourceChanged()


def store_page(attempt: Attempt, document: Document) -> Outcome:
    """Store what a page part has read, unless another attempt at it has."""
    with attempt.watch.measure("upload_s"):
        written = document.model_copy(update={"timings": attempt.timings()}).model_dump_json().encode()
        standing = attempt.storage.put_once(_own_key(attempt), written, "application/json")
    return _outcome(attempt, standing)


def stored_page(attempt: Attempt) -> Outcome | None:
    """What an earlier attempt at the page part has read; None if none has."""
    try:
        return _outcome(attempt, attempt.storage.get(_own_key(attempt)))
    except StorageNotFound:
        return None


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the page parts of a job have come to."""

    document: Document
    """Of all pages, without a trail. A large one reads them from storage, where the parts have left them."""
    spent: Timings
    """By the parts."""


def gather(attempt: Attempt, each: Callable[[Document], None] = lambda read: None) -> Gathered:
    """The Document of all pages. `each` gets the Document of every page that was read, in order.

    Raises SourceChanged where a page part found another source, and the first page's error where none could be read.
    """
    failed = attempt.workplace.registry.page_errors(attempt.job.id)
    for error in failed.values():
        if error.code == SourceChanged.code:
            raise error_from_info(error)
    if len(failed) == attempt.start.pages:
        raise error_from_info(failed[1])
    number_of, storage = attempt.job.page_selection.nth, attempt.storage
    objects = tuple(
        PageObject(
            number=number_of(part),
            uri=None if part in failed else storage.uri(_page_key(attempt, part)),
            error=failed.get(part),
        )
        for part in range(1, attempt.start.pages + 1)
    )
    spent = dict.fromkeys(Timings.model_fields, 0.0)

    def heard(read: Document) -> None:
        for step, seconds in read.timings.model_dump().items():
            spent[step] += seconds
        each(read)

    document = together(attempt, objects, heard)
    return Gathered(document, Timings.model_validate(spent))


def together(
    attempt: Attempt, objects: tuple[PageObject, ...], each: Callable[[Document], None] = lambda read: None
) -> Document:
    """One Document of those of single pages; at least one was read. No page of a large one is kept in memory."""
    first: Document | None = None
    errors: list[ErrorInfo] = []
    warnings: dict[DocumentWarning, None] = {}
    pages: list[Page] = []
    large, tally = is_large(len(objects)), PagesTally()

    def read_page(known: PageObject) -> Document | None:
        return stored_document(attempt.storage.read_uri(known.uri)) if known.uri is not None else None

    with attempt.watch.measure("fetch_s"):
        for known, read in zip(objects, ahead(read_page, objects, threads(attempt)), strict=True):
            page = Page(number=known.number, width=0, height=0, error=known.error) if read is None else read.pages[0]
            if read is not None:
                first = first or read
                errors += read.errors
                warnings |= dict.fromkeys(read.warnings)
                each(read)
            tally.add(page)
            if not large:
                pages.append(page)
    errors += [known.error for known in objects if known.error is not None]
    assert first is not None  # noqa: S101 (so it is said above)
    document = first.model_copy(
        update={
            "status": "partial" if errors else "succeeded",
            "attempts": attempt.start.number,
            "finished_at": datetime.now(UTC),
            "pages": tuple(pages),
            "errors": tuple(errors),
            "warnings": tuple(warnings),
            "trail": (),
        }
    )
    return of_objects(attempt, document, objects, tally) if large else document


def _outcome(attempt: Attempt, stored: bytes) -> Outcome:
    document = stored_document(stored)
    return Outcome.of(document, attempt.storage.uri(_own_key(attempt)), attempt.timings())


def _own_key(attempt: Attempt) -> str:
    return _page_key(attempt, attempt.hold.page or 0)


def _page_key(attempt: Attempt, number: int) -> str:
    return f"{pages_folder(attempt)}{number:05d}.json"


def pages_folder(attempt: Attempt) -> str:
    """Below it lies what page parts leave."""
    return f"results/{attempt.job.id}/pages/{attempt.start.pin[:16]}/"
