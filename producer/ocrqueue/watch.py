"""Waiting for jobs: which records to read and when, shared by the blocking and the asyncio client.

Subscribe to the events channels of the jobs (at most 16, however many jobs), read all records once, then let events
say which record to read again. Events can be lost (a reconnect), so all open records are also read again now and then,
and one of them more often: that nothing is heard is no proof that Redis is there. An outage is borne for as long as the
settings say; after it all is begun anew.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from itertools import islice
from typing import Final

from ocrqueue.core.keys import Keys
from ocrqueue.core.records import FINAL_STATES, JobStatus
from ocrqueue.errors import BrokerUnavailable, JobUnknown, JobWaitTimeout
from ocrqueue.settings import Settings

_PAUSE_S: Final = (0.2, 0.6)
"""In an outage, until Redis is asked again: at random, so that not all who wait ask at once."""
_SILENCE_S: Final = 1.0
"""What is left of 5 s is enough to find that Redis does not answer (registry.connection)."""


class Watch:
    """The jobs that are waited for, and what is due to be read."""

    def __init__(self, settings: Settings, job_ids: Iterable[str], timeout: float | None, progress: bool) -> None:
        """`timeout` in seconds, None: without limit. `progress`: steps before the end count as a change too."""
        self.open = dict.fromkeys(job_ids)
        self._keys = Keys(settings.key_prefix)
        self._longest_outage_s = settings.longest_outage_s
        self._answered_at = time.monotonic()
        self._all = len(self.open)
        self._timeout = timeout
        self._deadline = float("inf") if timeout is None else time.monotonic() + timeout
        self._progress = progress
        self._due = list(self.open)
        self._recheck_at = time.monotonic() + self._recheck_interval_s()
        self._ask_at = time.monotonic() + _SILENCE_S

    def channels(self) -> list[str]:
        return sorted({self._keys.events(job_id) for job_id in self.open})

    def hear(self, event: object) -> None:
        """Take in one pub/sub message's data: `<id> <state> ...`."""
        if not isinstance(event, bytes):
            return
        job_id, _, rest = event.decode(errors="replace").partition(" ")
        if job_id in self.open and (self._progress or rest.partition(" ")[0] in FINAL_STATES):
            self._due.append(job_id)

    def seconds_to_listen(self) -> float:
        """How long there is nothing to do but to listen; 0 or less: call take_due."""
        return 0.0 if self._due else min(self._recheck_at, self._ask_at, self._deadline) - time.monotonic()

    def take_due(self) -> list[str]:
        """The ids whose records are to be read now. Raises JobWaitTimeout."""
        due, self._due = list(dict.fromkeys(self._due)), []
        now = time.monotonic()
        if now >= self._recheck_at:
            due = list(self.open)
            self._recheck_at = now + self._recheck_interval_s()
        if not due and now >= self._deadline:
            raise JobWaitTimeout(f"{len(self.open)} of {self._all} jobs have not ended in {self._timeout} s.")
        self._ask_at = now + _SILENCE_S
        return due or list(islice(self.open, 1))

    def note_answer(self) -> None:
        """Redis is there."""
        self._answered_at = time.monotonic()

    def bear(self, outage: BrokerUnavailable) -> float:
        """How long to pause before Redis is asked again, for all that is open. Raises `outage` once it is too long."""
        now = time.monotonic()
        pause_s = random.uniform(*_PAUSE_S)  # noqa: S311  # spreads load, guards nothing
        if now + pause_s >= min(self._deadline, self._answered_at + self._longest_outage_s):
            raise outage
        # events have been missed
        self._recheck_at = now
        return pause_s

    def settle(self, job_id: str, status: JobStatus | None) -> JobStatus:
        """Note what was read; returns it. Raises JobUnknown where there is no record."""
        if status is None:
            raise JobUnknown(f"No job {job_id}.")
        if status.finished:
            self.open.pop(job_id, None)
        return status

    def _recheck_interval_s(self) -> float:
        """A small share of Redis's time, however many jobs are open."""
        return max(_SILENCE_S, len(self.open) / 500)
