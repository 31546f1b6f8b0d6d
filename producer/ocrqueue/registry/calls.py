"""The scripts' keys and arguments, the same for the blocking and the asyncio client."""

from __future__ import annotations

from dataclasses import dataclass, field

from ocrqueue.errors import ErrorInfo
from ocrqueue.job import Job
from ocrqueue.messages import celery_message
from ocrqueue.registry.keys import Keys
from ocrqueue.registry.records import Outcome
from ocrqueue.settings import Settings

Call = tuple[list[str], list[str | bytes | int]]
"""Keys and arguments of one script."""


def job_json(job: Job) -> str:
    return job.model_dump_json(include=set(job.to_message()))


@dataclass(frozen=True)
class Calls:
    """What each script is given under these settings."""

    settings: Settings
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", Keys(self.settings.key_prefix))

    def submit(self, job: Job) -> Call:
        keys = self.keys
        once = [keys.once(job.idempotency_key)] if job.idempotency_key else []
        return (
            [keys.record(job.id), keys.queue(job.queue), keys.queued(), *once],
            [
                job.id,
                job_json(job),
                self.settings.queued_ttl_s * 1000,
                self.settings.idempotency_ttl_s * 1000,
                celery_message(job),
                keys.record(""),
            ],
        )

    def begin(self, job: Job, worker: str) -> Call:
        return (
            [self.keys.record(job.id), self.keys.queued(), self.keys.running()],
            [
                job_json(job),
                self.settings.queued_ttl_s * 1000,
                worker,
                self.settings.delivery_cap,
                job.id,
                self.keys.events(job.id),
            ],
        )

    def progress(self, job_id: str, done: int, pages: int) -> Call:
        return [self.keys.record(job_id), self.keys.running()], [job_id, self.keys.events(job_id), done, pages]

    def release(self, job_id: str, error_json: str) -> Call:
        keys = [self.keys.record(job_id), self.keys.queued(), self.keys.running()]
        return keys, [job_id, self.keys.events(job_id), error_json]

    def finish(self, job: Job, outcome: Outcome) -> Call:
        dead = outcome.error is not None and outcome.state == "failed" and is_dead_letter(outcome.error)
        life_s = self.settings.dead_letter_ttl_s if dead else self.settings.record_ttl_s
        return (
            [self.keys.record(job.id), self.keys.queued(), self.keys.running(), self.keys.dead()],
            [
                job.id,
                self.keys.events(job.id),
                outcome.state,
                outcome.model_dump_json(exclude_defaults=True),
                life_s * 1000,
                job_json(job),
                int(dead),
            ],
        )

    def cancel(self, job_id: str) -> Call:
        outcome = Outcome(job_id=job_id, state="cancelled")
        return (
            [self.keys.record(job_id), self.keys.queued()],
            [
                job_id,
                self.keys.events(job_id),
                outcome.model_dump_json(exclude_defaults=True),
                self.settings.record_ttl_s * 1000,
            ],
        )

    def republish(self, job: Job, silent_s: float) -> Call:
        return (
            [self.keys.record(job.id), self.keys.queue(job.queue), self.keys.queued(), self.keys.running()],
            [job.id, self.keys.events(job.id), celery_message(job), int(silent_s * 1000)],
        )

    def replay(self, job: Job) -> Call:
        return (
            [self.keys.record(job.id), self.keys.queue(job.queue), self.keys.queued(), self.keys.dead()],
            [job.id, self.keys.events(job.id), celery_message(job), self.settings.queued_ttl_s * 1000],
        )


def is_dead_letter(error: ErrorInfo) -> bool:
    """Whether a replay may help: the cause is not in the job or its image, which would fail the same way."""
    group, _, _ = error.code.partition(".")
    return error.retryable or group in {"engine", "internal", "storage"} or error.code == "job.poison"
