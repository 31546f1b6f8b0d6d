"""Writes down every state in which a job is ever seen, from its record and from what is published."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import redis.exceptions

from ocrqueue.client import registry_of
from ocrqueue.core import FINAL_STATES
from tests.faults.installation import Installation

_LOOK_EVERY_S: Final = 0.25
_ALL_EVERY: Final = 12
"""Looks; those at the others leave out the jobs that have ended."""
GONE: Final = "gone"
"""In place of a state: there was a record, and is none."""
_FIELDS: Final = ("state", "attempts", "worker", "outcome", "finished_at", "error")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a record said. `at` is the time of the first look that found it so, in seconds since 1970."""

    at: float
    state: str
    attempts: int = 0
    worker: str = ""
    outcome: str = ""
    finished_at: float = 0.0
    """Seconds since 1970, by Redis's clock."""
    error: str = ""

    @property
    def final(self) -> bool:
        return self.state in FINAL_STATES

    def __str__(self) -> str:
        rest = f" attempt {self.attempts} {self.worker}" if self.worker else ""
        return f"{time.strftime('%H:%M:%S', time.gmtime(self.at))}.{int(self.at % 1 * 1000):03d} {self.state}{rest}"


@dataclass(eq=False)
class Watcher:
    """Looks at the records of the jobs that it was told of, directly, until it is told to stop.

    `on_end` is called once for each job, in the watcher's thread, at the first sight of its end.
    """

    into: Installation
    on_end: Callable[[str, Sight], None]
    sights: dict[str, list[Sight]] = field(default_factory=dict)
    """By job id, in order: one for each change."""
    events: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """By job id: each state that was published, and when."""
    _told: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for work in (self._look_on, self._listen):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Look once more, and end."""
        self._told.set()
        for thread in self._threads:
            thread.join()
        self.look(list(self.sights))

    def watch(self, job_id: str) -> None:
        self.sights.setdefault(job_id, [])

    def last(self, job_id: str) -> Sight | None:
        seen = self.sights.get(job_id)
        return seen[-1] if seen else None

    def ended(self, job_id: str) -> bool:
        last = self.last(job_id)
        return last is not None and last.final

    def first_end(self, job_id: str) -> Sight | None:
        return next((sight for sight in self.sights.get(job_id, ()) if sight.final), None)

    def history(self, job_id: str) -> list[str]:
        """All that was seen of a job, as lines."""
        lines = [(sight.at, f"record {sight} {sight.error or sight.outcome}") for sight in self.sights.get(job_id, ())]
        lines += [(at, f"event  {state}") for at, state in self.events.get(job_id, ())]
        return [line for _, line in sorted(lines)]

    def look(self, job_ids: Sequence[str]) -> None:
        """Read these records now. Raises what redis-py does."""
        registry = registry_of(self.into.observer)
        with registry.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hmget(registry.keys.record(job_id), *_FIELDS)
            found = pipeline.execute()
        now = time.time()
        for job_id, fields in zip(job_ids, found, strict=True):
            self._note(job_id, now, fields)

    def _note(self, job_id: str, now: float, fields: Sequence[bytes | None]) -> None:
        seen = self.sights[job_id]
        state, attempts, worker, outcome, finished_at, error = (None if v is None else v.decode() for v in fields)
        if state is None:
            if seen and seen[-1].state != GONE:
                seen.append(Sight(now, GONE))
            return
        ended = int(finished_at) / 1000 if finished_at else 0.0
        sight = Sight(now, state, int(attempts or 0), worker or "", outcome or "", ended, error or "")
        if seen and _same(seen[-1], sight):
            return
        first = sight.final and not any(earlier.final for earlier in seen)
        seen.append(sight)
        if first:
            self.on_end(job_id, sight)

    def _look_on(self) -> None:
        looks = 0
        while not self._told.wait(_LOOK_EVERY_S):
            looks += 1
            ids = list(self.sights)
            if looks % _ALL_EVERY:
                ids = [job_id for job_id in ids if not self.ended(job_id)]
            with suppress(redis.exceptions.RedisError):  # it is down, or paused: look again later
                self.look(ids)

    def _listen(self) -> None:
        registry = registry_of(self.into.observer)
        while not self._told.is_set():
            with suppress(redis.exceptions.RedisError), registry.client.pubsub(ignore_subscribe_messages=True) as heard:
                heard.psubscribe(f"{registry.keys.prefix}ocrqueue:events:*")
                while not self._told.is_set():
                    self._hear(heard.get_message(timeout=0.5))
            time.sleep(0.1)

    def _hear(self, message: dict[str, Any] | None) -> None:
        if message is not None and isinstance(message["data"], bytes):
            job_id, _, rest = message["data"].decode().partition(" ")
            self.events.setdefault(job_id, []).append((time.time(), rest))


def _same(one: Sight, other: Sight) -> bool:
    return (one.state, one.attempts, one.worker, one.outcome, one.error) == (
        other.state,
        other.attempts,
        other.worker,
        other.outcome,
        other.error,
    )
