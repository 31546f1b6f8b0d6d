"""Looks at a place again and again: submits what is new and whole, and moves away what was read."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ocrqueue.client import OcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.errors import (
    BrokerUnavailable,
    ErrorInfo,
    JobCancelled,
    JobUnknown,
    OcrQueueError,
    QueueFull,
    SourceChanged,
    StorageUnavailable,
)
from ocrqueue.submitting.submission import JobFields
from ocrqueue.watching.places import Found, Place, idempotency_key

_log = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Files whose jobs have not ended."""
_MOST_UNSETTLED: Final = 10_000
"""Files that may still be written, of which it is remembered how they were."""
_PASSING: Final = (BrokerUnavailable, StorageUnavailable, QueueFull)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a file."""

    name: str
    job_id: str
    """Empty where none was made."""
    failure: ErrorInfo | None


@dataclass(frozen=True, slots=True)
class _UnderWay:
    found: Found
    job_id: str


class Watcher:
    """One for a place; a second one does no harm."""

    def __init__(
        self,
        queue: OcrQueue,
        place: Place,
        fields: JobFields,
        *,
        settle_s: float = 2.0,
        at_once: int = AT_ONCE,
        told: Callable[[Ended], None] = lambda _: None,
    ) -> None:
        """`settle_s`: a file is whole once it has not changed for so long."""
        self._queue, self._place, self._fields = queue, place, fields
        self._settle_s, self._at_once, self._told = settle_s, at_once, told
        self._stopped = threading.Event()
        self._unsettled: dict[str, tuple[str, float]] = {}
        """Name -> its state, and since when, on time.monotonic()."""
        self._under_way: dict[str, _UnderWay] = {}
        self._complained: dict[str, str] = {}
        """What was said of a name, so that it is said once."""

    def stop(self) -> None:
        """After the file in hand. What is under way goes on, and is moved by whoever looks next."""
        self._stopped.set()

    def run(self, interval_s: float, *, until_empty: bool = False) -> None:
        """Until stop(), through outages; or until nothing is left that is to be moved.

        Raises OcrQueueError where the place or the account is wrong, OSError where the folder is not there.
        """
        while not self._stopped.is_set():
            try:
                left = self.look()
            except _PASSING as error:
                self._complain("", str(error))
                left = True
            if until_empty and not left:
                return
            self._stopped.wait(interval_s)

    def look(self) -> bool:
        """Once. Whether there is something to come back for."""
        self._move_what_has_ended()
        seen: set[str] = set()
        for found in self._place.found():
            if self._stopped.is_set():
                return True
            seen.add(found.name) if len(seen) < _MOST_UNSETTLED else None
            if found.name in self._under_way:
                continue
            if len(self._under_way) >= self._at_once:
                break
            if self._is_settled(found):
                self._submit(found)
        else:
            self._forget_all_but(seen)
        return bool(self._under_way or self._unsettled)

    def _is_settled(self, found: Found) -> bool:
        if not self._place.settles:
            return True
        state, since = self._unsettled.get(found.name, ("", 0.0))
        if state == found.state and time.monotonic() - since >= self._settle_s:
            return True
        if state != found.state and (state or len(self._unsettled) < _MOST_UNSETTLED):
            self._unsettled[found.name] = (found.state, time.monotonic())
        return False

    def _submit(self, found: Found) -> None:
        """Raises what passes; what is wrong with the file sets it aside."""
        try:
            with self._place.opened(found) as image:
                key = idempotency_key(self._place, found)
                fields: JobFields = {**self._fields, "idempotency_key": key}
                job = self._queue.submit(image, **fields)
        except _PASSING:
            raise
        except (SourceChanged, FileNotFoundError):
            return  # it is looked at again
        except OcrQueueError as error:
            self._set_aside(found, "", error.info)
        except OSError as error:
            self._complain(found.name, f"cannot be read: {error.strerror}")
        else:
            self._unsettled.pop(found.name, None)
            self._under_way[found.name] = _UnderWay(found, job.id)

    def _move_what_has_ended(self) -> None:
        under_way = list(self._under_way.values())
        statuses = self._queue.statuses([each.job_id for each in under_way])
        for each, status in zip(under_way, statuses, strict=True):
            if status is None or status.finished:
                self._set_aside(each.found, each.job_id, self._failure(each.job_id, status))

    def _failure(self, job_id: str, status: JobStatus | None) -> ErrorInfo | None:
        if status is None:
            return JobUnknown(f"The record of job {job_id} has expired.").info
        if status.state == "cancelled":
            return JobCancelled().info
        return status.error if status.state == "failed" else None

    def _set_aside(self, found: Found, job_id: str, failure: ErrorInfo | None) -> None:
        """To where it belongs; what cannot be moved stays, and is tried again."""
        try:
            is_moved = self._place.move(found, job_id, failure)
        except (OSError, OcrQueueError) as error:
            self._complain(found.name, f"cannot be moved: {getattr(error, 'strerror', None) or error}")
            return
        self._under_way.pop(found.name, None)
        self._unsettled.pop(found.name, None)
        self._complained.pop(found.name, None)
        if is_moved:
            self._told(Ended(found.name, job_id, failure))

    def _complain(self, name: str, what: str) -> None:
        if self._complained.get(name) != what:
            self._complained[name] = what
            _log.warning("%s: %s", name or self._place.shown, what)
        while len(self._complained) > _MOST_UNSETTLED:
            del self._complained[next(islice(self._complained, 1))]

    def _forget_all_but(self, seen: set[str]) -> None:
        """What is not there any more."""
        for name in self._unsettled.keys() - seen:
            del self._unsettled[name]
