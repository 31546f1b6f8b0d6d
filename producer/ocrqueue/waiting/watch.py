"""Waiting for jobs: which records to read and when, shared by the blocking and the asyncio client. No I/O here.

A `Watch` is one caller's wait. All of a client's are in one `Watches`, for which the client keeps one subscription: it
subscribes to the events channels of the jobs (at most 16, however many jobs), reads all records once, then lets events
say which record to read again. Events can be lost (a reconnect), so all open records are also read again now and then,
and one of them more often: that nothing is heard is no proof that Redis is there. An outage is borne within a caller's
timeout, and without one for as long as the settings say; after it all is begun again.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from ocrqueue.core.keys import Keys
from ocrqueue.core.records import FINAL_STATES, JobStatus
from ocrqueue.core.timeouts import check_seconds, shown_seconds
from ocrqueue.errors import BrokerUnavailable, ConnectionsExhausted, JobUnknown, JobWaitTimeout

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

_PAUSE_S: Final = (0.2, 0.6)
"""In an outage, until Redis is asked again: at random, so that not all who wait ask at once."""
_SILENCE_S: Final = 1.0
"""What is left of 5 s is enough to find that Redis does not answer (registry.connection)."""
_LONGEST_S: Final = 86_400.0
"""The longest sleep: threads cannot wait for as many seconds as a float can hold."""
_AT_ONCE: Final = 500
"""Records that are read in one round trip."""
_BACKLOG: Final = 1000
"""Statuses that are kept for a caller who is busy with earlier ones; the records of its other jobs are read later."""
_NAMED: Final = 5
"""Ids that a message names; the error has them all."""


class Watch:
    """The jobs that one caller waits for, and what was read of them and is still to be handed out."""

    def __init__(self, settings: ClientSettings, job_ids: Iterable[str], timeout: float | None, progress: bool) -> None:
        """`timeout` in seconds, None: without limit. `progress`: steps before the end count as a change too."""
        check_seconds("timeout", timeout)
        self.open = dict.fromkeys(job_ids)
        keys = Keys(settings.key_prefix)
        self.channels = frozenset(keys.events(job_id) for job_id in self.open)
        self.wake: Callable[[], None] = lambda: None
        """Called whenever next() may have something to say."""
        self._longest_outage_s = settings.longest_outage_s
        self._begun_at = time.monotonic()
        self._all = len(self.open)
        self._timeout = timeout
        self._deadline = float("inf") if timeout is None else self._begun_at + timeout
        self._progress = progress
        self._due = dict.fromkeys(self.open)
        self._not_yet_read = set(self.open)
        self._found: deque[JobStatus] = deque()
        self._last_told: dict[str, tuple[object, ...]] = {}
        self._unknown: list[str] = []
        self._fault: BaseException | None = None
        self._outage: BrokerUnavailable | None = None
        """That is being borne."""

    @property
    def done(self) -> bool:
        """Everything has been handed out, and there is nothing to raise."""
        return not (self.open or self._found or self._unknown or self._fault)

    @property
    def is_full(self) -> bool:
        """The caller is to take some of what was found first."""
        return len(self._found) >= _BACKLOG

    def seconds_left(self) -> float | None:
        """For how long to wait for `wake`; None: without limit. A first look at all jobs is taken in any case."""
        if self._timeout is None or self._not_yet_read:
            return None
        return min(max(0.0, self._deadline - time.monotonic()), _LONGEST_S)

    def next(self) -> JobStatus | None:
        """The next status to hand out; None: there is none yet. Raises JobWaitTimeout, JobUnknown, BrokerUnavailable.

        Ids without a record are told last, and out of time ends that are known already come before the error.
        """
        late = time.monotonic() >= self._deadline and not self._not_yet_read
        while self._found:
            status = self._found.popleft()
            if status.finished or not late:
                return status
        if self._fault is not None:
            raise self._fault
        if late and self.open:
            raise self._outage or self._out_of_time()
        if not self.open and self._unknown:
            raise _unknown(self._unknown)
        return None

    def hear(self, job_id: str, state: str) -> bool:
        """Take in an event. Returns whether there is something to read now."""
        if job_id not in self.open or not (self._progress or state in FINAL_STATES):
            return False
        self._due[job_id] = None
        return True

    def all_due(self) -> None:
        """Read all open jobs again."""
        self._due = dict.fromkeys(self.open)

    def take_due(self, most: int) -> list[str]:
        """Ids whose records are to be read now."""
        taken = list(islice(self._due, most))
        for job_id in taken:
            del self._due[job_id]
        return taken

    @property
    def has_due(self) -> bool:
        return bool(self._due)

    def settle(self, job_id: str, status: JobStatus | None) -> None:
        """Note what was read; None where there is no record."""
        self._outage = None
        first_look = bool(self._not_yet_read)
        self._not_yet_read.discard(job_id)
        if job_id in self.open and self._note(job_id, status):
            self.wake()
        elif first_look and not self._not_yet_read:
            # from now on the timeout counts
            self.wake()

    def _note(self, job_id: str, status: JobStatus | None) -> bool:
        """Whether there is something to tell."""
        if status is None:
            del self.open[job_id]
            self._unknown.append(job_id)
            return True
        if status.finished:
            del self.open[job_id]
            self._last_told.pop(job_id, None)
        elif not self._progress or self._last_told.get(job_id) == (step := _step(status)):
            return False
        else:
            self._last_told[job_id] = step
        self._found.append(status)
        return True

    def bear(self, outage: BrokerUnavailable, pause_s: float, answered_at: float) -> bool:
        """Whether the caller waits on. If not, `outage` is what it is told."""
        until = self._deadline
        # where other calls have all connections, Redis is there
        if not isinstance(outage, ConnectionsExhausted) and (self._timeout is None or not outage.may_pass):
            until = min(until, max(answered_at, self._begun_at) + self._longest_outage_s)
        if time.monotonic() + pause_s < until:
            self._outage = outage
            self.all_due()
            return True
        self.fail(outage)
        return False

    def fail(self, fault: BaseException) -> None:
        self._fault = fault
        self.wake()

    def _out_of_time(self) -> JobWaitTimeout:
        left, late = list(self.open), f"did not finish within {shown_seconds(self._timeout)}"
        if self._all == 1:
            message = f"Job {left[0]} {late}."
        else:
            message = f"{len(left):,} of {self._all:,} jobs {late}: {_names(left)}."
        error = JobWaitTimeout(message, job_ids=list(left[:100]))
        error.job_ids = (*left, *self._unknown)
        return error


class Watches:
    """All of one client's waits."""

    def __init__(self) -> None:
        self._watches: dict[Watch, None] = {}
        self._by_job: dict[str, list[Watch]] = {}
        self._channels: Counter[str] = Counter()
        self._due: dict[Watch, None] = {}
        """Those that have records to read, the one that has waited longest first."""
        self._full: set[Watch] = set()
        """Those of `_due` whose callers are to take something first."""
        self._recheck_at = self._ask_at = self._answered_at = time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._watches)

    def add(self, watch: Watch) -> None:
        if not self._watches:
            self._answered_at = time.monotonic()
            self._recheck_at = self._answered_at + self._recheck_interval_s()
        self._watches[watch] = None
        self._channels.update(watch.channels)
        for job_id in watch.open:
            self._by_job.setdefault(job_id, []).append(watch)
        self._due[watch] = None

    def remove(self, watch: Watch, job_ids: Iterable[str]) -> None:
        """`job_ids`: all of it, ended ones included."""
        self._watches.pop(watch, None)
        self._due.pop(watch, None)
        self._full.discard(watch)
        self._channels.subtract(watch.channels)
        self._channels = +self._channels
        for job_id in job_ids:
            if (waiting := self._by_job.get(job_id)) is not None:
                waiting.remove(watch)
                if not waiting:
                    del self._by_job[job_id]

    def channels(self) -> set[str]:
        """Those to be subscribed to."""
        return set(self._channels)

    def hear(self, event: object) -> None:
        """Take in one pub/sub message's data: `<id> <state> ...`."""
        if not isinstance(event, bytes):
            return
        job_id, _, rest = event.decode(errors="replace").partition(" ")
        state = rest.partition(" ")[0]
        for watch in self._by_job.get(job_id, ()):
            if watch.hear(job_id, state) and watch not in self._full:
                self._due[watch] = None

    def subscribed(self) -> None:
        """The subscription is new, and what was told before was not heard: read all open jobs."""
        self._recheck_at = time.monotonic()

    def next(self, watch: Watch) -> JobStatus | None:
        """As Watch.next()."""
        status = watch.next()
        if watch in self._full and not watch.is_full:
            self._full.discard(watch)
            self._due[watch] = None
        return status

    def seconds_to_listen(self) -> float:
        """How long there is nothing to do but to listen; 0 or less: call take_due."""
        return 0.0 if self._due else min(self._recheck_at, self._ask_at) - time.monotonic()

    def take_due(self) -> list[tuple[Watch, str]]:
        """The records that are to be read now, and for whom; 500 at most, of each caller in turn."""
        now = time.monotonic()
        if now >= self._recheck_at:
            for watch in self._watches:
                watch.all_due()
                if watch not in self._full:
                    self._due[watch] = None
            self._recheck_at = now + self._recheck_interval_s()
        taken: list[tuple[Watch, str]] = []
        for watch in list(self._due):
            if watch.is_full:
                del self._due[watch]
                self._full.add(watch)
                continue
            if len(taken) >= _AT_ONCE:
                break
            taken += [(watch, job_id) for job_id in watch.take_due(_AT_ONCE - len(taken))]
            del self._due[watch]
            if watch.has_due:
                self._due[watch] = None
        if not taken and now >= self._ask_at:
            taken = list(islice(self._any_open(), 1))
        if taken:
            self._ask_at = now + _SILENCE_S
        return taken

    def settle(self, taken: Sequence[tuple[Watch, str]], statuses: Iterable[JobStatus | None]) -> None:
        """What was read of what take_due() returned: Redis is there."""
        self._answered_at = time.monotonic()
        for (watch, job_id), status in zip(taken, statuses, strict=True):
            watch.settle(job_id, status)

    def bear(self, outage: BrokerUnavailable) -> float:
        """How long to pause before Redis is asked again. Callers who have waited too long are told of `outage`."""
        pause_s = random.uniform(*_PAUSE_S)  # noqa: S311  # spreads load, guards nothing
        for watch in self._watches:
            if watch.bear(outage, pause_s, self._answered_at) and watch not in self._full:
                self._due[watch] = None
        return pause_s

    def fail(self, fault: BaseException) -> None:
        """Nobody listens any more."""
        for watch in self._watches:
            watch.fail(fault)

    def _any_open(self) -> Iterator[tuple[Watch, str]]:
        return ((watch, job_id) for watch in self._watches for job_id in watch.open)

    def _recheck_interval_s(self) -> float:
        """A small share of Redis's time, however many jobs are open."""
        return max(_SILENCE_S, len(self._by_job) / 500)


def _step(status: JobStatus) -> tuple[object, ...]:
    """What has to differ for a status to be a change."""
    return (
        status.state,
        status.engine,
        status.attempts,
        status.pages_done,
        status.pages,
        status.worker,
        status.cancel_requested,
    )


def _unknown(job_ids: Sequence[str]) -> JobUnknown:
    message = (
        f"No job {job_ids[0]}." if len(job_ids) == 1 else f"{len(job_ids)} jobs have no record: {_names(job_ids)}."
    )
    error = JobUnknown(message, job_ids=list(job_ids[:100]))
    error.job_ids = tuple(job_ids)
    return error


def _names(job_ids: Sequence[str]) -> str:
    left = len(job_ids) - _NAMED
    return ", ".join(job_ids[:_NAMED]) + (f" and {left} more" if left > 0 else "")
