"""Pages of jobs as columns of words, kept for a while: who reads a document looks at its pages again and again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.document import Document
from ocrqueue_gateway.jobs.results import check_result
from ocrqueue_gateway.pages.reading.words import columns, size_of

_MOST_BYTES: Final = 48 * 1024 * 1024
_MOST_SIZES: Final = 10_000
_MOST_WORDS: Final = 50_000
"""Of documents that are kept as a whole: some kilobytes each."""

Known = tuple[str, str]
"""A job that has ended, and its result."""


class Documents:
    """Of one replica. What is kept is of jobs that have ended; whose they are is asked each time before."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[Known, int], bytes] = OrderedDict()
        self._bytes = 0
        self._documents: OrderedDict[Known, tuple[Document, int]] = OrderedDict()
        """And how many words of it are in memory."""
        self._sizes: dict[tuple[str, int, int], tuple[int, int] | None] = {}
        self._reading: dict[Known, asyncio.Task[Document]] = {}

    async def document(self, queue: AsyncOcrQueue, status: JobStatus) -> Document:
        """Of one of many pages the envelope is kept, of others what has no more than some words. Raises as
        document_of()."""
        check_result(status)
        known = _known(status)
        if (found := self._documents.get(known)) is not None:
            self._documents.move_to_end(known)
            return found[0]
        # once, however many ask meanwhile
        reading = self._reading.get(known)
        if reading is None:
            reading = self._reading[known] = asyncio.create_task(queue.document(status))
            reading.add_done_callback(lambda _: self._reading.pop(known, None))
        read = await asyncio.shield(reading)
        size = len(read.page_objects) or status.words or 0
        if size <= _MOST_WORDS:
            self._documents[known] = (read, size)
        while sum(words for _, words in self._documents.values()) > _MOST_WORDS:
            self._documents.popitem(last=False)
        return read

    async def page(self, queue: AsyncOcrQueue, status: JobStatus, number: int) -> bytes:
        """As `columns` has it. Raises PageNotFound, and as document()."""
        if status.state not in WITH_RESULT:
            check_result_of_page(status)
            found = await queue.page(status.id, number)
            return await asyncio.to_thread(columns, found, status.engine)
        known = (_known(status), number)
        if (kept := self._pages.get(known)) is not None:
            self._pages.move_to_end(known)
            return kept
        document = await self.document(queue, status)
        made = await asyncio.to_thread(_columns, document, number)
        self._keep(known, made)
        return made

    async def size(self, queue: AsyncOcrQueue, status: JobStatus, number: int) -> tuple[int, int] | None:
        """Of a page, in the pixels that its words have: each of its tiles asks for it. Raises as page()."""
        known = (status.id, status.attempts, number)
        if known not in self._sizes:
            found = size_of(await self.page(queue, status, number))
            if len(self._sizes) >= _MOST_SIZES:
                self._sizes.clear()
            self._sizes[known] = found
        return self._sizes[known]

    def _keep(self, known: tuple[Known, int], made: bytes) -> None:
        if known not in self._pages:
            self._pages[known] = made
            self._bytes += len(made)
        while self._bytes > _MOST_BYTES and self._pages:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= len(oldest)


def documents_of(request: Request) -> Documents:
    """Of this replica."""
    state = request.app.state
    if not hasattr(state, "documents"):
        state.documents = Documents()
    found: Documents = state.documents
    return found


def check_result_of_page(status: JobStatus) -> None:
    """A job at work has pages; one that has ended without a result has none. Raises as check_result()."""
    if status.finished:
        check_result(status)


def _known(status: JobStatus) -> Known:
    return status.id, f"{status.result} {status.finished_at}"


def _columns(document: Document, number: int) -> bytes:
    return columns(document.page(number), document.engine.name)
