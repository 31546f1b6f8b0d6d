"""The pages of a large Document on their way to storage: each an object of its own, and result.json the envelope.

Of a document that was read in parts they are there already, as the parts have left them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ocrqueue.document import MOST_INLINE, Document, Page, PageObject, PageObjects, PagesTally, ahead, stored_document
from ocrqueue_worker.pipeline.attempt import Attempt


def is_large(pages: int) -> bool:
    return pages > MOST_INLINE


def written(document: Document) -> bytes:
    """As it stands in storage."""
    if isinstance(document.pages, PageObjects):
        # what is not checked is not refused: an envelope says where its pages are
        document = document.model_copy(update={"pages": ()})
    return document.model_dump_json().encode()


def as_stored(attempt: Attempt, document: Document, of: str = "") -> Document:
    """`document`; where it is large, its pages are stored now and it names them. `of`: the engine that alone has read
    it, where it is not the result."""
    if not is_large(len(document.pages)) or isinstance(document.pages, PageObjects):
        return document
    return with_stored_pages(attempt, document, document.pages, folder=own_folder(attempt, of))


def with_stored_pages(
    attempt: Attempt,
    document: Document,
    pages: Iterable[Page],
    change: Callable[[Page], Page] = lambda page: page,
    *,
    folder: str,
) -> Document:
    """`document` with these pages, as `change` makes them, each stored on its own. No more than a few are in memory."""
    tally = PagesTally()
    of_one = document.model_copy(
        update={"trail": (), "errors": (), "warnings": (), "outputs": (), "page_objects": (), "summary": None}
    )

    def store(page: Page) -> PageObject:
        own = of_one.model_copy(update={"pages": (change(page),)})
        key = f"{folder}{page.number:05d}.json"
        uri = attempt.storage.put(key, own.model_dump_json().encode(), "application/json")
        return PageObject(number=page.number, uri=uri, error=page.error)

    def counted() -> Iterator[Page]:
        for page in pages:
            tally.add(page)
            yield page

    return of_objects(attempt, document, tuple(ahead(store, counted(), threads(attempt))), tally)


def of_objects(attempt: Attempt, document: Document, objects: tuple[PageObject, ...], tally: PagesTally) -> Document:
    """`document` with pages that are stored."""
    pages = PageObjects(objects, stored_document, attempt.storage)
    return document.model_copy(update={"pages": pages, "page_objects": objects, "summary": tally.summary()})


def own_folder(attempt: Attempt, of: str = "") -> str:
    """Each attempt has a place of its own, as for crops: neither touches what the other's result names."""
    return f"results/{attempt.job.id}/pages/{attempt.name or 1}{of and f'-{of}'}/"


def threads(attempt: Attempt) -> int:
    """That read pages, or store them."""
    return attempt.workplace.settings.upload_threads
