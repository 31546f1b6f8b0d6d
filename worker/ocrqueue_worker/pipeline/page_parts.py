"""A document that is read in parts: what a page part leaves in storage, and how the closing part gathers it.

`results/<job id>/pages/<pin>/<number>.json` is the page as a Document of its own, crops named. By the pin, so that no
page of another content is ever taken for one of this. All are deleted before the job ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from ocrqueue.core import Outcome
from ocrqueue.document import Document, InputInfo, Page, Timings, stored_document
from ocrqueue.errors import ErrorInfo, SourceChanged, StorageNotFound, error_from_info
from ocrqueue_worker.pipeline.attempt import Attempt


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

    read: Sequence[Document]
    """Of a page each, in order."""
    failed: dict[int, ErrorInfo]
    """By the number of the part."""

    @property
    def spent(self) -> Timings:
        spent = [document.timings.model_dump() for document in self.read]
        return Timings.model_validate({step: sum(each[step] for each in spent) for step in Timings.model_fields})


def gather(attempt: Attempt) -> Gathered:
    """Raises SourceChanged where a page part found another source, and the first page's error where none could be
    read."""
    failed = attempt.workplace.registry.page_errors(attempt.job.id)
    for error in failed.values():
        if error.code == SourceChanged.code:
            raise error_from_info(error)
    numbers = [number for number in range(1, attempt.start.pages + 1) if number not in failed]
    if not numbers:
        raise error_from_info(failed[1])
    uris = [attempt.storage.uri(_page_key(attempt, number)) for number in numbers]
    return Gathered(documents_at(attempt, uris), failed)


def documents_at(attempt: Attempt, uris: Sequence[str]) -> list[Document]:
    """Those that parts of this job have stored there."""
    with attempt.watch.measure("fetch_s"), ThreadPoolExecutor(attempt.workplace.settings.upload_threads) as pool:
        return list(pool.map(lambda uri: stored_document(attempt.storage.read_uri(uri)), uris))


def together(attempt: Attempt, read: Sequence[Document], failed: dict[int, ErrorInfo]) -> Document:
    """One Document of those of single pages, one at least, and of the parts that failed."""
    pages = [page for document in read for page in document.pages]
    number_of = attempt.job.page_selection.nth
    pages += [Page(number=number_of(part), width=0, height=0, error=error) for part, error in failed.items()]
    errors = (*(error for document in read for error in document.errors), *failed.values())
    warnings = dict.fromkeys(warning for document in read for warning in document.warnings)
    return read[0].model_copy(
        update={
            "status": "partial" if errors else "succeeded",
            "attempts": attempt.start.number,
            "finished_at": datetime.now(UTC),
            "pages": tuple(sorted(pages, key=lambda page: page.number)),
            "errors": errors,
            "warnings": tuple(warnings),
        }
    )


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
