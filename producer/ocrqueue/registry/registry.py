"""Registry: the job records, for code that blocks. Every method but those said otherwise is one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, cast

import redis

from ocrqueue.errors import ErrorInfo, JobUnknown
from ocrqueue.job import Job
from ocrqueue.registry import scripts
from ocrqueue.registry.calls import Calls
from ocrqueue.registry.connection import broker_errors, connect
from ocrqueue.registry.records import JobStatus, Outcome, State, parse_record
from ocrqueue.settings import Settings

PIPELINE: int = 500
"""Commands sent together; what bounds the memory of a large submission."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker is to do with a delivery.

    `number` is the attempt for "run", the deliveries so far for "poison". `queue_wait_s` is in seconds.
    """

    verdict: Literal["run", "finished", "cancelled", "poison"]
    number: int
    queue_wait_s: float


class Registry:
    """Raises BrokerUnavailable wherever Redis does not answer."""

    def __init__(self, settings: Settings, client: redis.Redis | None = None) -> None:
        self.settings = settings
        self.calls = Calls(settings)
        self.keys = self.calls.keys
        self.client = client or connect(settings)
        self._submit = self.client.register_script(scripts.SUBMIT)
        self._begin = self.client.register_script(scripts.BEGIN)
        self._progress = self.client.register_script(scripts.PROGRESS)
        self._release = self.client.register_script(scripts.RELEASE)
        self._finish = self.client.register_script(scripts.FINISH)
        self._cancel = self.client.register_script(scripts.CANCEL)
        self._heartbeat = self.client.register_script(scripts.HEARTBEAT)

    # --- producers -------------------------------------------------------------------------------------------------

    def submit(self, jobs: Iterable[Job]) -> Iterator[str]:
        """Write records and messages, a pipeline for each 500; yields the id that stands for each job, in order.

        The id differs from the job's where its idempotency key belongs to an earlier job.
        """
        remaining = iter(jobs)
        while chunk := list(islice(remaining, PIPELINE)):
            with broker_errors(), self.client.pipeline(transaction=False) as pipeline:
                for job in chunk:
                    keys, args = self.calls.submit(job)
                    self._submit(keys=keys, args=args, client=pipeline)
                ids = pipeline.execute()
            yield from (job_id.decode() for job_id in ids)

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
        keys, args = self.calls.cancel(job_id)
        state = self._run(self._cancel, keys, args)
        if state is None:
            raise JobUnknown(f"No job {job_id}.")
        return cast("State", state.decode())

    # --- workers ---------------------------------------------------------------------------------------------------

    def begin(self, job: Job, worker: str) -> Start:
        """Count a delivery and say what to do with it. A job submitted by name gets its record here."""
        keys, args = self.calls.begin(job, worker)
        verdict, number, wait_ms = self._run(self._begin, keys, args)
        return Start(verdict.decode(), int(number), max(0.0, wait_ms / 1000))

    def progress(self, job_id: str, done: int, pages: int) -> bool:
        """Note the progress in pages; true if the job should stop."""
        keys, args = self.calls.progress(job_id, done, pages)
        return bool(self._run(self._progress, keys, args))

    def heartbeat(self, job_ids: Sequence[str]) -> None:
        """Say of running jobs that their worker is alive."""
        if job_ids:
            self._run(self._heartbeat, [self.keys.running()], list(job_ids))

    def cancel_requested(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that were asked to stop."""
        if not job_ids:
            return []
        with broker_errors(), self.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hexists(self.keys.record(job_id), "cancel")
            asked = pipeline.execute()
        return [job_id for job_id, yes in zip(job_ids, asked, strict=True) if yes]

    def release(self, job_id: str, error: ErrorInfo) -> bool:
        """Back to queued, to be tried again because of `error`; false if the job has ended meanwhile."""
        keys, args = self.calls.release(job_id, error.model_dump_json(exclude_defaults=True))
        return bool(self._run(self._release, keys, args))

    def finish(self, job: Job, outcome: Outcome) -> State:
        """End the job, unless it has ended: returns the state that stands."""
        keys, args = self.calls.finish(job, outcome)
        return cast("State", self._run(self._finish, keys, args).decode())

    def job(self, job_id: str) -> Job | None:
        """The job as it was submitted; None where there is no record."""
        (job,) = self.jobs([job_id])
        return job

    def jobs(self, job_ids: Sequence[str]) -> list[Job | None]:
        """The same for many."""
        with broker_errors(), self.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hget(self.keys.record(job_id), "job")
            stored = pipeline.execute()
        return [Job.model_validate_json(text) if text else None for text in stored]

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
