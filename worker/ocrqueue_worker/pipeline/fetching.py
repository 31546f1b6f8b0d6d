"""The bytes of a job's source: fetched, or found on this machine's disk where another part has fetched them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from ocrqueue.document import InputInfo
from ocrqueue.job import Job
from ocrqueue.job.references import redact_uri
from ocrqueue_worker.limits.heap import note_use
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.sources import fetch
from ocrqueue_worker.sources.cache import SourceCache
from ocrqueue_worker.telemetry import metrics


@dataclass(frozen=True, slots=True)
class Fetched:
    """`file` is it on the disk, and then `data` is read where it is needed."""

    source: InputInfo
    file: BinaryIO | None
    _data: bytes | None

    @property
    def data(self) -> bytes:
        if self._data is not None:
            return self._data
        assert self.file is not None  # noqa: S101 (one of both is there)
        self.file.seek(0)
        return self.file.read()

    def ends(self, length: int) -> tuple[bytes, bytes]:
        """The first and the last bytes."""
        if self._data is not None or self.file is None:
            return self.data[:length], self.data[-length:]
        self.file.seek(0)
        first = self.file.read(length)
        self.file.seek(max(0, (self.source.bytes or 0) - length))
        return first, self.file.read()


@contextmanager
def fetched(attempt: Attempt) -> Iterator[Fetched]:
    """What the job refers to. A page part takes what its document was when it was split, if it is at hand."""
    if attempt.hold.page is None:
        yield fetch_whole(attempt)
        return
    cache, pin = SourceCache.of(attempt.workplace.settings), attempt.start.pin
    file = cache.find(pin) if cache is not None else None
    made = None
    if file is None and cache is not None:
        with cache.alone(pin):
            file = cache.find(pin)
            if file is None:
                made = fetch_whole(attempt)
                if made.source.sha256 == pin:
                    cache.keep(pin, made.data)
    if file is None:
        yield made or fetch_whole(attempt)
        return
    with file:
        size = file.seek(0, 2)
        yield Fetched(source_of(attempt.job, pin, size), file, None)


def keep_for_parts(attempt: Attempt, found: Fetched) -> None:
    """The document is to be read in parts: those that are read on this machine need not fetch it."""
    cache = SourceCache.of(attempt.workplace.settings)
    if cache is not None and found.source.sha256:
        cache.keep(found.source.sha256, found.data)


def forget_after_parts(attempt: Attempt) -> None:
    cache = SourceCache.of(attempt.workplace.settings)
    if cache is not None:
        cache.forget(attempt.start.pin)


def fetch_whole(attempt: Attempt) -> Fetched:
    job, workplace = attempt.job, attempt.workplace
    data = fetch(job.image, workplace.settings, workplace.storage)
    metrics.image_fetched(job.engine, len(data))
    note_use(len(data))
    return Fetched(source_of(job, hashlib.sha256(data).hexdigest(), len(data)), None, data)


def source_of(job: Job, sha256: str, size: int) -> InputInfo:
    """What is known of the source before it is opened."""
    return InputInfo(uri=redact_uri(job.image), sha256=sha256, format="", bytes=size, name=job.name)
