"""The task `ocrqueue.recognize`: the parts of one TAKE. The work is in `reading` and `batch`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any, Final

import structlog
from celery import Task
from celery.exceptions import Ignore, SoftTimeLimitExceeded
from pydantic import TypeAdapter
from structlog.contextvars import bound_contextvars

from ocrqueue.core import Outcome, Start, WorkerRegistry
from ocrqueue.core.celery_messages import TASK
from ocrqueue.errors import OcrQueueError, StorageDenied, StorageUnavailable
from ocrqueue.job import Job, engine_queues
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import open_storage
from ocrqueue_worker.access.verdict import VERDICT
from ocrqueue_worker.broker.messages import PartMessage
from ocrqueue_worker.engines.asking import asking
from ocrqueue_worker.engines.discovery import engine_names, load_engine, make_engine
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.limits.soft_time_limit import SOFT_TIME_LIMIT
from ocrqueue_worker.pipeline.attempt import Workplace
from ocrqueue_worker.pipeline.page_parts import Split
from ocrqueue_worker.routes.engine_failure import instead_of_failing
from ocrqueue_worker.routes.next_engine import Onward
from ocrqueue_worker.sources.credentials import CREDENTIALS
from ocrqueue_worker.task.batch import BatchReading
from ocrqueue_worker.task.celery_request import PartRequest
from ocrqueue_worker.task.children_loaded import ChildrenLoaded
from ocrqueue_worker.task.delivery import Delivery, failed, note_about_to_end, note_cpu_time, reason_not_to_begin
from ocrqueue_worker.task.run_job import read_job
from ocrqueue_worker.telemetry import metrics
from ocrqueue_worker.telemetry.tracing import attempt_span

_log = structlog.get_logger(__name__)

_PARTS: Final = TypeAdapter(tuple[PartMessage, ...])


@contextmanager
def _ending_a_stuck_process() -> Iterator[None]:
    """Around what takes moments. Where it takes all of a job's time, this child waits for what never comes, such as a
    lock that a thread held when it was forked, and so would the next job: Celery replaces the child."""
    try:
        with SOFT_TIME_LIMIT.interrupts():
            yield
    except SoftTimeLimitExceeded:
        _log.error("cannot begin within the time of a job; this process ends")
        os._exit(1)


class RecognizeTask(Task):  # type: ignore[misc]  # celery has no types
    """Reads one part of a job, or several of different jobs together. What comes of them is said to Redis by it alone:
    Celery keeps no result, and acknowledging asks Redis nothing."""

    name = TASK
    Request = PartRequest
    ignore_result = True
    max_retries = None

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.registry = WorkerRegistry(settings)
        self.children_loaded = ChildrenLoaded()
        self._recoveries = VERDICT.recoveries
        self._batch_sizes: dict[str, int] = {}
        self._engines: dict[tuple[int, str], Engine[Any]] = {}
        self._loading = threading.Lock()

    # --- engines ---------------------------------------------------------------------------------------------------

    def engines_of(self, queues: Iterable[str]) -> list[str]:
        """The installed engines that have a lane among `queues`."""
        consumed = set(queues)
        return [name for name in engine_names() if consumed.intersection(engine_queues(name))]

    def engine(self, name: str, load: bool = True) -> Engine[Any]:
        """This process's engine of that name. Raises EngineUnknown, EngineUnavailable."""
        key = (os.getpid(), name)
        if not load:
            return self._engines.get(key) or make_engine(name, self.settings)
        # in a pool of threads the first jobs come at once, and are to share one engine
        with self._loading:
            if key not in self._engines:
                begun = time.monotonic()
                engine = make_engine(name, self.settings)
                load_engine(engine)
                metrics.engine_loaded(name, time.monotonic() - begun)
                self._engines[key] = engine
            return self._engines[key]

    def batch_size(self, lane: str) -> int:
        """How many parts of one kind are worth taking at once from a lane; 1 where jobs run in threads."""
        engine = lane.split(".")[1]
        if engine not in self._batch_sizes:
            self._batch_sizes[engine] = self._pages_per_call(engine)
        return self._batch_sizes[engine]

    def _pages_per_call(self, name: str) -> int:
        try:
            engine = self.engine(name, load=False)
        except OcrQueueError:
            return 1
        if engine.pool == "threads":
            return 1
        try:
            with asking(name, "pages_together()"):
                return max(1, int(engine.pages_together(engine.options_model())))
        except OcrQueueError:
            # an engine of somebody's own may require some
            return engine.pages_per_call

    def load_engines(self) -> None:
        """Load what the worker's queues need, before the first job. What cannot be loaded fails its own jobs only."""
        for name in self.engines_of(self.app.amqp.queues.consume_from):
            try:
                self.engine(name)
            except OcrQueueError as error:
                _log.error("engine cannot be loaded", engine=name, error=str(error))

    def jobs_per_child(self) -> int:
        """After which a child of this worker is replaced; 0: never. Of several engines' limits the lowest."""
        setting = self.settings.max_jobs_per_child
        limits = [setting.of(name) for name in self.engines_of(self.app.amqp.queues.consume_from)]
        return min(filter(None, limits), default=0)

    def close(self) -> None:
        for (pid, _), engine in self._engines.items():
            if pid == os.getpid():
                engine.close()

    # --- in a child ------------------------------------------------------------------------------------------------

    def run(self, parts: object = None) -> None:
        """`parts` are those of one TAKE, as ocrqueue_worker.broker.messages has them."""
        structlog.contextvars.clear_contextvars()
        SOFT_TIME_LIMIT.begin()
        read = _PARTS.validate_python(parts)
        if len(read) > 1:
            self._run_batch(read)
        else:
            for part in read:
                with suppress(Ignore):
                    self._run_part(part)

    def _run_part(self, part: PartMessage) -> None:
        job = part.read_job()
        structlog.contextvars.bind_contextvars(job_id=job.id, engine=job.engine)
        with _ending_a_stuck_process():
            delivery = self._delivery(part, job, self._workplace())
        closing = self._do(delivery, part)
        if closing is not None:
            self._do(closing, part)

    @staticmethod
    def _do(delivery: Delivery, part: PartMessage) -> Delivery | None:
        """Returns the closing part that comes with the last page of a job. Raises Ignore."""
        # a closing part has what is left of its page's time, which may be nothing
        with nullcontext() if delivery.follows_a_page else _ending_a_stuck_process():
            if (reason := reason_not_to_begin()) is not None:
                delivery.give_back(reason, alone=False)
                return None
            start = delivery.begin()
        if not delivery.follows_a_page:
            # Redis was away for so long: that is no time of the engine's, and the hard limit holds
            SOFT_TIME_LIMIT.forget()
        note_cpu_time()
        # of the pages that a closing part gathers it says nothing
        is_poison = part.poison and not delivery.follows_a_page
        with attempt_span(delivery.job, start, delivery.trace):
            try:
                with SOFT_TIME_LIMIT.interrupts():
                    SOFT_TIME_LIMIT.check()
                    outcome = delivery.outcome_of_poison(start) if is_poison else _read(delivery, start)
            except Exception as error:
                outcome = delivery.outcome_of(start, error)
            return delivery.end(outcome, start)

    def _run_batch(self, parts: Sequence[PartMessage]) -> None:
        jobs = [part.read_job() for part in parts]
        structlog.contextvars.bind_contextvars(task_id=self.request.id, engine=jobs[0].engine)
        workplace = self._workplace()
        deliveries = [self._delivery(part, job, workplace) for part, job in zip(parts, jobs, strict=True)]
        # so many only where they are short: see ocrqueue_worker.broker.short_jobs
        are_short = len(jobs) > self.batch_size(jobs[0].queue)
        closing = BatchReading(deliveries, workplace, are_short=are_short).run()
        for part, delivery in zip(parts, deliveries, strict=True):
            if (last := closing.get(part.hold)) is not None:
                with suppress(Ignore), bound_contextvars(job_id=delivery.job.id):
                    self._do(last, part)

    def _delivery(self, part: PartMessage, job: Job, workplace: Workplace) -> Delivery:
        return Delivery(job, part.hold, workplace, self.request.hostname or "", part.by_name, part.trace)

    def _workplace(self) -> Workplace:
        CREDENTIALS.renew()
        if self._recoveries != VERDICT.recoveries:
            self._recoveries = VERDICT.recoveries
            # what was wrong may have been credentials that this process has read before
            CREDENTIALS.forget()
        return Workplace(self.settings, self.registry, open_storage(self.settings), self.engine, note_about_to_end)

    # --- in the worker's main process, in a thread beside its event loop --------------------------------------------

    def close_killed(self, part: PartMessage, error: OcrQueueError, node: str, registry: WorkerRegistry) -> None:
        """Close the record of a job whose child was killed for good, or let the next engine of its route have it.

        Its image is not touched: it killed a child.
        """
        job, start = part.read_job(), _start_of(part, registry)
        workplace = replace(self._workplace(), registry=registry)
        delivery = Delivery(job, part.hold, workplace, node, part.by_name)
        instead: Outcome | Onward | None = None
        if job.route is not None and not part.closing:
            with suppress(StorageUnavailable, StorageDenied):
                instead = instead_of_failing(job, part.hold, start, workplace, error, with_missing_crops=False)
        with suppress(Ignore):
            closing = delivery.end(instead or failed(part.hold.job_id, error))
            if closing is not None:
                # this process reads nothing
                closing.give_back(error)


def _start_of(part: PartMessage, registry: WorkerRegistry) -> Start:
    """Of an attempt whose child cannot say any more what it was told."""
    pages, pin = registry.split_into(part.hold.job_id) if part.hold.page is not None else (0, "")
    return Start("run", pages=pages, pin=pin)


def _read(delivery: Delivery, start: Start) -> Outcome | Onward | Split:
    return read_job(delivery.job, delivery.hold, start, delivery.workplace)
