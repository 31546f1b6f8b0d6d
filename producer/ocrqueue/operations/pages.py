"""The pages of a job as they are read: which can be had now, and where. For both clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ocrqueue.core.keys import Keys
from ocrqueue.core.records import stored_job
from ocrqueue.core.steps import Commands, Steps
from ocrqueue.document import Document, Page
from ocrqueue.errors import ErrorInfo, PageNotFound
from ocrqueue.job.page_selection import PageSelection

AT_ONCE: Final = 50
"""Parts that are asked for in one round trip."""
SPLIT_FIELDS: Final = ("pin", "parts", "job")
"""What the record says of the job's parts."""


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page whose part is done: in storage at `key`, or failed."""

    number: int
    key: str
    error: ErrorInfo | None

    def failed(self) -> Page:
        return Page(number=self.number, width=0, height=0, error=self.error)


@dataclass(frozen=True, slots=True)
class SplitPages:
    """Of a job that is read in parts, a page each: which they are, and where they are stored."""

    job_id: str
    pin: str
    parts: int
    selection: PageSelection

    @classmethod
    def of(cls, job_id: str, fields: Sequence[bytes | None]) -> SplitPages | None:
        """By SPLIT_FIELDS of the record; None where it is not split."""
        pin, parts, job = fields
        if pin is None or parts is None or job is None:
            return None
        selection = stored_job(job_id, job.decode(errors="replace")).page_selection
        return cls(job_id, pin.decode(), int(parts), selection)

    def number(self, part: int) -> int:
        """Of the page that a part reads."""
        return self.selection.nth(part)

    def part(self, number: int) -> int | None:
        """That reads page `number`."""
        before = len(self.selection.among(number - 1)) if self.selection.has(number) else self.parts
        return before + 1 if before < self.parts else None

    def key(self, part: int) -> str:
        """Where its page is in storage."""
        return f"results/{self.job_id}/pages/{self.pin[:16]}/{part:05d}.json"

    def read(self, part: int, error: bytes) -> ReadPage:
        """`error` is empty where there was none."""
        info = ErrorInfo.model_validate_json(error) if error else None
        return ReadPage(self.number(part), self.key(part), info)


def page_now(keys: Keys, job_id: str, number: int) -> Steps[ReadPage | None]:
    """Page `number` of a job at work, if it has been read. Raises PageNotFound."""
    (fields,) = yield Commands([("HMGET", keys.record(job_id), *SPLIT_FIELDS)])
    split = SplitPages.of(job_id, fields)
    if split is None:
        return None
    part = split.part(number)
    if part is None:
        raise PageNotFound(f"The job reads no page {number}.")
    (error,) = yield Commands([("HGET", keys.parts_done(job_id), f"{part:05d}")])
    return None if error is None else split.read(part, error)


def pages_now(keys: Keys, job_id: str) -> Steps[tuple[int, ...]]:
    """The numbers of the pages of a job at work that have been read, in order."""
    fields, done = yield Commands([("HMGET", keys.record(job_id), *SPLIT_FIELDS), ("HKEYS", keys.parts_done(job_id))])
    split = SplitPages.of(job_id, fields)
    return () if split is None else tuple(split.number(part) for part in sorted(map(int, done)))


class PagesRead:
    """The pages of one job. Each is handed out once, in order or as they come."""

    def __init__(self, job_id: str, in_order: bool) -> None:
        self.job_id = job_id
        self._in_order = in_order
        self._split: SplitPages | None = None
        self._next = 1
        self._handed: set[int] = set()

    @property
    def is_split(self) -> bool:
        """Else learn() is to be told."""
        return self._split is not None

    def learn(self, fields: Sequence[bytes | None]) -> None:
        """SPLIT_FIELDS of the record."""
        self._split = SplitPages.of(self.job_id, fields)

    def asked(self) -> list[list[str]]:
        """Fields of the hash of parts that are done, in the order in which they are to be looked at."""
        count = self._split.parts if self._split is not None else 0
        parts = [part for part in range(self._next, count + 1) if part not in self._handed]
        return [[f"{part:05d}" for part in parts[at : at + AT_ONCE]] for at in range(0, len(parts), AT_ONCE)]

    def found(self, fields: Sequence[str], errors: Sequence[bytes | None]) -> Iterator[ReadPage]:
        """Those that can be had now; one counts as handed out when the next is asked for."""
        for field, error in zip(fields, errors, strict=True):
            part = int(field)
            if error is None or self._split is None:
                if self._in_order:
                    return
                continue
            yield self._split.read(part, error)
            self._handed.add(part)
            while self._next in self._handed:
                self._handed.discard(self._next)
                self._next += 1

    def stops_at(self, fields: Sequence[str]) -> bool:
        """Whether what comes after these has to wait for them."""
        return self._in_order and self._next <= int(fields[-1])

    def rest(self, document: Document) -> Iterator[Page]:
        """What has not been handed out by the end."""
        split = self._split
        handed = {split.number(part) for part in (*self._handed, *range(1, self._next))} if split is not None else set()
        if not handed:
            yield from document.pages
        else:
            yield from (document.page(number) for number in document.page_numbers if number not in handed)
