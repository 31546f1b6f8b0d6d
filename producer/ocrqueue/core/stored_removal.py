"""Of one deletion: what the deleted jobs have in storage is removed, and what earlier deletions have left there.

Where storage does not answer once, it is not asked again: Redis lists what is to go, and a worker removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ocrqueue.core.keys import Keys
from ocrqueue.core.registry import parse_deleted
from ocrqueue.core.steps import Call, Commands, Sleep, Steps
from ocrqueue.errors import BrokerUnavailable, OcrQueueError

RemoveStored = Callable[[Sequence[tuple[str, str | None]]], None]
"""Removes from storage what deleted jobs have there, each with its image's name; see ocrqueue.operations.deletion."""

_AT_ONCE: Final = 100
_ROUNDS: Final = 10
_PAUSE_S: Final = 0.2
"""Somebody else may be removing it at this moment, or was killed over it."""


@dataclass
class StoredRemoval:
    """What it does to storage, until it does not answer."""

    keys: Keys
    remove: RemoveStored
    fault: OcrQueueError | None = None

    def of(self, jobs: Sequence[tuple[str, str | None]]) -> Steps[None]:
        """At most 100, each with the name of its uploaded image."""
        if not jobs or self.fault is not None:
            return
        try:
            yield Call(lambda: self.remove(jobs))
        except BrokerUnavailable:
            raise
        except OcrQueueError as error:
            self.fault = error

    def of_pending(self, job_ids: Collection[str] | None = None) -> Steps[int]:
        """What deletions before, and this one, have left: of these jobs, or of all.

        Returns of how many something is stored still.
        """
        left = 0
        for number in range(_ROUNDS):
            left = yield from self._once(job_ids)
            if not left or self.fault is not None:
                break
            if number < _ROUNDS - 1:
                yield Sleep(_PAUSE_S)
        return left

    def _once(self, job_ids: Collection[str] | None) -> Steps[int]:
        (listed,) = yield Commands([("ZCARD", self.keys.deleted())])
        if self.fault is not None and job_ids is None:
            return int(listed)
        left, place, seen = 0, 0, 0
        while seen < listed:
            (entries,) = yield Commands([("ZRANGE", self.keys.deleted(), place, place + _AT_ONCE - 1)])
            if not entries:
                break
            seen += len(entries)
            jobs = {entry: parse_deleted(entry) for entry in entries}
            ours = {entry: job for entry, job in jobs.items() if job_ids is None or job[0] in job_ids}
            stay = len(entries) - len(ours)
            if ours:
                yield from self.of(list(ours.values()))
                scores = yield Commands([("ZSCORE", self.keys.deleted(), entry) for entry in ours])
                left += (stored := sum(score is not None for score in scores))
                stay += stored
            place += stay
        return left
