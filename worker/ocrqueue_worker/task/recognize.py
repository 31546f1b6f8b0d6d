"""The task `ocrqueue.recognize`: one message, with one job or a group. The work is in `pipeline` and `group`."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from celery import Task
from celery.exceptions import Ignore
from structlog.contextvars import bound_contextvars

from ocrqueue.core import Holder, Outcome, Registry, Start
from ocrqueue.core.celery_messages import TASK
from ocrqueue.errors import BrokerUnavailable, ErrorInfo, JobMalformed, OcrQueueError, error_from_info
from ocrqueue.job import JOB_ID, Job, engine_queues, parse_job
from ocrqueue.routing import make_route, read_engines
from ocrqueue.settings import Settings
from ocrqueue.storage import open_storage
from ocrqueue.tracing import HEADER
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.engines.loading import engine_names, make_engine
from ocrqueue_worker.pipeline.attempt import Workplace
from ocrqueue_worker.routes.engine_failure import instead_of_failing
from ocrqueue_worker.routes.steps import Onward
from ocrqueue_worker.task.children_loaded import ChildrenLoaded
from ocrqueue_worker.task.delivery import Delivery, JobFailed, Summary, failed, send_reply
from ocrqueue_worker.task.group import GroupReading
from ocrqueue_worker.task.reading import read_job
from ocrqueue_worker.task.redis_outage import until_redis_answers
from ocrqueue_worker.task.request import JobRequest, readable_job
from ocrqueue_worker.telemetry import metrics
from ocrqueue_worker.telemetry.tracing import attempt_span, group_span

_log = structlog.get_logger(__name__)


class RecognizeTask(Task):  # type: ignore[misc]  # celery has no types
    """Reads one image, or those of a group. See docs/celery.md for the message."""

    name = TASK
    Request = JobRequest
    throws = (JobFailed,)
    max_retries = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = Registry(settings)
        self.children_loaded = ChildrenLoaded()
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
                engine.load()
                metrics.engine_loaded(name, time.monotonic() - begun)
                self._engines[key] = engine
            return self._engines[key]

    def load_engines(self) -> None:
        """Load what the worker's queues need, before the first job. What cannot be loaded fails its own jobs only."""
        for name in self.engines_of(self.app.amqp.queues.consume_from):
            try:
                self.engine(name)
            except OcrQueueError as error:
                _log.error("engine cannot be loaded", engine=name, error=str(error))

    def close(self) -> None:
        for (pid, _), engine in self._engines.items():
            if pid == os.getpid():
                engine.close()

    # --- one delivery ----------------------------------------------------------------------------------------------

    def run(self, job: object = None, jobs: object = None, refusal: object = None) -> Summary:
        """`jobs` are those of a group. `refusal` is the error of a message that `envelopes` does not take.

        Returns the summary, of a group an empty one. Raises JobFailed.
        """
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job_id=self.request.id)
        if not re.fullmatch(JOB_ID, self.request.id):
            # no key in Redis or storage may be made of it, so there is no record either
            _log.error("dropped a message whose id can be none of a job")
            raise JobFailed(str(JobMalformed("The Celery task id is no job id: letters, digits, - and _, 64 at most.")))
        if isinstance(jobs, list) and len(jobs) > 1:
            return self._run_group(jobs)
        job = jobs[0] if isinstance(jobs, list) and jobs else job
        delivery = self._delivery()
        try:
            if refusal is not None:
                raise error_from_info(ErrorInfo.model_validate(refusal))
            parsed = self._with_route(parse_job(job, self.request.id))
        except BrokerUnavailable as error:
            _log.error("cannot tell which engines there are; the job is left to the reconciler", error=error.code)
            raise Ignore from None
        except OcrQueueError as error:
            unread = readable_job(job, self.request.id)
            return delivery.end(unread, failed(unread.id, error))
        structlog.contextvars.bind_contextvars(job_id=parsed.id, engine=parsed.engine)
        if parsed.engine not in self.engines_of(self.app.amqp.queues.consume_from) and parsed.route:
            return delivery.send_on(parsed, Onward(parsed, pages=0))
        start = delivery.begin(parsed)
        return self._work(delivery, parsed, start) if isinstance(start, Start) else start

    def _with_route(self, job: Job) -> Job:
        """Of a job that came by name, which no client has routed. Raises LanguageUnsupported, BrokerUnavailable."""
        if not job.wants_route:
            return job
        wait_s = self.settings.hard_time_limit_s.of(job.engine)
        engines = until_redis_answers(lambda: read_engines(self.registry), wait_s)
        return make_route(job, self.settings, engines)

    def _work(self, delivery: Delivery, job: Job, start: Start) -> Summary:
        outcome: Outcome | Onward
        with attempt_span(job, start, self.request.get(HEADER)):
            try:
                outcome = read_job(job, start, delivery.workplace)
            except Exception as error:
                outcome = delivery.outcome_of(job, start, error)
            return delivery.end(job, outcome, start)

    def _run_group(self, jobs: list[Any]) -> Summary:
        """`jobs` as `envelopes` lets them through: objects, each with an id that can be one."""
        structlog.contextvars.unbind_contextvars("job_id")
        structlog.contextvars.bind_contextvars(group_id=self.request.id, engine=jobs[0].get("engine"))
        delivery, read = self._delivery(), []
        for job in jobs:
            try:
                read.append(_groupable(parse_job(job, job["id"])))
            except OcrQueueError as error:
                with suppress(Ignore), bound_contextvars(job_id=job["id"]):
                    delivery.end(readable_job(job, job["id"]), failed(job["id"], error))
        if read:
            with suppress(BrokerUnavailable):
                self.registry.taken(read[0].queue, self.request.id)
            with group_span(read[0].queue, len(read), self.request.get(HEADER)):
                GroupReading(read, delivery, delivery.workplace).run()
        return {}

    def _delivery(self) -> Delivery:
        wants_summary = not self.request.ignore_result
        return Delivery(self._workplace(), self.app, self.request.hostname or "", wants_summary)

    def _workplace(self) -> Workplace:
        return Workplace(self.settings, self.registry, open_storage(self.settings), self.engine)

    # --- in the worker's main process ------------------------------------------------------------------------------

    def close_killed(self, jobs: Sequence[Job], worker: str, error: OcrQueueError) -> None:
        """Close the record of a job whose child was killed for good; those of a group are to be read one by one."""
        try:
            if len(jobs) == 1 and jobs[0].route is not None and self._went_on(jobs[0], worker, error):
                return
            if len(jobs) > 1:
                # the last one first: each is put in front of those before it
                for job in reversed(jobs):
                    self.registry.release(job, error.info, Holder(worker))
                return
            for job in jobs:
                outcome = failed(job.id, error)
                if self.registry.finish(job, outcome, Holder(worker)) == outcome.state:
                    metrics.job_ended(job, outcome, deliveries=0)
                    send_reply(self.app, job, outcome)
        except OcrQueueError as unavailable:
            _log.warning("cannot close the record", job_ids=[job.id for job in jobs], error=unavailable.code)

    def _went_on(self, job: Job, worker: str, error: OcrQueueError) -> bool:
        """Whether the next engine has the job, or what stood is its result. Without its image: it killed a child."""
        start = Start("run", 0, 0.0)
        instead = instead_of_failing(job, start, self._workplace(), error, with_missing_crops=False)
        holder = Holder(worker)
        if isinstance(instead, Onward):
            sent = self.registry.send_on(instead.job, job.engine, holder) == "sent"
            if sent:
                metrics.job_sent_on(job, instead.job, instead.pages)
            return sent
        if instead is None:
            return False
        if self.registry.finish(job, instead, holder) == instead.state:
            metrics.job_ended(job, instead, deliveries=0)
            send_reply(self.app, job, instead)
        return True


def _groupable(job: Job) -> Job:
    """Raises JobMalformed for one that may have to go on to another engine than its neighbours."""
    if job.options_by_engine:
        raise JobMalformed("A job with auto, fallback or compare travels in a message of its own.")
    return job
