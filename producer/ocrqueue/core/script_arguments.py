"""The scripts' keys and arguments, the same for the blocking and the asyncio client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ocrqueue.core.celery_messages import celery_message, group_message
from ocrqueue.core.keys import Keys
from ocrqueue.core.rates import KEPT_PERIODS, PERIOD_S
from ocrqueue.core.records import Outcome
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import Job, engine_queues, new_job_id
from ocrqueue.job.groups import group_numbers
from ocrqueue.job.names import LANES
from ocrqueue.settings import Settings

PIPELINE: Final = 500
"""Jobs or commands sent together; what bounds the memory of a large submission."""

KeysAndArguments = tuple[list[str], list[str | bytes | int]]
"""Keys and arguments of one script."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who says so: a worker's node name, and the number of its attempt, 0 where only the worker is known."""

    worker: str
    attempt: int = 0


def job_json(job: Job) -> str:
    return job.model_dump_json(include=set(job.to_message()))


@dataclass(frozen=True)
class ScriptArguments:
    """What each script is given under these settings."""

    settings: Settings
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", Keys(self.settings.key_prefix))

    def submit(self, jobs: Sequence[Job], group: int = 1) -> KeysAndArguments:
        """`group`: how many jobs of a kind may travel in one message."""
        keys, limits = self.keys, self.settings.max_queue_length
        engines = list(dict.fromkeys(job.engine for job in jobs))
        names = [keys.queued()]
        for engine in engines:
            lanes = engine_queues(engine)
            names += [*map(keys.queue, lanes), *map(keys.grouped, lanes), keys.ended(engine)]
        as_json = [job_json(job) for job in jobs]
        numbers = group_numbers(jobs, [len(text.encode()) for text in as_json], group)
        groups = {number: job for job, number in zip(jobs, numbers, strict=True) if number}
        arguments: list[str | bytes | int] = [
            self.settings.queued_ttl_s * 1000,
            self.settings.idempotency_ttl_s * 1000,
            keys.record(""),
            len(engines),
            len(groups),
            *map(limits.of, engines),
        ]
        for _, job in sorted(groups.items()):
            group_id = new_job_id()
            arguments += [group_id, *group_message(group_id, job.queue)]
        for job, text, number in zip(jobs, as_json, numbers, strict=True):
            names += [keys.record(job.id), *([keys.once(job.idempotency_key)] if job.idempotency_key else [])]
            place = engines.index(job.engine) + 1, LANES.index(job.priority) + 1
            message = "" if number else celery_message(job)
            arguments += [job.id, text, message, *place, int(bool(job.idempotency_key)), number]
        return names, arguments

    def taken(self, queue: str, group_id: str) -> KeysAndArguments:
        return [self.keys.grouped(queue)], [group_id]

    def begin(self, job: Job, worker: str, wants_summary: bool, delivery: str, in_group: bool) -> KeysAndArguments:
        keys = self.keys
        return (
            [
                keys.record(job.id),
                keys.queued(),
                keys.running(),
                keys.delayed(),
                keys.queue(job.queue),
                keys.waits(job.engine),
            ],
            [
                job_json(job),
                self.settings.queued_ttl_s * 1000,
                worker,
                self.settings.delivery_cap,
                job.id,
                keys.events(job.id),
                int(wants_summary),
                int(self.settings.lost_after_s * 1000),
                delivery,
                celery_message(job) if in_group else "",
                job.step,
                int(job.route is not None),
                PERIOD_S * 1000,
                KEPT_PERIODS,
            ],
        )

    def progress(self, job_id: str, attempt: int, done: int, pages: int) -> KeysAndArguments:
        return [self.keys.record(job_id), self.keys.running()], [job_id, self.keys.events(job_id), done, pages, attempt]

    def heartbeat(self, job_ids: Sequence[str]) -> KeysAndArguments:
        return [self.keys.running(), self.keys.queued()], list(job_ids)

    def abandon(self, job_id: str, worker: str) -> KeysAndArguments:
        keys = [self.keys.record(job_id), self.keys.queued(), self.keys.running()]
        return keys, [job_id, self.keys.events(job_id), worker]

    def release(self, job: Job, message: str, error_json: str, holder: Holder, pause_s: float) -> KeysAndArguments:
        keys = self.keys
        return (
            [keys.record(job.id), keys.queue(job.queue), keys.queued(), keys.running(), keys.delayed()],
            [
                job.id,
                keys.events(job.id),
                job_json(job),
                self.settings.queued_ttl_s * 1000,
                message,
                error_json,
                holder.worker,
                holder.attempt,
                int(pause_s * 1000),
            ],
        )

    def send_on(
        self, job: Job, engine_before: str, wants_summary: bool, holder: Holder | None, pages: int
    ) -> KeysAndArguments:
        keys = self.keys
        return (
            [
                keys.record(job.id),
                keys.queue(job.queue),
                keys.queued(),
                keys.running(),
                keys.delayed(),
                keys.ended(engine_before),
                keys.pages(engine_before),
            ],
            [
                job.id,
                keys.events(job.id),
                job_json(job),
                self.settings.queued_ttl_s * 1000,
                celery_message(job, wants_summary),
                holder.worker if holder else "",
                holder.attempt if holder else 0,
                job.step,
                PERIOD_S * 1000,
                KEPT_PERIODS,
                pages,
            ],
        )

    def publish_due(self, limit: int) -> KeysAndArguments:
        return [self.keys.delayed(), self.keys.queued(), self.keys.workers()], [self.keys.record(""), limit]

    def finish(self, job: Job, outcome: Outcome, holder: Holder | None) -> KeysAndArguments:
        dead = outcome.error is not None and outcome.state == "failed" and is_dead_letter(outcome.error)
        life_s = self.settings.dead_letter_ttl_s if dead else self.settings.record_ttl_s
        keys = self.keys
        return (
            [
                keys.record(job.id),
                keys.queued(),
                keys.running(),
                keys.dead(),
                keys.delayed(),
                keys.ended(job.engine),
                keys.pages(job.engine),
                keys.errors(job.engine),
            ],
            [
                job.id,
                keys.events(job.id),
                outcome.state,
                outcome.model_dump_json(exclude_defaults=True),
                life_s * 1000,
                job_json(job),
                int(dead),
                holder.worker if holder else "",
                holder.attempt if holder else 0,
                PERIOD_S * 1000,
                KEPT_PERIODS,
                0 if outcome.cached else outcome.pages,
                outcome.error.code if outcome.error is not None and outcome.state == "failed" else "",
            ],
        )

    def cancel(self, job_id: str) -> KeysAndArguments:
        outcome = Outcome(job_id=job_id, state="cancelled")
        return (
            [self.keys.record(job_id), self.keys.queued(), self.keys.delayed()],
            [
                job_id,
                self.keys.events(job_id),
                outcome.model_dump_json(exclude_defaults=True),
                self.settings.record_ttl_s * 1000,
            ],
        )

    def republish(self, job: Job, wants_summary: bool, silent_s: float) -> KeysAndArguments:
        return (
            [self.keys.record(job.id), self.keys.queue(job.queue), self.keys.queued(), self.keys.running()],
            [job.id, self.keys.events(job.id), celery_message(job, wants_summary), int(silent_s * 1000)],
        )

    def replay(self, failed: Job, wants_summary: bool) -> KeysAndArguments:
        # what its engines left to each other is gone
        job = failed.from_its_first_engine()
        return (
            [self.keys.record(job.id), self.keys.queue(job.queue), self.keys.queued(), self.keys.dead()],
            [
                job.id,
                self.keys.events(job.id),
                celery_message(job, wants_summary),
                self.settings.queued_ttl_s * 1000,
                job_json(job),
            ],
        )


def is_dead_letter(error: ErrorInfo) -> bool:
    """Whether a replay may help: the cause is not in the job or its image, which would fail the same way."""
    group, _, _ = error.code.partition(".")
    return error.retryable or group in {"engine", "internal", "storage"} or error.code == "job.poison"
