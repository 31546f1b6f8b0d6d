"""The ends of short jobs, told to Redis several in one round trip, which takes as long as some of these jobs do.

Their results are stored by then. Where the worker is lost meanwhile, the next attempt finds them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from celery.exceptions import Ignore
from structlog.contextvars import bound_contextvars

from ocrqueue.core import Outcome, PartEnd, Start
from ocrqueue.job import Job
from ocrqueue_worker.limits.soft_time_limit import SOFT_TIME_LIMIT
from ocrqueue_worker.task.delivery import Delivery
from ocrqueue_worker.telemetry.tracing import AttemptSpan

_log = structlog.get_logger(__name__)

TOLD_AFTER_S: Final = 0.2
"""An end waits no longer for others."""


@dataclass(frozen=True, slots=True)
class _JobEnd:
    delivery: Delivery
    end: PartEnd
    start: Start
    span: AttemptSpan


class EndsTogether:
    """Of jobs of one worker, each of one part. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[_JobEnd] = []

    def add(self, delivery: Delivery, outcome: Outcome, start: Start, span: AttemptSpan) -> None:
        """What the job has used counts until now. `span` ends when its end has been told, or cannot be."""
        end = _JobEnd(delivery, delivery.end_of(outcome, start), start, span)
        with SOFT_TIME_LIMIT.waits(), self._lock:
            self._ends.append(end)

    def tell(self) -> None:
        """Of those that were added until now. Where Redis stays away their leases end."""
        with SOFT_TIME_LIMIT.waits():
            with self._lock:
                ends, self._ends = self._ends, []
            try:
                _tell_of(ends)
            finally:
                for each in ends:
                    each.span.end()


def _tell_of(ends: Sequence[_JobEnd]) -> None:
    try:
        answers = _answers(ends)
    except Ignore:
        return
    for each, stands in zip(ends, answers, strict=True):
        delivery = each.delivery
        with telling_of(delivery.job), each.span.current():
            delivery.job_ended(each.end, each.start, stands or delivery.finish_each([each.end])[0])


def _answers(ends: Sequence[_JobEnd]) -> Sequence[str | None]:
    """What Redis says of each; None of those that are to be told by themselves. Raises Ignore."""
    if len(ends) > 1:
        try:
            return ends[0].delivery.finish_each([each.end for each in ends])
        except Ignore:
            raise
        except Exception as error:
            # of one of them, such as a key that is somebody else's: no reason to leave the others
            _log.warning("ends are told one by one", error=str(error) or type(error).__name__)
    return [None] * len(ends)


@contextmanager
def telling_of(job: Job) -> Iterator[None]:
    """Around what is told to Redis of one job of several: that it is not heard is no reason to leave the others.

    To be used where the soft time limit waits.
    """
    with bound_contextvars(job_id=job.id):
        try:
            yield
        except Ignore:
            return
        except Exception:
            _log.exception("cannot tell of the job; its lease will end if it has not")
