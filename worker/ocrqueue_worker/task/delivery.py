"""What a child says of the part that it has: that it begins, that it is to be tried again, how it ended."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from ocrqueue.core import Hold, Outcome, PartEnd, Start, Used, WorkerInfo, WorkerRegistry, live_workers
from ocrqueue.core.worker_registry import Sidesteps
from ocrqueue.errors import (
    BrokerUnavailable,
    EngineOutOfMemory,
    EngineTimeout,
    InternalError,
    JobCancelled,
    JobPoison,
    OcrQueueError,
    WorkerAccessBroken,
    WorkerStopping,
)
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.access.verdict import VERDICT
from ocrqueue_worker.broker.finishing import FINISHING
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.limits.child_memory import CHILD_MEMORY
from ocrqueue_worker.limits.recycling import RECYCLING
from ocrqueue_worker.limits.time_limits import time_limits
from ocrqueue_worker.pipeline.attempt import JobElsewhere, Workplace
from ocrqueue_worker.pipeline.page_parts import Split
from ocrqueue_worker.pipeline.result_storage import result_key
from ocrqueue_worker.routes.engine_failure import instead_of_failing
from ocrqueue_worker.routes.next_engine import Onward
from ocrqueue_worker.routes.workers_seen import workers_alive
from ocrqueue_worker.sources.retry_after import RETRY_AFTER
from ocrqueue_worker.stop_flag import is_stopping
from ocrqueue_worker.task.own_fault import goes_back, reason_of_end
from ocrqueue_worker.task.redis_outage import until_redis_answers
from ocrqueue_worker.telemetry import metrics, tracing

_log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Delivery:
    """Of one part.

    Every method raises Ignore where there is nothing left to do about it here: it has ended, or another has it or will
    have it, or Redis stays away and the lease ends.
    """

    job: Job
    hold: Hold
    workplace: Workplace
    node: str
    """The worker's name, for people."""
    by_name: bool = False
    """Whether somebody may hold an AsyncResult: so for jobs that a foreign Celery app sent."""
    trace: str | None = None
    """The `traceparent` of the job's submission."""
    follows_a_page: bool = False
    """Whether it is a closing part that came with the end of the last page, and has what is left of that one's time."""

    @property
    def settings(self) -> WorkerSettings:
        return self.workplace.settings

    @property
    def registry(self) -> WorkerRegistry:
        return self.workplace.registry

    def begin(self) -> Start:
        """The attempt that is to be made."""
        return self.begun(self._until_redis_answers(lambda: self.registry.begin(self.hold, self.node, self.job.engine)))

    def begun(self, start: Start) -> Start:
        """Redis has said `start` of it."""
        if start.verdict != "run":
            _log.info("part is not this worker's any more", part_is=start.verdict)
            raise Ignore
        metrics.job_begun(self.job, start)
        _log.info("job started", attempt=start.number, queue_wait_s=start.queue_wait_s)
        return start

    def begin_with(self, others: Sequence[Delivery]) -> list[Start]:
        """What Redis says of this one and of others of the same worker and engine, in one round trip; see begun()."""
        holds = [self.hold, *(other.hold for other in others)]
        return self._until_redis_answers(lambda: self.registry.begin_each(holds, self.node, self.job.engine))

    def outcome_of_poison(self, start: Start) -> Outcome | Onward:
        """Of a job with a route whose engine was taken down by it: nothing that could do so again is tried."""
        lost = JobPoison(f"Delivered {self.settings.delivery_cap} times, and each time the worker was lost.")
        return self._without(start, lost, with_missing_crops=False)

    def outcome_of(self, start: Start, error: Exception) -> Outcome | Onward:
        """How the job ends that met with `error`, or goes on; one that is worth it is tried again instead."""
        job = self.job
        match error:
            case JobElsewhere():
                _log.info("job is in other hands")
                raise self._overtaken()
            case JobCancelled():
                return self._cancelled()
            case OcrQueueError():
                if goes_back(self, error):
                    raise Ignore
                error = reason_of_end(self, error)
                if error.retryable and start.retries < self.settings.retry_limit:
                    self._try_again(start, error)
                return self._without(start, error)
            case SoftTimeLimitExceeded() if self.follows_a_page:
                self.give_back(EngineTimeout("The time of the last page was over."))
                raise Ignore
            case SoftTimeLimitExceeded():
                soft_s = time_limits(self.settings, job).soft_s
                return self._without(start, EngineTimeout(f"Not finished after {soft_s} s."))
            case MemoryError():
                # let through, it would end the worker's main process and requeue the job (celery's own handling)
                return self._without(start, EngineOutOfMemory())
            case _:
                _log.error("job met an unexpected error", exc_info=error)
                return self._without(start, InternalError(f"Unexpected {type(error).__name__}."))

    def _without(self, start: Start, error: OcrQueueError, with_missing_crops: bool = True) -> Outcome | Onward:
        """How the job ends, or goes on, whose engine failed for good."""
        if self.job.route is None:
            return failed(self.hold.job_id, error)
        try:
            instead = instead_of_failing(self.job, self.hold, start, self.workplace, error, with_missing_crops)
        except JobCancelled:
            return self._cancelled()
        except JobElsewhere:
            raise self._overtaken() from None
        except OcrQueueError as another:
            _log.warning("what stands cannot be made the result", error=another.code)
            instead = None
        return instead or failed(self.hold.job_id, error)

    def _cancelled(self) -> Outcome:
        return Outcome(job_id=self.hold.job_id, state="cancelled")

    def _overtaken(self, outcome: Outcome | None = None) -> Ignore:
        """Whoever has ended the job, if it has ended, did not know what this attempt would still store."""
        own = (outcome is not None and outcome.stored_anew) or not self._result_stands()
        self._until_redis_answers(lambda: self.registry.note_leftovers(self.hold.job_id, own_result=own))
        return Ignore()

    def _result_stands(self) -> bool:
        try:
            return self.workplace.storage.exists(result_key(self.hold.job_id))
        except OcrQueueError:
            return True  # it may

    def _try_again(self, start: Start, error: OcrQueueError) -> None:
        """Release the part, to be tried again after exponential backoff with full jitter above half, or after what the
        image's host has asked for, if that is longer.

        The pause is kept in Redis, not in this worker, which may be gone by then. Raises Ignore: this delivery is done.
        """
        longest = min(self.settings.retry_backoff_max_s, self.settings.retry_backoff_s * 2 ** min(start.retries, 32))
        pause_s = longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
        asked_s = error.info.details.get(RETRY_AFTER)
        if isinstance(asked_s, int | float):
            pause_s = max(pause_s, asked_s * random.uniform(1.0, 1.1))  # noqa: S311  # as above
        done = self._until_redis_answers(
            lambda: self.registry.release(self.hold, error.info, pause_s=pause_s, is_retry=True)
        )
        _log.warning("job failed for now", error=error.code, attempt=start.number, pause_s=round(pause_s, 2), job=done)
        if done == "released":
            metrics.job_retried(self.job, error.info)
            tracing.attempt_failed(error.code)
        raise Ignore

    def sidesteps(self) -> Sidesteps:
        """What is known of the part's going back before."""
        return self._until_redis_answers(lambda: self.registry.sidesteps(self.hold))

    def other_workers(self, *, anew: bool) -> list[WorkerInfo]:
        """Those alive but this one, which has met with something. `anew`: as Redis knows them at this moment."""
        alive = self._until_redis_answers(lambda: live_workers(self.registry) if anew else workers_alive(self.registry))
        return [worker for worker in alive if worker.holder != HAND.holder]

    def sidestep(self, error: OcrQueueError, side_lane: str, *, denied: bool = False) -> None:
        """Leave the part to those who may take from a side lane. Does not count as a delivery or retry."""
        done = self._until_redis_answers(
            lambda: self.registry.sidestep(self.hold, error.info, side_lane, denied=denied)
        )
        _log.warning("part is left to other workers", error=error.code, waits_in=side_lane, part_is=done)

    def give_back(self, error: OcrQueueError, *, alone: bool = True, unread: bool = False) -> None:
        """Put the part in its lane again, at its old place. Does not count as a delivery or retry.

        `unread`: nothing has been done about it, and an attempt that had begun does not count either.
        """
        done = self._until_redis_answers(
            lambda: self.registry.release(self.hold, error.info, alone=alone, unread=unread)
        )
        _log.info("part goes back to its lane", error=error.code, part_is=done)

    def end(self, outcome: Outcome | Onward | Split, start: Start | None = None) -> Delivery | None:
        """Close the record. Raises Ignore.

        A job that goes on to the next engine, or in parts, does not end. Of the last page part the closing part is
        returned, which is in this hand too.
        """
        match outcome:
            case Onward():
                self.send_on(outcome, start)
            case Split():
                self._split(outcome)
            case Outcome() if self.hold.page is not None:
                return self._end_page(outcome, start)
            case Outcome():
                end = self.end_of(outcome, start)
                self.job_ended(end, start, self._finish(end))
        return None

    def end_of(self, outcome: Outcome, start: Start | None) -> PartEnd:
        """What is to be said of the part's end, with what was used until now."""
        # a document that is read in parts is one input: its closing part, which is no page, counts that
        size = outcome.input_bytes if self.hold.page is None else 0
        pages = 0 if outcome.cached else outcome.pages
        # of a route each engine is paid for what it has read, those before this one when they sent the job on
        used = self._used(pages, start, paid=outcome.trail[-1].pages if outcome.trail else pages, size_bytes=size)
        closing = self.hold.closing.token if self.hold.page is not None else ""
        return PartEnd(self.hold, self.job, outcome, used, self.by_name, closing)

    def finish_each(self, ends: Sequence[PartEnd]) -> Sequence[str]:
        """What Redis says of the ends of this worker's jobs, in one round trip; see job_ended()."""
        return self._until_redis_answers(lambda: self.registry.finish_each(ends))

    def job_ended(self, end: PartEnd, start: Start | None, stands: str) -> None:
        """Redis has said `stands` of the job's end."""
        job, outcome = self.job, end.outcome
        if stands == "stop":
            # it was cancelled while it failed
            outcome = Outcome(job_id=job.id, state="cancelled")
            stands = self._finish(replace(end, outcome=outcome))
        if stands != outcome.state:
            _log.info("job is not this worker's any more", state=stands)
            raise self._overtaken(outcome)
        metrics.job_ended(job, outcome, start.number if start else 0, in_parts=bool(start and start.pages))
        tracing.job_ended(outcome)
        _log.info(
            "job ended",
            state=outcome.state,
            error=outcome.error.code if outcome.error else None,
            pages=outcome.pages,
            words=outcome.words,
            cached=outcome.cached,
            **outcome.timings.model_dump(),
        )

    def _end_page(self, outcome: Outcome, start: Start | None) -> Delivery | None:
        stands = self._finish(self.end_of(outcome, start))
        if stands not in ("done", "close"):
            _log.info("page is not this worker's any more", state=stands)
            raise self._overtaken()
        metrics.page_read(self.job, outcome)
        _log.info(
            "page is done",
            page=self.hold.page,
            attempt=start.number if start else 0,
            error=outcome.error.code if outcome.error else None,
        )
        if stands != "close":
            return None
        # whatever engine this page went on to, the pages are gathered for the job
        return replace(self, job=self.job.from_its_first_engine(), hold=self.hold.closing, follows_a_page=True)

    def _finish(self, end: PartEnd) -> str:
        self.workplace.about_to_end(self.hold)
        (stands,) = self.finish_each([end])
        return stands

    def _used(self, pages: int, start: Start | None, *, paid: int, size_bytes: int = 0) -> Used:
        # the setting is in hundredths of the currency, for 1,000 pages
        cost = paid * self.settings.engine_page_cost.of(self.job.engine) / 100_000
        return Used(pages, _cpu_s(start), size_bytes, cost)

    def _split(self, split: Split) -> None:
        """Put the job's pages in its lane, each a part of its own."""
        done = self._until_redis_answers(lambda: self.registry.split(self.hold, split.pages, split.pin))
        _log.info("job goes on in parts", pages=split.pages, job=done)

    def send_on(self, onward: Onward, start: Start | None = None) -> None:
        """Put the job, or its page, in the lane of the engine whose turn it is."""
        used = self._used(0, start, paid=onward.pages)
        done = self._until_redis_answers(
            lambda: self.registry.send_on(self.hold, onward.job, self.job.engine, onward.pages, used)
        )
        if done == "sent":
            metrics.job_sent_on(self.job, onward.job, onward.pages)
        _log.info("job goes on", to=onward.job.engine, lane=onward.job.queue, job=done)

    def _until_redis_answers(self, call: Callable[[], Answer]) -> Answer:
        """`call`, which tells Redis of the part, however long Redis is away within the hard time limit."""
        try:
            return until_redis_answers(call, self.settings.hard_time_limit_s.of(self.job.engine))
        except BrokerUnavailable as error:
            _log.error("gives up on Redis; the part's lease will end", error=error.code)
            raise Ignore from None


def reason_not_to_begin() -> OcrQueueError | None:
    """Why this worker begins nothing now; None where it does."""
    if is_stopping():
        return WorkerStopping()
    return WorkerAccessBroken() if VERDICT.is_broken else None


def note_about_to_end(hold: Hold) -> None:
    """For the main process, which then takes what comes next.

    Not of a page: its closing part may follow, which is not the main process's to see. Not for a child that leaves.
    """
    if hold.page is None and not CHILD_MEMORY.is_exceeded() and not RECYCLING.is_leaving:
        FINISHING.note(hold)


def failed(job_id: str, error: OcrQueueError) -> Outcome:
    return Outcome(job_id=job_id, state="failed", error=error.info)


_before: dict[str, float] = {}


def note_cpu_time() -> None:
    """From now on what this process uses counts as the next job's."""
    _before["s"] = _cpu_time_s()


def _cpu_time_s() -> float:
    used: Any = resource.getrusage(resource.RUSAGE_SELF)
    return float(used.ru_utime + used.ru_stime)


def _cpu_s(start: Start | None) -> float:
    """Processor seconds since the attempt began, of this process; 0 for one that never did."""
    return max(0.0, _cpu_time_s() - _before.get("s", _cpu_time_s())) if start else 0.0
