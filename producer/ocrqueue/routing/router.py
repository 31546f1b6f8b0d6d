"""Router: what a client does to its jobs before they are queued."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from ocrqueue.errors import OcrQueueError
from ocrqueue.job import Job
from ocrqueue.job.names import Priority
from ocrqueue.routing.engine_status import EnginesNow
from ocrqueue.routing.languages import check_languages
from ocrqueue.routing.policy import check_known, make_route

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

_FRESH_S: Final = 2.0
_MEANWHILE_S: Final = 1.0


@dataclass
class _Known:
    """The installation as read at one moment, and what was found out by it."""

    installation: EnginesNow
    read_at: float
    """When that began, by time.monotonic()."""
    checked: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    """Engines and languages that fit."""
    added: Counter[tuple[str, Priority]] = field(default_factory=Counter)
    """Jobs that have gone to an engine's lane since, from here."""


class Router:
    """Checks jobs, and makes their routes, by an installation that is read again when that is 2 s old.

    Nothing is refused by what was read earlier: then it is read again, and looked at again. Threads may share it: they
    share what one of them reads, too, so that a Redis that is silent costs each of them one timeout.
    """

    def __init__(self, settings: ClientSettings, read: Callable[[], EnginesNow]) -> None:
        """`read` asks Redis; see `read_engines`."""
        self._settings = settings
        self._read = read
        self._known: _Known | None = None
        self._reading: Future[_Known] | None = None
        self._sent_to_ask_at = -_MEANWHILE_S
        """By time.monotonic(): when prepare_at_once() had somebody ask Redis."""
        self._lock = Lock()
        """Of what is known. Not held while Redis is asked."""

    def prepare(self, job: Job) -> Job:
        """The job as it is to be queued.

        Raises EngineUnknown, LanguageUnsupported, SettingsInvalid, BrokerUnavailable.
        """
        asked_at = time.monotonic()
        known = self._known
        if known is None or asked_at - known.read_at >= _FRESH_S:
            known = self._read_now()
        while True:
            try:
                with self._lock:
                    return _prepared(job, self._settings, known)
            except OcrQueueError:
                if known.read_at >= asked_at:
                    raise
            known = self._read_now()

    def prepare_at_once(self, job: Job) -> Job | None:
        """The same by what is known; None where Redis is to be asked first, by `prepare`. It never waits.

        Of many who come once it is 2 s old the first is to ask; what is known does for the others meanwhile.
        """
        now, known = time.monotonic(), self._known
        if known is None or now - known.read_at >= _FRESH_S + _MEANWHILE_S:
            return None
        if now - known.read_at >= _FRESH_S and now - self._sent_to_ask_at >= _MEANWHILE_S:
            self._sent_to_ask_at = now
            return None
        try:
            with self._lock:
                return _prepared(job, self._settings, known)
        except OcrQueueError:
            return None

    def _read_now(self) -> _Known:
        """By this thread, or by another one that is at it."""
        with self._lock:
            reading = self._reading
            ours = reading is None
            if reading is None:
                reading = self._reading = Future()
        if ours:
            began = time.monotonic()
            try:
                known = _Known(self._read(), began)
            except BaseException as error:
                self._reading = None
                reading.set_exception(error)
            else:
                self._known, self._reading = known, None
                reading.set_result(known)
        try:
            return reading.result()
        except OcrQueueError as error:
            raise copy(error) from error  # each caller notes in its own what became of its jobs


def _prepared(job: Job, settings: ClientSettings, known: _Known) -> Job:
    if job.wants_route:
        by_queue = settings.auto_policy == "shortest"
        job = make_route(job, settings, _with_added(known) if by_queue else known.installation)
    elif job.route is None and (job.engine, job.languages) not in known.checked:
        check_known(job.engine, settings, known.installation)
        check_languages(job, known.installation, settings)
        known.checked.add((job.engine, job.languages))
    known.added[job.engine, job.priority] += 1
    return job


def _with_added(known: _Known) -> EnginesNow:
    """With the jobs that have gone there since: else all of a large submission went to one queue."""
    found = dict(known.installation)
    for (engine, lane), jobs in known.added.items():
        if (status := found.get(engine)) is not None:
            waiting = {**status.waiting, lane: status.waiting.get(lane, 0) + jobs}
            found[engine] = status.model_copy(update={"waiting": waiting})
    return found
