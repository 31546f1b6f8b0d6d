"""Pictures of a job's pages: where their file is, and the tiles that are made of it."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.document import Document
from ocrqueue.errors import OutputMissing, PictureUnavailable, StorageDenied, StorageNotFound, UploadNoRoom
from ocrqueue.job.references import input_name
from ocrqueue_gateway.pictures.archive import Archive
from ocrqueue_gateway.pictures.disk_cache import DiskCache
from ocrqueue_gateway.pictures.process import Processes
from ocrqueue_gateway.pictures.task import Task

AT_ONCE: Final = 2
"""Processes of a replica that open files: each takes the memory of a page's pixels."""
THUMBNAILS: Final = 16
"""Pages whose small pictures are made together: opening the file takes the most time."""
_MOST_OPEN: Final = 64
_MOST_SOURCES: Final = 1000
_TRIES: Final = 3
"""Where a file is pushed out by others' between its making and its reading."""
_NO_ROOM: Final = "More is looked at than OCRQUEUE_GATEWAY_PICTURES_BYTES has room for."


@dataclass(frozen=True)
class Source:
    """A file in storage that shows a job's pages."""

    uri: str
    sha256: str | None
    """Of what was read; None: its name is its sum, or it is the job's own."""
    numbers: tuple[int, ...] | None = None
    """The job's pages of which this file has one each, in order; None: its pages are numbered as the job's."""

    @property
    def name(self) -> str:
        return hashlib.sha256(f"{self.uri} {self.sha256}".encode()).hexdigest()[:40]

    def number(self, page: int) -> int:
        """In this file. Raises PictureUnavailable."""
        if self.numbers is None:
            return page
        if page not in self.numbers:
            raise PictureUnavailable("The file has no such page.")
        return self.numbers.index(page) + 1


class Pictures:
    """Of one replica."""

    def __init__(self, queue: AsyncOcrQueue, most_bytes: int) -> None:
        self._queue = queue
        self._cache = DiskCache(most_bytes)
        self._processes = Processes()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._open: dict[Path, Archive] = {}
        self._sources: dict[tuple[str, str], Source] = {}
        """Of jobs that have ended: their id and result."""

    async def close(self) -> None:
        await self._cache.close()
        await self._processes.close()

    async def source(self, status: JobStatus, read: Callable[[], Awaitable[Document]]) -> Source:
        """The file that was sent, or the searchable PDF that the job has stored. `read` gives the Document. Raises
        PictureUnavailable, and as `read`."""
        if status.state not in WITH_RESULT:
            if self._queue.storage.owns(status.image) and input_name(status.image) is not None:
                return Source(status.image, None)
            raise PictureUnavailable("The page can be shown once the job has ended.")
        known = (status.id, status.result or "")
        if known not in self._sources:
            found = self._source_of(await read())
            if len(self._sources) >= _MOST_SOURCES:
                self._sources.clear()
            self._sources[known] = found
        return self._sources[known]

    def _source_of(self, document: Document) -> Source:
        if self._queue.storage.owns(document.input.uri):
            return Source(document.input.uri, document.input.sha256)
        with suppress(OutputMissing):
            return Source(document.output("pdf").uri, None, document.page_numbers)
        raise PictureUnavailable(
            "The file that was read is not in storage.",
            remedy="Send the file instead of a reference to it, or submit with outputs=pdf.",
        )

    async def page(self, source: Source, number: int, size: tuple[int, int] | None) -> Mapping[str, Any]:
        """What is to be known of the tiles of a page. `size`: of the page's pixels, as its words have it. Raises
        PictureUnavailable, UploadNoRoom, and what storage raises."""
        return (await self._archive(*_tiles(source, number, size))).about

    async def tile(self, source: Source, number: int, size: tuple[int, int] | None, name: str) -> bytes:
        """Raises as page()."""
        found = await self._picture(name, *_tiles(source, number, size))
        if found is None:
            raise PictureUnavailable("The picture has no such tile.")
        return found

    async def thumbnail(self, source: Source, number: int) -> bytes:
        """Raises as page()."""
        at = source.number(number)
        first = (at - 1) // THUMBNAILS * THUMBNAILS + 1
        pages = tuple(range(first, first + THUMBNAILS))
        found = await self._picture(str(at), f"{source.name}-s{first}", source, "thumbnails", pages, None)
        if found is None:
            raise PictureUnavailable("This page cannot be drawn.")
        return found

    async def _picture(self, picture: str, *archive: Any) -> bytes | None:
        for _ in range(_TRIES):
            found = await self._archive(*archive)
            with suppress(FileNotFoundError):
                return await asyncio.to_thread(found.read, picture)
        raise UploadNoRoom(_NO_ROOM)

    async def _archive(
        self, name: str, source: Source, kind: str, pages: tuple[int, ...], size: tuple[int, int] | None
    ) -> Archive:
        make = partial(self._make, source=source, asked={"kind": kind, "pages": pages, "size": size})
        for _ in range(_TRIES):
            path = await self._cache.file(name, make)
            # while nobody waits it stays: what is made for others may then push it out
            if (found := self._open.get(path)) is not None:
                return found
            with suppress(FileNotFoundError):
                found = await self._opened(name, path)
                if len(self._open) >= _MOST_OPEN:
                    self._open.clear()
                self._open[path] = found
                return found
        raise UploadNoRoom(_NO_ROOM)

    async def _opened(self, name: str, path: Path) -> Archive:
        """Raises FileNotFoundError; PictureUnavailable where the process has not written what it was to."""
        try:
            return await asyncio.to_thread(Archive.open, path)
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            self._cache.forget(name)
            raise PictureUnavailable() from None

    async def _make(self, target: Path, source: Source, asked: dict[str, Any]) -> None:
        settings = self._queue.settings
        async with self._room:
            # a name of its own: what is made for others meanwhile may push the file out
            own = target.with_suffix(".source")
            await self._hold(source, own)
            seconds = settings.pdf_page_timeout_s
            task = Task(
                source=str(own),
                target=str(target),
                max_pixels=settings.image_max_pixels,
                max_bytes=self._cache.most_bytes,
                cpu_s=max(1, round(seconds)),
                **asked,
            )
            try:
                await self._processes.carry_out(task, 2 * seconds)
            finally:
                own.unlink(missing_ok=True)
            if not target.exists():
                raise PictureUnavailable()

    async def _hold(self, source: Source, link: Path) -> None:
        for _ in range(_TRIES):
            file = await self._cache.file(source.name, partial(self._fetch, source=source))
            with suppress(FileNotFoundError):
                link.hardlink_to(file)
                return
        raise UploadNoRoom(_NO_ROOM)

    async def _fetch(self, target: Path, source: Source) -> None:
        try:
            await asyncio.to_thread(self._copy, source, target)
        except (StorageNotFound, StorageDenied):
            raise PictureUnavailable("The file that was read is no longer in storage.") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise UploadNoRoom() from None
            raise

    def _copy(self, source: Source, target: Path) -> None:
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as file:
            for piece in self._queue.storage.pieces(source.uri):
                digest.update(piece)
                size += len(piece)
                if size > self._cache.most_bytes:
                    raise UploadNoRoom("The file is larger than OCRQUEUE_GATEWAY_PICTURES_BYTES.")
                file.write(piece)
        if source.sha256 is not None and digest.hexdigest() != source.sha256:
            raise PictureUnavailable("The file in storage is no longer the one that was read.")


def _tiles(
    source: Source, number: int, size: tuple[int, int] | None
) -> tuple[str, Source, str, tuple[int], tuple[int, int] | None]:
    """Arguments of Pictures._archive."""
    name = f"{source.name}-{number}-" + ("x" if size is None else f"{size[0]}x{size[1]}")
    return name, source, "tiles", (source.number(number),), size
