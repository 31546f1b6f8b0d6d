"""Registry: the job records, for code that blocks. Every method but those said otherwise is one round trip."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, cast
from uuid import uuid4

import redis

from ocrqueue.core.admission import Admission
from ocrqueue.core.celery_messages import celery_message
from ocrqueue.core.connection import broker_errors, connect
from ocrqueue.core.records import JobStatus, Outcome, State, parse_record
from ocrqueue.core.script_arguments import PIPELINE, Holder, ScriptArguments
from ocrqueue.core.scripts import load_script
from ocrqueue.errors import ErrorInfo, JobUnknown
from ocrqueue.job import Job
from ocrqueue.settings import Settings


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker is to do with a delivery.

    `number` is the attempt for "run", the deliveries so far for "poison". `queue_wait_s` is in seconds. `retries`: how
    many attempts before this one ended with a retryable error.
    """

    verdict: Literal["run", "finished", "cancelled", "poison", "elsewhere", "alone"]
    number: int
    queue_wait_s: float
    retries: int = 0


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it was submitted. `wants_summary`: it was sent by name, and Celery is to store its summary."""

    job: Job
    wants_summary: bool


@dataclass(frozen=True, slots=True)
class Published:
    """How many jobs were put back in their queues, and how many workers there are to do so."""

    jobs: int
    workers: int


class Registry:
    """Raises BrokerUnavailable wherever Redis does not answer."""

    def __init__(self, settings: Settings, client: redis.Redis | None = None) -> None:
        self.settings = settings
        self.arguments = ScriptArguments(settings)
        self.keys = self.arguments.keys
        self.client = client or connect(settings)
        self._submit = self.client.register_script(load_script("submit"))
        self._taken = self.client.register_script(load_script("taken"))
        self._begin = self.client.register_script(load_script("begin"))
        self._progress = self.client.register_script(load_script("progress"))
        self._release = self.client.register_script(load_script("release"))
        self._finish = self.client.register_script(load_script("finish"))
        self._cancel = self.client.register_script(load_script("cancel"))
        self._abandon = self.client.register_script(load_script("abandon"))
        self._publish_due = self.client.register_script(load_script("publish_due"))
        self._send_on = self.client.register_script(load_script("send_on"))
        self._heartbeat = self.client.register_script(load_script("heartbeat"))

    # --- producers -------------------------------------------------------------------------------------------------

    def submit(self, jobs: Iterable[Job], wait_for_room: float | None = 0, group: int = 1) -> Iterator[str]:
        """Write records and messages, 500 in a round trip; yields the id that stands for each job, in order.

        `group`: how many jobs of a kind may travel in one message (see ocrqueue.job.groups).
        The id differs from the job's where its idempotency key belongs to an earlier job. Raises QueueFull at the first
        job that finds its queue full, once no room was found for `wait_for_room` seconds (None: waits without limit);
        a job that is queued or has ended already is never refused.
        """
        remaining = iter(jobs)
        admission = Admission(self.arguments, wait_for_room, group)
        while admission.take(islice(remaining, PIPELINE)):
            while admission.pending:
                yield from admission.settle(self._run(self._submit, *admission.call()))
                time.sleep(admission.pause_s())

    def status(self, job_id: str) -> JobStatus:
        """Raises JobUnknown."""
        with broker_errors():
            record = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.record(job_id)))
        if not record:
            raise JobUnknown(f"No job {job_id}.")
        return parse_record(job_id, record)

    def statuses(self, job_ids: Sequence[str]) -> Iterator[JobStatus | None]:
        """One JobStatus for each id, None where it is unknown; a round trip for each 500."""
        for start in range(0, len(job_ids), PIPELINE):
            chunk = job_ids[start : start + PIPELINE]
            with broker_errors(), self.client.pipeline(transaction=False) as pipeline:
                for job_id in chunk:
                    pipeline.hgetall(self.keys.record(job_id))
                records = pipeline.execute()
            for job_id, record in zip(chunk, records, strict=True):
                yield parse_record(job_id, record) if record else None

    def cancel(self, job_id: str) -> State:
        """Cancel a queued job, ask a running one to stop; a finished one stays as it is.

        Returns the state after it. Raises JobUnknown.
        """
        keys, args = self.arguments.cancel(job_id)
        state = self._run(self._cancel, keys, args)
        if state is None:
            raise JobUnknown(f"No job {job_id}.")
        return cast("State", state.decode())

    # --- workers ---------------------------------------------------------------------------------------------------

    def begin(
        self,
        job: Job,
        worker: str,
        wants_summary: bool = False,
        delivery: str | None = None,
        in_group: bool = False,
    ) -> Start:
        """Count a delivery and say what to do with it. A job submitted by name gets its record here.

        Asked again with the same `delivery` (None: a new one), since an answer was lost, it counts as one.

        `in_group`: it came together with others. If it was begun before, it is not to run with them: "alone" says that
        it is back in its queue, with a message of its own, and no delivery is counted.
        """
        keys, args = self.arguments.begin(job, worker, wants_summary, delivery or uuid4().hex, in_group)
        verdict, number, wait_ms, retries = self._run(self._begin, keys, args)
        return Start(verdict.decode(), int(number), max(0.0, wait_ms / 1000), int(retries))

    def taken(self, queue: str, group_id: str) -> None:
        """The group no longer waits in the queue of that name: its jobs no longer count towards the queue's length."""
        self._run(self._taken, *self.arguments.taken(queue, group_id))

    def progress(self, job_id: str, attempt: int, done: int, pages: int) -> Literal["go on", "stop", "elsewhere"]:
        """Note the progress in pages, and hear what the attempt is to do.

        "stop": the job was asked to, or has ended. "elsewhere": a newer attempt has it.
        """
        keys, args = self.arguments.progress(job_id, attempt, done, pages)
        return cast("Literal['go on', 'stop', 'elsewhere']", self._run(self._progress, keys, args).decode())

    def heartbeat(self, job_ids: Sequence[str]) -> None:
        """Say of the jobs that a living worker has them."""
        if job_ids:
            self._run(self._heartbeat, *self.arguments.heartbeat(job_ids))

    def abandon(self, job_id: str, worker: str) -> bool:
        """The worker's process that ran the job is gone: its next delivery is to run."""
        return bool(self._run(self._abandon, *self.arguments.abandon(job_id, worker)))

    def cancel_requested(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that were asked to stop."""
        if not job_ids:
            return []
        with broker_errors(), self.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hexists(self.keys.record(job_id), "cancel")
            asked = pipeline.execute()
        return [job_id for job_id, yes in zip(job_ids, asked, strict=True) if yes]

    def release(
        self, job: Job, error: ErrorInfo, holder: Holder, wants_summary: bool = False, pause_s: float = 0.0
    ) -> Literal["released", "ended", "elsewhere"]:
        """Back to queued, to be tried again because of `error`: at once, or as a retry after `pause_s` seconds.

        Not if the job has ended meanwhile, or a newer attempt has it.
        """
        return self._release_with(celery_message(job, wants_summary), job, error, holder, pause_s)

    def hand_back(self, job: Job, error: ErrorInfo, holder: Holder) -> Literal["released", "ended", "elsewhere"]:
        """The same for a job whose message Celery itself puts back in the queue."""
        return self._release_with("", job, error, holder, 0.0)

    def _release_with(
        self, message: str, job: Job, error: ErrorInfo, holder: Holder, pause_s: float
    ) -> Literal["released", "ended", "elsewhere"]:
        error_json = error.model_dump_json(exclude_defaults=True)
        keys, args = self.arguments.release(job, message, error_json, holder, pause_s)
        return cast("Literal['released', 'ended', 'elsewhere']", self._run(self._release, keys, args).decode())

    def send_on(
        self, job: Job, engine_before: str, holder: Holder | None, wants_summary: bool = False, pages: int = 0
    ) -> Literal["sent", "ended", "elsewhere", "cancelled"]:
        """The next engine of the job's route has its turn: into its queue, if the job is still the holder's.

        `job` is as it goes there; `pages`: how many the engine before has read. "cancelled": the job was asked to stop,
        and is still the holder's to end.
        """
        keys, args = self.arguments.send_on(job, engine_before, wants_summary, holder, pages)
        done = self._run(self._send_on, keys, args).decode()
        return cast("Literal['sent', 'ended', 'elsewhere', 'cancelled']", done)

    def publish_due(self) -> Published:
        """Put jobs whose pause is over back in their queues."""
        return Published(*self._run(self._publish_due, *self.arguments.publish_due(PIPELINE)))

    def finish(self, job: Job, outcome: Outcome, holder: Holder | None = None) -> State | Literal["elsewhere"]:
        """End the job, unless it has ended: returns the state that stands.

        With a `holder` only if the job is still its: "elsewhere" otherwise. A failure is given with one, since
        another attempt may do better.
        """
        keys, args = self.arguments.finish(job, outcome, holder)
        return cast("State | Literal['elsewhere']", self._run(self._finish, keys, args).decode())

    def job(self, job_id: str) -> Job | None:
        """The job as it was submitted; None where there is no record."""
        (stored,) = self.stored_jobs([job_id])
        return stored.job if stored else None

    def stored_jobs(self, job_ids: Sequence[str]) -> list[StoredJob | None]:
        """None where there is no record."""
        with broker_errors(), self.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hmget(self.keys.record(job_id), "job", "summary")
            stored = pipeline.execute()
        return [StoredJob(Job.model_validate_json(job), bool(summary)) if job else None for job, summary in stored]

    def remember_reading(self, cache_key: str, result_uri: str) -> None:
        """The result of an image is at `result_uri`, should the same be asked again."""
        with broker_errors():
            self.client.set(self.keys.read(cache_key), result_uri, ex=self.settings.cache_ttl_s)

    def earlier_reading(self, cache_key: str) -> str | None:
        with broker_errors():
            uri = cast("bytes | None", self.client.get(self.keys.read(cache_key)))
        return uri.decode() if uri else None

    def close(self) -> None:
        self.client.close()

    def _run(self, script: Any, keys: list[str], args: list[Any]) -> Any:
        with broker_errors():
            return script(keys=keys, args=args)
