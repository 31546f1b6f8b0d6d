"""The pages of a job as they are read: which can be had now, and where. No I/O here, for both clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ocrqueue.core.records import stored_job
from ocrqueue.document import Document, Page
from ocrqueue.errors import ErrorInfo
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


class PagesRead:
    """The pages of one job. Each is handed out once, in order or as they come."""

    def __init__(self, job_id: str, in_order: bool) -> None:
        self.job_id = job_id
        self._in_order = in_order
        self._pin = ""
        self._parts = 0
        self._selection = PageSelection()
        self._next = 1
        self._handed: set[int] = set()

    @property
    def is_split(self) -> bool:
        """Else learn() is to be told."""
        return self._parts > 0

    def learn(self, fields: Sequence[bytes | None]) -> None:
        """SPLIT_FIELDS of the record."""
        pin, parts, job = fields
        if pin is not None and parts is not None and job is not None:
            self._pin, self._parts = pin.decode(), int(parts)
            self._selection = stored_job(self.job_id, job.decode(errors="replace")).page_selection

    def asked(self) -> list[list[str]]:
        """Fields of the hash of parts that are done, in the order in which they are to be looked at."""
        parts = [part for part in range(self._next, self._parts + 1) if part not in self._handed]
        return [[f"{part:05d}" for part in parts[at : at + AT_ONCE]] for at in range(0, len(parts), AT_ONCE)]

    def found(self, fields: Sequence[str], errors: Sequence[bytes | None]) -> Iterator[ReadPage]:
        """Those that can be had now; one counts as handed out when the next is asked for."""
        for field, error in zip(fields, errors, strict=True):
            part = int(field)
            if error is None:
                if self._in_order:
                    return
                continue
            info = ErrorInfo.model_validate_json(error) if error else None
            key = f"results/{self.job_id}/pages/{self._pin[:16]}/{part:05d}.json"
            yield ReadPage(self._selection.nth(part), key, info)
            self._handed.add(part)
            while self._next in self._handed:
                self._handed.discard(self._next)
                self._next += 1

    def stops_at(self, fields: Sequence[str]) -> bool:
        """Whether what comes after these has to wait for them."""
        return self._in_order and self._next <= int(fields[-1])

    def rest(self, document: Document) -> Iterator[Page]:
        """What has not been handed out by the end."""
        handed = {self._selection.nth(part) for part in self._handed}
        handed |= {self._selection.nth(part) for part in range(1, self._next)}
        yield from (page for page in document.pages if page.number not in handed)
