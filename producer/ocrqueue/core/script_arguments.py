"""What each script is given, the same for the blocking and the asyncio client."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from ocrqueue.core import endings
from ocrqueue.core.keys import Keys, once_hash
from ocrqueue.core.records import Outcome
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import Job
from ocrqueue.job.references import input_name
from ocrqueue.tracing import current_traceparent

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

PIPELINE: Final = 500
"""Jobs or commands sent together; what bounds the memory of a large submission."""
_REVOKED_MS: Final = 86_400_000
"""How long a message can wait to be taken in after it was revoked: far longer than it does while any worker is up."""

Arguments = list[str | bytes | int]
"""ARGV of one script. The keys are made in it, since which parts it meets is known there only."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A part in a worker's hand: only the token of its TAKE moves it."""

    part: str
    token: str

    @property
    def job_id(self) -> str:
        return self.part.partition(":")[0]

    @property
    def page(self) -> int | None:
        """The number of the page that the part is about; None where it is about the whole document."""
        number = self.part.partition(":")[2]
        return int(number) if number else None

    @property
    def closing(self) -> Hold:
        """The closing part of the job, should this page part be the last: made of its token, its worker's heartbeat can
        name it before it is there."""
        return Hold(self.job_id, f"{self.token}.{self.page}")


@dataclass(frozen=True, slots=True)
class Used:
    """What an attempt took: for the usage of the job's tenant."""

    pages: int = 0
    cpu_s: float = 0.0
    size_bytes: int = 0
    cost: float = 0.0

    def to_message(self) -> dict[str, float]:
        return {"jobs": 1, "pages": self.pages, "cpu_s": self.cpu_s, "bytes": self.size_bytes, "cost": self.cost}


def job_json(job: Job) -> str:
    return json.dumps(job.to_message(), separators=(",", ":"))


@dataclass(frozen=True)
class ScriptArguments:
    """What each script is given under these settings."""

    settings: ClientSettings
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", Keys(self.settings.key_prefix))

    def submit(self, jobs: Sequence[Job]) -> Arguments:
        limits = {job.engine: self.settings.max_queue_length.of(job.engine) for job in jobs}
        options = {"idempotency_ttl_ms": self.settings.idempotency_ttl_s * 1000, "limits": limits}
        trace = current_traceparent()
        texts = [job_json(job) for job in jobs]
        entries = [self._entry(job, text, trace) for job, text in zip(jobs, texts, strict=True)]
        return [self.keys.root, _compact(options), _compact(entries), *texts]

    def wait(self) -> tuple[int, int]:
        """Arguments of WAIT: replicas, and milliseconds, where 0 would mean forever."""
        return self.settings.submit_replicas, max(1, round(self.settings.submit_replicas_timeout_s * 1000))

    def _entry(self, job: Job, text: str, trace: str | None) -> dict[str, Any]:
        entry = endings.entry_of(job)
        if job.idempotency_key:
            entry["once"] = once_hash(job.tenant, job.idempotency_key)
            entry["fingerprint"] = _fingerprint(job)
        if trace is not None:
            entry["trace"] = trace
        if job.has_new_id:
            entry["new"] = True
        return {**entry, **self._page_cost(job)}

    def _page_cost(self, job: Job) -> dict[str, float]:
        """What the dearest of its engines takes for a page, in the setting's currency; empty where none does."""
        engines = job.route.engines if job.route is not None else (job.engine,)
        cost = max(self.settings.engine_page_cost.of(engine) for engine in engines)
        return {"page_cost": cost / 100_000} if cost else {}

    def peek(self, lists: Sequence[str], most: int, most_bytes: int, largest: int) -> Arguments:
        return [most, most_bytes, largest, _compact([self.keys.foreign(name) for name in lists])]

    def take_in(
        self, queue: str | None, message: bytes, job: Job | None, outcome: Outcome | None, more: Mapping[str, Any]
    ) -> Arguments:
        """`queue`: None where the message is in no list of Redis. `outcome`: of a job that is not to be worked on.
        `more`: what the entry has beside the job, such as by_name."""
        held = [self.keys.foreign(queue), message] if queue is not None else ["", ""]
        if job is None:
            return [self.keys.root, *held, "", "", ""]
        entry = {**endings.entry_of(job), **more, **self._page_cost(job)}
        ending = ""
        if outcome is not None:
            made = endings.ending(outcome, self.settings, reply_to=job.reply_to, by_name="by_name" in more)
            ending = _compact(made)
        return [self.keys.root, *held, _compact(entry), job_json(job), ending]

    def set_aside(self, queue: str, message: bytes) -> Arguments:
        return [self.keys.foreign(queue), message, self.keys.aside(queue)]

    def take(
        self,
        token: str,
        holder: str,
        lanes: Sequence[tuple[str, int]],
        children: int,
        of_kinds: Mapping[str, Mapping[str, int]] | None = None,
    ) -> Arguments:
        """`of_kinds`: lane -> kind -> how many of it at most, where that is more than of others."""
        of_kinds = of_kinds or {}
        asked = [(lane, most, of_kinds[lane]) if lane in of_kinds else (lane, most) for lane, most in lanes]
        return [self.keys.root, token, holder, int(self.settings.lost_after_s * 1000), _compact(asked), children]

    def begin(self, hold: Hold, worker: str, engine: str) -> Arguments:
        return [self.keys.root, hold.part, hold.token, worker, engine]

    def progress(self, hold: Hold, done: int, pages: int) -> Arguments:
        return [self.keys.root, hold.part, hold.token, done, pages]

    def split(self, hold: Hold, parts: int, pin: str) -> Arguments:
        cancelled = _compact(endings.cancelled(self.settings))
        return [self.keys.root, hold.part, hold.token, parts, pin, cancelled]

    def release(
        self,
        hold: Hold,
        error: ErrorInfo | None,
        *,
        pause_s: float = 0.0,
        is_retry: bool = False,
        alone: bool = False,
        if_begun: Literal["", "refuse", "undo"] = "",
        side_lane: str = "",
        denied: bool = False,
    ) -> Arguments:
        options: dict[str, Any] = {"pause_ms": int(pause_s * 1000), "cancelled": endings.cancelled(self.settings)}
        if is_retry:
            options["is_retry"] = True
        if alone:
            options["alone"] = True
        if if_begun:
            options["if_begun"] = if_begun
        if side_lane:
            options["side_lane"] = side_lane
        if denied:
            options["denied"] = True
        error_json = error.model_dump_json(exclude_defaults=True) if error else ""
        return [self.keys.root, hold.part, hold.token, _compact(options), error_json]

    def send_on(self, hold: Hold, job: Job, engine_before: str, pages: int, used: Used) -> Arguments:
        """`job` is as it goes to the next engine."""
        options = {
            "lane": job.queue,
            "kind": job.kind,
            "step": job.step,
            "engine": engine_before,
            "pages": pages,
            "used": {**used.to_message(), "jobs": 0},
            "cancelled": endings.cancelled(self.settings),
        }
        return [self.keys.root, hold.part, hold.token, _compact(options), job_json(job)]

    def finish(
        self,
        hold: Hold,
        job: Job,
        outcome: Outcome,
        used: Used,
        *,
        by_name: bool,
        next_token: str = "",
        is_lost: bool = False,
    ) -> Arguments:
        """`is_lost`: Redis has said that it does not know the job."""
        made = endings.ending(outcome, self.settings, reply_to=job.reply_to, by_name=by_name)
        # by itself: JSON in JSON takes long to read
        outcome_json = made.pop("outcome")
        error = outcome.error if outcome.state == "failed" else None
        facts: dict[str, Any] = {
            "engine": job.engine,
            "pages": 0 if outcome.cached else outcome.pages,
            "used": used.to_message(),
        }
        if error is not None:
            facts["code"] = error.code
        if ":" in hold.part:
            facts["lease_ms"] = int(self.settings.lost_after_s * 1000)
            facts["next_token"] = next_token
            facts["cancelled"] = endings.cancelled(self.settings)
            facts["error"] = error.model_dump_json(exclude_defaults=True) if error else ""
        record = _compact(_lost_record(job, by_name=by_name)) if is_lost else ""
        return [self.keys.root, hold.part, hold.token, _compact(made), outcome_json, _compact(facts), record]

    def cancel(self, job_ids: Sequence[str], run: str = "") -> Arguments:
        return [self.keys.root, run, _compact(endings.cancelled(self.settings)), 0, *job_ids]

    def revoke(self, job_id: str) -> Arguments:
        """Arguments of CANCEL, for callers that may be ahead of the job's message."""
        return [self.keys.root, "", _compact(endings.cancelled(self.settings)), _REVOKED_MS, job_id]

    def delete(self, jobs: Sequence[tuple[str, Job | None]], run: str) -> Arguments:
        """Each with its id, for a job without a record too."""
        entries = [
            (
                # half of a character is in no id, and no script's JSON can have it
                job_id.encode(errors="replace").decode(),
                once_hash(job.tenant, job.idempotency_key) if job and job.idempotency_key else "",
                (input_name(job.image) if job else None) or "",
            )
            for job_id, job in jobs
        ]
        return [self.keys.root, run, self.settings.ended_ttl_s * 1000, _compact(entries)]

    def drop(self, job_ids: Sequence[str], run: str) -> Arguments:
        return [self.keys.root, run, *job_ids]

    def note_action(self, fields: Mapping[str, str | int]) -> Arguments:
        return [self.keys.root, *_pairs(fields)]

    def ask_action(self, action_id: str, most: int, fields: Mapping[str, str | int]) -> Arguments:
        return [self.keys.root, action_id, most, *_pairs(fields)]

    def take_action(self, token: str, lease_s: float) -> Arguments:
        return [self.keys.root, token, int(lease_s * 1000)]

    def keep_action(self, action_id: str, token: str, lease_s: float, fields: Mapping[str, str | int]) -> Arguments:
        """`lease_s`: 0 lets it go."""
        return [self.keys.root, action_id, token, int(lease_s * 1000), *_pairs(fields)]

    def end_action(self, action_id: str, token: str, fields: Mapping[str, str | int]) -> Arguments:
        return [self.keys.root, action_id, token, self.settings.record_ttl_s * 1000, *_pairs(fields)]

    def note_leftovers(self, job_id: str, *, own_result: bool) -> Arguments:
        return [self.keys.root, job_id, int(own_result)]

    def ring(self, bells: Sequence[str], waits_ms: int = 0) -> Arguments:
        """`bells`: lanes, or `:` and a worker's holder; `waits_ms`: for how long a ring stays there, 0: until heard."""
        return [self.keys.root, waits_ms, *bells]

    def authenticate(self, key_id: str, summed: str) -> Arguments:
        """`summed`: of the key as it was shown; empty for a signed request."""
        return [self.keys.root, key_id, summed]

    def drain(self, holders: Sequence[str]) -> Arguments:
        return [self.keys.root, self.settings.record_ttl_s, *holders]

    def remember_reading(self, cache_key: str, result_uri: str, job_id: str) -> Arguments:
        return [self.keys.root, cache_key, result_uri, self.settings.cache_ttl_s, job_id]

    def close_batch(self, tenant: str, name: str, reply_to: str | None) -> Arguments:
        reply = endings.batch_reply(name, tenant, reply_to) if reply_to else ""
        return [self.keys.root, tenant, name, reply_to or "", reply]

    def find(self, name: str, options: Mapping[str, Any]) -> Arguments:
        return [self.keys.root, name, _compact(options)]

    def lost(self, holds: Sequence[Hold]) -> Arguments:
        named = [name for hold in holds for name in (hold.part, hold.token)]
        return [self.keys.root, endings.policy(self.settings), *named]

    def announce_input(self, name: str, job_id: str) -> Arguments:
        return [self.keys.root, name, job_id]

    def claim_removal(
        self,
        token: str,
        seconds: float,
        inputs: Sequence[tuple[str, str]],
        job_ids: Sequence[str],
        with_leftovers: Sequence[str] = (),
    ) -> Arguments:
        named = (_compact(inputs), _compact(job_ids), _compact(with_leftovers))
        return [self.keys.root, token, int(seconds * 1000), *named]

    def end_removal(self, token: str, names: Sequence[str]) -> Arguments:
        return [self.keys.root, token, _compact(names)]

    def reclaim(self, most: int) -> Arguments:
        return [self.keys.root, endings.policy(self.settings), most]

    def heartbeat(self, holder: str, announcement: str, holds: Sequence[Hold], duty_s: float) -> Arguments:
        options = {"lease_ms": int(self.settings.lost_after_s * 1000), "duty_ms": int(duty_s * 1000)}
        named = [name for hold in holds for name in (hold.part, hold.token)]
        return [self.keys.root, holder, announcement, _compact(options), *named]

    def readmit(self, side_lane: str, most: int) -> Arguments:
        return [self.keys.root, side_lane, most]

    def pause(self, kind: str, name: str, note: str) -> Arguments:
        return [self.keys.root, kind, name, note]

    def resume(self, kind: str, name: str) -> Arguments:
        return [self.keys.root, kind, name]

    def take_back(self, cursor: str, most: int) -> Arguments:
        return [self.keys.root, cursor, most]

    def replay(self, failed: Sequence[Job], run: str = "") -> Arguments:
        # what its engines left to each other is gone
        jobs = [(job.from_its_first_engine(), job.engine) for job in failed]
        entries = [(job.id, job.queue, job.kind, engine) for job, engine in jobs]
        return [self.keys.root, run, _compact(entries), *(job_json(job) for job, _ in jobs)]


def _lost_record(job: Job, *, by_name: bool) -> dict[str, str]:
    names = ("tenant", "tag", "batch", "reply_to", "webhook")
    given: dict[str, str | None] = {name: getattr(job, name) for name in names}
    if by_name:
        given["by_name"] = job.id
    return {"job": job_json(job), **{name: value for name, value in given.items() if value}}


def _pairs(fields: Mapping[str, str | int]) -> list[str | int]:
    return [each for pair in fields.items() for each in pair]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _fingerprint(job: Job) -> str:
    """The same for requests that ask the same: of all but what is of one submission only."""
    asked = job.model_dump_json(exclude={"id", "submitted_at", "route"}, exclude_defaults=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:32]
