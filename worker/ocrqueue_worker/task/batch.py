"""A batch: parts of one TAKE, their pages recognised together, each part with an end of its own.

The jobs are begun one after the other, when the engine has room for their pages: what is not yet begun can be
cancelled as in its lane. What may be the doing of a job's neighbours does not end it: whatever the engine says of pages
that it read together, and the time that is up, puts it back in its lane, to be read by itself.

More parts than the engine reads in a call are short jobs (see ocrqueue_worker.broker.short_jobs). They are begun at
once, and their ends are told together. Where one takes long after all, the ends before it are told meanwhile, and those
that are not read yet go back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from celery.exceptions import Ignore, SoftTimeLimitExceeded
from redis.exceptions import ResponseError
from structlog.contextvars import bound_contextvars

from ocrqueue.core import Hold, Outcome, Start
from ocrqueue.errors import EngineTimeout, OcrQueueError, error_from_info
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.limits.heap import return_freed_memory
from ocrqueue_worker.limits.memory_limit import allowance, held_to
from ocrqueue_worker.limits.resource_errors import exhaustion_as_errors
from ocrqueue_worker.limits.soft_time_limit import SOFT_TIME_LIMIT
from ocrqueue_worker.limits.time_limits import group_time_limits
from ocrqueue_worker.pipeline.attempt import Attempt, Workplace
from ocrqueue_worker.pipeline.job_reader import JobReader
from ocrqueue_worker.pipeline.page_parts import Split
from ocrqueue_worker.pipeline.page_reading import read_pages
from ocrqueue_worker.task.delivery import Delivery, note_cpu_time, reason_not_to_begin
from ocrqueue_worker.task.ends_together import TOLD_AFTER_S, EndsTogether, telling_of
from ocrqueue_worker.task.run_job import unless_it_stands
from ocrqueue_worker.telemetry import metrics
from ocrqueue_worker.telemetry.tracing import AttemptSpan, begin_attempt

_log = structlog.get_logger(__name__)

_SHARE_TO_BEGIN: Final = 0.5
"""Share of the soft time limit: after that no job of the batch begins."""
_SHORT_JOBS_S: Final = 5.0
"""After that those go back that are not read yet, though they have begun: another child may be idle."""

Done = TypeVar("Done")
Batch = list[tuple[JobReader, PageImage]]


@dataclass
class _Counts:
    """What the log tells of a batch."""

    jobs: int
    pages: int = 0
    calls: int = 0
    given_back: int = 0


class BatchReading:
    """From its first job to its last."""

    def __init__(self, deliveries: Sequence[Delivery], workplace: Workplace, *, are_short: bool = False) -> None:
        """The jobs are of one kind: see Job.kind."""
        self._are_short = are_short
        jobs = [delivery.job for delivery in deliveries]
        # one of many that is about to end makes no child idle
        self.workplace = replace(workplace, about_to_end=self._note_about_to_end)
        self._about_to_end = workplace.about_to_end
        deliveries = [replace(delivery, workplace=self.workplace) for delivery in deliveries]
        self._deliveries = {delivery.hold: delivery for delivery in deliveries}
        self._started = time.monotonic()
        self._limits = group_time_limits(workplace.settings, jobs)
        self._waiting = deque(deliveries)
        self._begun: deque[tuple[Delivery, Start]] = deque()
        """Those whose images are not open yet."""
        self._lock = threading.Lock()
        """Over what leaves the two above: in a thread beside the engine's call too."""
        self._under_way: dict[Hold, JobReader] = {}
        self._spans: dict[Hold, AttemptSpan] = {}
        self._ends = EndsTogether()
        self._shared: set[Hold] = set()
        """Those that had pages in a call with pages of others."""
        self._closing: dict[Hold, Delivery] = {}
        self._filling: JobReader | None = None
        """The one whose pages did not all go into the last batch."""
        self._engine: Engine[Any] | None = None
        self._allowed_bytes: int | None = None
        self._counts = _Counts(len(jobs))

    def run(self) -> dict[Hold, Delivery]:
        """Every part has ended then, or is in its lane again, or its lease will end.

        Returns the closing parts that came with the last pages of jobs that are read in parts, by the page's part.
        """
        note_cpu_time()
        try:
            with SOFT_TIME_LIMIT.interrupts(), self._beside_short_jobs():
                while batch := self._next_batch():
                    self._read(batch)
                    del batch
                    return_freed_memory()
        except SoftTimeLimitExceeded:
            self._give_back_all(EngineTimeout(f"Its batch was not finished after {self._limits.soft_s} s."))
        finally:
            for reader in self._under_way.values():
                reader.close()
            for span in self._spans.values():
                span.end()
            self._ends.tell()
            _log.info("batch ended", **vars(self._counts))
        return self._closing

    @contextmanager
    def _beside_short_jobs(self) -> Iterator[None]:
        """Around short jobs: one that takes long does not hold up those that came with it."""
        if not self._are_short:
            yield
            return
        is_over = threading.Event()
        waiting = partial(copy_context().run, self._see_to_the_others, is_over)
        thread = threading.Thread(target=waiting, name="short jobs", daemon=True)
        with SOFT_TIME_LIMIT.waits():
            thread.start()
            try:
                with SOFT_TIME_LIMIT.interrupts():
                    SOFT_TIME_LIMIT.check()
                    yield
            finally:
                is_over.set()
                # they are this worker's until they are in their lane, or their ends are told
                thread.join()

    def _see_to_the_others(self, is_over: threading.Event) -> None:
        while not is_over.wait(TOLD_AFTER_S):
            self._ends.tell()
            if time.monotonic() - self._started > _SHORT_JOBS_S:
                self._give_back_waiting(EngineTimeout("Another of those that were taken with it took long."))

    # --- filling a batch -------------------------------------------------------------------------------------------

    def _next_batch(self) -> Batch:
        """Pages for one call of the engine: of the job that has pages left, then of those that come after it."""
        batch: Batch = []
        while (reader := self._filling or self._next_reader()) is not None:
            most = self._engine_of(reader).pages_together(reader.options)
            images = self._step(reader, partial(reader.next_pages, most - len(batch))) or []
            batch += [(reader, image) for image in images]
            self._look_at_page_errors(reader)
            self._filling = reader if self._is_under_way(reader) and reader.pages_left else None
            if self._filling is None and not any(owner is reader for owner, _ in batch):
                self._finish(reader)
            batch = [(owner, image) for owner, image in batch if self._is_under_way(owner)]
            if len(batch) >= most:
                break
        return batch

    def _next_reader(self) -> JobReader | None:
        """The next job that there is something to do about, its image open; None if no more is to be begun."""
        while self._waiting or self._begun:
            if (reason := self._reason_to_stop()) is not None:
                self._give_back_waiting(reason)
                return None
            if not self._begun:
                self._begin(len(self._waiting) if self._are_short else 1)
                SOFT_TIME_LIMIT.check()
                continue
            # a job whose time is up meanwhile is not forgotten
            with SOFT_TIME_LIMIT.waits(), self._lock:
                if not self._begun:
                    continue
                delivery, start = self._begun.popleft()
                attempt = Attempt(delivery.job, delivery.hold, start, self.workplace)
                self._spans[delivery.hold] = begin_attempt(delivery.job, start, delivery.trace, self._counts.jobs)
                reader = self._under_way[delivery.hold] = JobReader(attempt)
            SOFT_TIME_LIMIT.check()
            outcome = self._step(reader, partial(unless_it_stands, reader.attempt, partial(self._open, reader)))
            if outcome is not None:
                self._end(reader, outcome)
            elif self._is_under_way(reader):
                return reader
        return None

    def _reason_to_stop(self) -> OcrQueueError | None:
        if (reason := reason_not_to_begin()) is not None:
            return reason
        if time.monotonic() - self._started > self._limits.soft_s * _SHARE_TO_BEGIN:
            return EngineTimeout("The time of its batch was over before its turn.")
        return None

    def _begin(self, count: int) -> None:
        """So many of those that wait, in one round trip."""
        # nor is any of these forgotten
        with SOFT_TIME_LIMIT.waits():
            with self._lock:
                beginning = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
            begun = self._begun_of(beginning)
            with self._lock:
                self._begun += begun

    def _begun_of(self, beginning: Sequence[Delivery]) -> list[tuple[Delivery, Start]]:
        starts: Sequence[Start | None] = [None] * len(beginning)
        if len(beginning) > 1:
            try:
                starts = beginning[0].begin_with(beginning[1:])
            except Ignore:
                return []
            except ResponseError as error:
                # of one of them, which is no reason to leave the others
                _log.warning("jobs begin one by one", error=str(error))
        begun = []
        for delivery, start in zip(beginning, starts, strict=True):
            with telling_of(delivery.job):
                # what has begun may be begun again
                begun.append((delivery, delivery.begun(start) if start else delivery.begin()))
        return begun

    def _open(self, reader: JobReader) -> Split | None:
        engine = self._engine_of(reader)
        reader.open(engine, may_refer=True)
        if reader.is_referred:
            reader.read_reference(engine, self._reading(reader))
        return reader.split

    def _engine_of(self, reader: JobReader) -> Engine[Any]:
        if self._engine is None:
            self._engine = self.workplace.engine(reader.attempt.job.engine)
            self._allowed_bytes = allowance(self._engine.memory_limit_mib())
        return self._engine

    # --- reading it ------------------------------------------------------------------------------------------------

    def _read(self, batch: Batch) -> None:
        first, images = batch[0][0], [image for _, image in batch]
        reading = self._reading(first)
        owners = {owner.attempt.hold: owner for owner, _ in batch}
        if len(owners) > 1:
            self._shared.update(owners)
        begun = time.monotonic()
        # what the engine logs and traces in a call of one job is that job's
        with self._within(first) if len(owners) == 1 else nullcontext(), held_to(self._allowed_bytes):
            results = read_pages(self._engine_of(first), images, reading, first.attempt.job.prepare)
        seconds_a_page = (time.monotonic() - begun) / len(batch)
        self._counts.calls += 1
        self._counts.pages += len(batch)
        for owner in owners.values():
            own = [position for position, (of, _) in enumerate(batch) if of is owner]
            its_images, its_results = [images[position] for position in own], [results[position] for position in own]
            self._step(owner, partial(owner.take, its_images, its_results, len(own) * seconds_a_page))
            self._look_at_page_errors(owner)
            if owner is not self._filling:
                self._finish(owner)
        if self._filling is not None and not self._is_under_way(self._filling):
            self._filling = None

    def _reading(self, reader: JobReader) -> Reading[Any]:
        return Reading(reader.attempt.job.languages, reader.options, self._started + self._limits.engine_s)

    # --- one job of it ---------------------------------------------------------------------------------------------

    def _is_under_way(self, reader: JobReader) -> bool:
        return self._under_way.get(reader.attempt.hold) is reader

    @contextmanager
    def _within(self, reader: JobReader) -> Iterator[None]:
        """Log lines name the job meanwhile, and spans are below that of its attempt."""
        with bound_contextvars(job_id=reader.attempt.job.id), self._spans[reader.attempt.hold].current():
            yield

    def _step(self, reader: JobReader, step: Callable[[], Done]) -> Done | None:
        """One step of one job, which alone it fails if it does; None then, and if the job is not under way."""
        if not self._is_under_way(reader):
            return None
        with self._within(reader):
            try:
                with exhaustion_as_errors(), held_to(self._allowed_bytes):
                    return step()
            except SoftTimeLimitExceeded:
                raise
            except Exception as error:
                self._fail(reader, error)
        return None

    def _finish(self, reader: JobReader) -> None:
        outcome = self._step(reader, reader.finish)
        if outcome is not None:
            self._end(reader, outcome)

    def _end(self, reader: JobReader, outcome: Outcome | Split) -> None:
        delivery, span = self._deliveries[reader.attempt.hold], self._spans[reader.attempt.hold]
        with SOFT_TIME_LIMIT.waits():
            with telling_of(delivery.job), span.current():
                if self._are_short and isinstance(outcome, Outcome) and delivery.hold.page is None:
                    self._ends.add(delivery, outcome, reader.attempt.start, span)
                    del self._spans[delivery.hold]
                else:
                    self._note_closing(delivery, delivery.end(outcome, reader.attempt.start))
            self._leave(reader)
        SOFT_TIME_LIMIT.check()

    def _note_about_to_end(self, hold: Hold) -> None:
        if not self._waiting and not self._begun and list(self._under_way) == [hold]:
            self._about_to_end(hold)

    def _note_closing(self, delivery: Delivery, closing: Delivery | None) -> None:
        if closing is not None:
            self._closing[delivery.hold] = closing

    def _look_at_page_errors(self, reader: JobReader) -> None:
        if self._is_under_way(reader):
            errors = map(error_from_info, reader.page_errors())
            error = next((error for error in errors if self._may_be_the_neighbours(reader, error)), None)
            if error is not None:
                self._fail(reader, error)

    def _fail(self, reader: JobReader, error: Exception) -> None:
        job, start, span = reader.attempt.job, reader.attempt.start, self._spans[reader.attempt.hold]
        delivery = self._deliveries[reader.attempt.hold]
        with SOFT_TIME_LIMIT.waits():
            with telling_of(job), span.current():
                if isinstance(error, OcrQueueError) and self._may_be_the_neighbours(reader, error):
                    self._counts.given_back += 1
                    delivery.give_back(error)
                else:
                    self._note_closing(delivery, delivery.end(delivery.outcome_of(start, error), start))
            self._leave(reader)
        SOFT_TIME_LIMIT.check()

    def _may_be_the_neighbours(self, reader: JobReader, error: OcrQueueError) -> bool:
        """Whether another page may have led the engine astray, or have taken the time or the memory."""
        if reader.attempt.hold in self._shared or len(self._under_way) > 1:
            return error.code.startswith("engine.")
        return isinstance(error, EngineTimeout)

    def _leave(self, reader: JobReader) -> None:
        note_cpu_time()
        reader.close()
        metrics.attempt_made(reader.attempt.job.engine, reader.attempt.watch.spent)
        self._under_way.pop(reader.attempt.hold, None)
        if (span := self._spans.pop(reader.attempt.hold, None)) is not None:
            span.end()

    # --- what is not read here -------------------------------------------------------------------------------------

    def _give_back_waiting(self, error: OcrQueueError) -> None:
        with SOFT_TIME_LIMIT.waits():
            with self._lock:
                unread = [*(delivery for delivery, _ in self._begun), *self._waiting]
                self._begun.clear()
                self._waiting.clear()
                self._counts.given_back += len(unread)
            for delivery in unread:
                with telling_of(delivery.job):
                    delivery.give_back(error, alone=False, unread=True)

    def _give_back_all(self, error: OcrQueueError) -> None:
        self._give_back_waiting(error)
        for reader in [*self._under_way.values()]:
            self._fail(reader, error)
