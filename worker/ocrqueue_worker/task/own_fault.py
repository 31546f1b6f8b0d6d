"""Whose fault it is that a part failed: the worker's that has it, which then gives it back, or the job's own.

Where the worker's own access is broken, the part goes back to its place, uncounted, and the worker takes no other. A
denial that is not the worker's is looked at by a second one, where there is one, before it is the job's. A part whose
language this worker lacks is left to those that have it, and one whose engine cannot read here to those where it can;
where they take nothing for now, it waits for them for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ocrqueue.core import WorkerInfo
from ocrqueue.core.side_lanes import for_languages, for_others, languages_of, may_take, would_take
from ocrqueue.core.worker_registry import Sidesteps
from ocrqueue.errors import LanguageMissing, OcrQueueError
from ocrqueue.job import Job
from ocrqueue_worker.access.probes import source_of
from ocrqueue_worker.access.verdict import VERDICT
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.sources.credentials import CREDENTIALS

_DENIALS: Final = frozenset(
    {
        *("storage.denied", "source.access_denied", "source.bucket_not_found"),
        *("storage.credentials", "source.credentials"),
    }
)
"""A second worker's word is asked for, where the own access of the first is as it should be."""
_SUSPICIOUS: Final = _DENIALS | {
    *("storage.unavailable", "storage.not_found", "source.unavailable", "source.timeout", "worker.disk_full"),
}
"""What the worker's own access may be the cause of."""
_OVER_NETWORK: Final = frozenset({"source.unavailable", "source.timeout"})
"""Of hosts of anybody's: these say something of the worker only where the image is in a bucket."""
_ENGINES_OWN: Final = frozenset(
    {
        *("engine.unavailable", "engine.device_missing"),
        *("engine.weights_missing", "engine.weights_corrupt", "engine.model_invalid"),
    }
)
"""What an engine says that cannot read on this worker, whatever the job."""
_MOST_SIDESTEPS: Final = 8
"""A part that was left to others so often is left to no more: what they announce is not what they have."""


_MOST_NAMED: Final = 3
"""Workers in an error's message."""


class Returnable(Protocol):
    """A part in this worker's hand, as task.delivery has it."""

    @property
    def job(self) -> Job: ...

    def sidesteps(self) -> Sidesteps: ...

    def other_workers(self, *, anew: bool) -> Sequence[WorkerInfo]: ...

    def sidestep(self, error: OcrQueueError, side_lane: str, *, denied: bool = False) -> None: ...

    def give_back(self, error: OcrQueueError, *, alone: bool = True) -> None: ...


def goes_back(delivery: Returnable, error: OcrQueueError) -> bool:
    """Whether the part has gone back, to have another attempt that counts as the first one did not."""
    if (side_lane := _lane_of_the_able(delivery, error)) is not None:
        return _left_to_the_able(delivery, error, side_lane)
    if isinstance(error, LanguageMissing):
        return _left_to_a_second(delivery, error)
    source = source_of(delivery.job.image)
    if error.code not in _SUSPICIOUS or (error.code in _OVER_NETWORK and not source):
        return False
    # what was denied may have been credentials that were replaced while the part was read
    if VERDICT.ask(source) or (error.code in _DENIALS and CREDENTIALS.renew()):
        delivery.give_back(error, alone=False)
        return True
    return error.code in _DENIALS and _left_to_a_second(delivery, error)


def reason_of_end(delivery: Returnable, error: OcrQueueError) -> OcrQueueError:
    """What a job ends with whose part has not gone back: workers that could do it and take nothing are to be mended."""
    if (side_lane := _lane_of_the_able(delivery, error)) is None:
        return error
    able = [worker for worker in delivery.other_workers(anew=False) if would_take(side_lane, worker)]
    reasons = [
        f"{worker.name} ({trouble.error.code})"
        for worker in able
        for trouble in worker.troubles
        if trouble.stops and trouble.engine is None
    ]
    if not reasons:
        return error
    return type(error)(
        f"{error.message} Workers that could do it take no jobs: {', '.join(reasons[:_MOST_NAMED])}.",
        remedy="Mend what `ocrqueue top` says of those workers, and replay the job.",
        **error.info.details,
    )


def _lane_of_the_able(delivery: Returnable, error: OcrQueueError) -> str | None:
    """The side lane of the workers that can do this part, if this worker lacks something for it; else None."""
    if error.code in _ENGINES_OWN:
        return for_others(delivery.sidesteps().lane, HAND.holder)
    if not isinstance(error, LanguageMissing):
        return None
    missing = error.info.details.get("language")
    lacking = (missing,) if isinstance(missing, str) else delivery.job.languages
    if not set(lacking) & set(delivery.job.languages):
        # a pack that finds the text's direction, say, which nobody announces
        return None
    lane = delivery.sidesteps().lane
    return for_languages(lane, {*languages_of(lane), *lacking})


def _left_to_the_able(delivery: Returnable, error: OcrQueueError, side_lane: str) -> bool:
    count = delivery.sidesteps().count
    if count >= _MOST_SIDESTEPS:
        return False
    # those that are stopped are waited for as long as a side lane may have nobody who takes from it, once for each
    # language that workers may lack
    may_wait = count < max(1, len(delivery.job.languages))
    if not (_any(may_take, side_lane, delivery) or (may_wait and _any(would_take, side_lane, delivery))):
        return False
    delivery.sidestep(error, side_lane)
    return True


def _left_to_a_second(delivery: Returnable, error: OcrQueueError) -> bool:
    known = delivery.sidesteps()
    if known.denied or known.count >= _MOST_SIDESTEPS or not _any(may_take, known.lane, delivery):
        return False
    delivery.sidestep(error, for_others(known.lane, HAND.holder), denied=True)
    return True


def _any(takes: Callable[[str, WorkerInfo], bool], lane: str, delivery: Returnable) -> bool:
    """Whether another worker takes from there. One that came a moment ago counts, before a job fails for want of it."""
    return any(takes(lane, worker) for anew in (False, True) for worker in delivery.other_workers(anew=anew))
