"""What one worker does for all: what lost workers had goes back, pauses end, messages of foreign apps are taken in,
and what jobs have stored that ended without a result is removed.

Whose heartbeat finds the duties free has them; a thread of its own does them, since they can take a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Final

import structlog

from ocrqueue.core import WorkerInfo, WorkerRegistry
from ocrqueue.core.installation import live_workers, note_children
from ocrqueue.core.intake import foreign_lists, take_in_foreign
from ocrqueue.core.reclaimer import reclaim
from ocrqueue.core.side_lanes import MOST_AT_ONCE, may_take, side_lanes
from ocrqueue.errors import BrokerUnavailable, OcrQueueError
from ocrqueue.leftovers import Tidying
from ocrqueue.routing import Router, read_engines
from ocrqueue.settings import WorkerSettings

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 1.5
_ROUNDS_A_LEASE: Final = 4
"""At least: who reclaims less than twice a lease grants leases again instead."""
_WORKERS_READ: Final = 4
"""Rounds' time, until it is read again who is there: which engines foreign apps may send to, and how many children
share a lane."""

_UNSERVED_S: Final = 30.0
"""That a side lane may have nobody who takes from it, at least: a worker that is started again is back by then."""
_READMITTED_AT_ONCE: Final = 50
_MOST_READMITTED: Final = 1000


class SharedDuties:
    """Off duty until told otherwise."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._ours, self._stopped, self._now = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._every_s = min(_EVERY_S, settings.lost_after_s / _ROUNDS_A_LEASE)
        self._workers = _Again(_WORKERS_READ * self._every_s)
        self._lists: list[str] = []
        self._tidying = Tidying(settings)
        self._side_lanes = SideLaneDuty(max(_UNSERVED_S, settings.lost_after_s))

    def are_ours(self, ours: bool) -> None:
        if not ours:
            self._ours.clear()
            return
        self._ours.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="shared duties")
            self._thread.start()

    def look_now(self) -> None:
        """The next round is not to wait for its time."""
        self._now.set()

    def stop(self) -> None:
        self._stopped.set()
        self._ours.set()
        self._now.set()

    def _run(self) -> None:
        more = False
        with closing(WorkerRegistry(self._settings)) as registry:
            router = Router(self._settings, lambda: read_engines(registry))
            while True:
                self._now.wait(0 if more else self._every_s)
                self._now.clear()
                self._ours.wait()
                if self._stopped.is_set():
                    return
                more = False
                try:
                    more = self._do(registry, router)
                except BrokerUnavailable:
                    pass  # the heartbeat tells of it
                except OcrQueueError as error:
                    _log.warning("cannot do the shared duties", error=error.code)
                except Exception as error:
                    # let through, it would end this for as long as the worker lives
                    _log.error("met an unexpected error", exc_info=error)

    def _do(self, registry: WorkerRegistry, router: Router) -> bool:
        """One round. Returns whether the next is due at once."""
        self._reclaim(registry)
        if self._workers.is_due():
            workers = live_workers(registry)
            self._lists = foreign_lists(workers, self._settings)
            note_children(registry, workers)
            self._side_lanes.sweep(registry, workers)
            self._workers.done()
        taken_in = take_in_foreign(registry, router.prepare, self._lists)
        if taken_in.became:
            _log.info("messages of foreign apps are jobs now", **taken_in.became)
        return taken_in.more

    def _reclaim(self, registry: WorkerRegistry) -> None:
        found = reclaim(registry)
        if found.requeued:
            _log.warning("parts of lost workers are back in their lanes", parts=found.requeued)
        for part in found.poisonous:
            _log.error("part took its workers down too often", part=part)
        if found.leftovers or found.deleted:
            self._tidying.ask()


class SideLaneDuty:
    """Side lanes that nobody may take from any more, and those in which nothing waits."""

    def __init__(self, unserved_s: float = _UNSERVED_S) -> None:
        self._unserved_s = unserved_s
        self._since: dict[str, float] = {}
        """When it was first seen that nobody may take from it."""
        self._last = ""
        """Where there are many, it goes on behind this one."""

    def sweep(self, registry: WorkerRegistry, workers: Sequence[WorkerInfo]) -> None:
        now, names = time.monotonic(), side_lanes(registry)
        self._since = {name: self._since[name] for name in names if name in self._since}
        in_turn = [name for name in names if name > self._last] + [name for name in names if name <= self._last]
        for name in in_turn[:MOST_AT_ONCE]:
            self._last = name
            if any(may_take(name, worker) for worker in workers):
                self._since.pop(name, None)
            else:
                self._since.setdefault(name, now)
            if name not in self._since or now - self._since[name] < self._unserved_s:
                registry.readmit(name, 0)
            elif moved := _readmit_all(registry, name):
                _log.warning("parts that nobody may take go back to their lane", waited_in=name, parts=moved)


def _readmit_all(registry: WorkerRegistry, name: str) -> int:
    """So many at a time that Redis is not held up, and so many in a round that leases are looked at meanwhile."""
    moved = 0
    for _ in range(_MOST_READMITTED // _READMITTED_AT_ONCE):
        step = registry.readmit(name, _READMITTED_AT_ONCE)
        moved += step
        if step < _READMITTED_AT_ONCE:
            break
    return moved


class _Again:
    """Due at first, and so many seconds after each time that it was done."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due_at = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def done(self) -> None:
        self._due_at = time.monotonic() + self._seconds
