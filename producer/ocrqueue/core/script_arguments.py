"""The scripts' keys and arguments, the same for the blocking and the asyncio client."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from ocrqueue.core.celery_messages import GROUP_BODY, celery_message, group_message
from ocrqueue.core.keys import Keys
from ocrqueue.core.rates import KEPT_PERIODS, PERIOD_S
from ocrqueue.core.records import Outcome
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import Job, engine_queues, new_job_id
from ocrqueue.job.groups import group_numbers
from ocrqueue.settings import Settings

PIPELINE: Final = 500
"""Jobs or commands sent together; what bounds the memory of a large submission."""

_PERIODS: Final = {"period_ms": PERIOD_S * 1000, "kept_periods": KEPT_PERIODS}

KeysAndArguments = tuple[list[str], list[str | bytes | int]]
"""Keys and arguments of one script."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who says so: a worker's node name, and the number of its attempt, 0 where only the worker is known."""

    worker: str
    attempt: int = 0


def job_json(job: Job) -> str:
    return job.model_dump_json(include=set(job.to_message()))


def _details(**values: object) -> str:
    """One argument of a script that has many, as JSON. No job is in it: see `ocrqueue.core.scripts`."""
    return json.dumps(_without_nones(**values), ensure_ascii=False, separators=(",", ":"))


def _without_nones(**values: object) -> dict[str, object]:
    """What is None is left out: in Lua JSON's null would be true."""
    return {name: value for name, value in values.items() if value is not None}


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
        as_json = [job_json(job) for job in jobs]
        numbers = group_numbers(jobs, [len(text.encode()) for text in as_json], group)
        first_of_group = {number: job for job, number in zip(jobs, numbers, strict=True) if number}
        texts: list[str | bytes | int] = []

        def number_of(text: str) -> int:
            """Of an argument of its own; the first is the submission."""
            texts.append(text)
            return len(texts) + 1

        submission = _details(
            life_ms=self.settings.queued_ttl_s * 1000,
            once_life_ms=self.settings.idempotency_ttl_s * 1000,
            record_prefix=keys.record(""),
            engines={
                engine: {
                    "limit": limits.of(engine),
                    "ended": keys.ended(engine),
                    "lanes": [
                        {"queue": keys.queue(lane), "grouped": keys.grouped(lane)} for lane in engine_queues(engine)
                    ],
                }
                for engine in {job.engine for job in jobs}
            },
            groups=[self._group(job) for _, job in sorted(first_of_group.items())],
            jobs=[
                _without_nones(
                    id=job.id,
                    engine=job.engine,
                    queue=keys.queue(job.queue),
                    json=number_of(text),
                    message=None if number else number_of(celery_message(job)),
                    group=number or None,
                    once=keys.once(job.idempotency_key) if job.idempotency_key else None,
                )
                for job, text, number in zip(jobs, as_json, numbers, strict=True)
            ],
        )
        return [keys.queued()], [submission, *texts]

    def _group(self, member: Job) -> dict[str, str]:
        group_id = new_job_id()
        start, finish = group_message(group_id, member.queue)
        body_start, body_finish = GROUP_BODY
        return {
            "id": group_id,
            "queue": self.keys.queue(member.queue),
            "grouped": self.keys.grouped(member.queue),
            "start": start,
            "finish": finish,
            "body_start": body_start,
            "body_finish": body_finish,
        }

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
                celery_message(job) if in_group else "",
                _details(
                    id=job.id,
                    channel=keys.events(job.id),
                    life_ms=self.settings.queued_ttl_s * 1000,
                    worker=worker,
                    delivery=delivery,
                    delivery_cap=self.settings.delivery_cap,
                    lost_after_ms=int(self.settings.lost_after_s * 1000),
                    step=job.step,
                    has_route=job.route is not None,
                    wants_summary=wants_summary,
                    **_PERIODS,
                ),
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
                job_json(job),
                message,
                error_json,
                _details(
                    id=job.id,
                    channel=keys.events(job.id),
                    life_ms=self.settings.queued_ttl_s * 1000,
                    holder=asdict(holder),
                    pause_ms=int(pause_s * 1000),
                ),
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
                job_json(job),
                celery_message(job, wants_summary),
                _details(
                    id=job.id,
                    channel=keys.events(job.id),
                    life_ms=self.settings.queued_ttl_s * 1000,
                    step=job.step,
                    holder=asdict(holder) if holder else None,
                    pages=pages,
                    **_PERIODS,
                ),
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
                keys.delayed(),
                keys.dead(),
                keys.ended(job.engine),
                keys.pages(job.engine),
                keys.errors(job.engine),
            ],
            [
                job_json(job),
                outcome.model_dump_json(exclude_defaults=True),
                _details(
                    id=job.id,
                    channel=keys.events(job.id),
                    state=outcome.state,
                    life_ms=life_s * 1000,
                    dead=dead,
                    holder=asdict(holder) if holder else None,
                    pages=0 if outcome.cached else outcome.pages,
                    error_code=outcome.error.code if outcome.error is not None and outcome.state == "failed" else None,
                    **_PERIODS,
                ),
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
