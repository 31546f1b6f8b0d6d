"""WorkerRegistry: what workers ask of the memory of all jobs. Apps have no use for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from ocrqueue.core.keys import Keys
from ocrqueue.core.records import Outcome, State
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.registry import Registry, parse_deleted
from ocrqueue.core.script_arguments import Arguments, Hold, Used
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import Job

if TYPE_CHECKING:
    import redis

    from ocrqueue.settings import ClientSettings

_BELL_MS: Final = 60_000
"""A ring for a worker that is gone by then is nobody's."""

_DELETING_S: Final = 60
"""Whoever deletes a job has removed what it stored by then, or was killed."""
Gone = Literal["gone"]
"""The part is another's: its lease had run out, or it was cancelled and begun again."""
Finished = State | Gone | Literal["ended", "done", "close", "stop"]
"""The answer to FINISH: see WorkerRegistry.finish()."""


@dataclass(frozen=True, slots=True)
class TakenPart:
    """A part in hand, not begun."""

    hold: Hold
    job: str
    """The Job as JSON, as its record has it."""
    by_name: bool = False
    """A foreign Celery app sent it, and may hold an AsyncResult."""
    alone: bool = False
    closing: bool = False
    """It gathers the pages that the job's other parts have read."""
    poison: bool = False
    """It took its workers down; it is not to be read, and another engine of its route has its turn."""
    kind: str = ""
    """See Job.kind."""
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to TAKE: nothing, or parts of one lane that one call of its engine can read."""

    lane: str = ""
    left: int = 0
    """Parts that wait in the lane still."""
    parts: tuple[TakenPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """What comes of BEGIN. `number` is the attempt's, from 1.

    `queue_wait_s` is in seconds, from submission to the first start.

    `retries`: how many attempts before this one ended with a retryable error.
    """

    verdict: Literal["run", "ended", "gone"]
    number: int = 0
    queue_wait_s: float = 0.0
    retries: int = 0
    may_be_stored: bool = False
    """Whether a result may be in storage already."""
    pages: int = 0
    """Number of page parts of a job that was split; 0 for any other."""
    pin: str = ""
    """What its source was then."""
    is_being_removed: bool = False
    """What may be stored is being removed: the attempt is to wait until that is done."""


@dataclass(frozen=True, slots=True)
class PartEnd:
    """What an attempt at a part has come to."""

    hold: Hold
    job: Job
    outcome: Outcome
    used: Used = field(default_factory=Used)
    by_name: bool = False
    """A foreign Celery app sent the job, and may hold an AsyncResult."""
    next_token: str = ""
    """For the closing part, which may follow a page part."""


@dataclass(frozen=True, slots=True)
class Sidesteps:
    """How a part has gone back, to be taken by others, if it has."""

    lane: str
    """Where it was taken from: its lane, or a side lane."""
    count: int
    denied: bool
    """Whether a worker was denied access for it whose own access is as it should be."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a heartbeat. `now_ms` is by Redis's clock."""

    on_duty: bool
    now_ms: int
    answers: tuple[Literal["yours", "stop", "gone"], ...]
    """For each of the parts that were named, in order."""
    drains: bool = False
    """The worker must end when its parts in hand have ended."""
    side_lanes: tuple[str, ...] = ()
    """Those in which something waits, or has a moment ago; 100 of them, where there are more."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What one round did, by part."""

    requeued: tuple[str, ...]
    poisonous: tuple[str, ...]
    due: int
    """Parts whose pause was over."""
    leases_granted: bool
    """The round before was too long ago: who holds parts has time to say so, and none was reclaimed."""
    leftovers: tuple[str, ...] = ()
    """Jobs that ended with no worker at hand: what they have stored is to be removed."""
    unlisted: int = 0
    """Entries of jobs whose record has expired, in the list of the state that had most."""
    deleted: int = 0
    """Jobs that were deleted a while ago, by somebody who has not removed what they had stored."""
    grace_s: float = field(default=0.0, compare=False)
    """For how long leases are granted still."""


class WorkerRegistry(Registry):
    """Every move may be asked for again where its answer was lost: it has its effect once."""

    def __init__(self, settings: ClientSettings, client: redis.Redis | None = None) -> None:
        from ocrqueue.core.connection import connect
        from ocrqueue.core.replication import noting_replication

        super().__init__(settings, client or connect(settings, noting_replication(Keys(settings.key_prefix))))

    def errors(self) -> AbstractContextManager[None]:
        """A worker passes over what meets a key of others: it is to hear of that as such."""
        return broker_errors()

    def take(
        self,
        token: str,
        holder: str,
        lanes: Sequence[tuple[str, int]],
        children: int = 1,
        of_kinds: Mapping[str, Mapping[str, int]] | None = None,
    ) -> Taken:
        """From the first of the lanes, each with how many parts may be taken from it at once, that has any.

        `token`: random, made by the caller; asked again with it, the answer is the same parts.
        `children`: how many the caller has to give parts to. No child gets more than its share of what waits.
        `of_kinds`: lane -> kind of jobs -> how many of that kind may be taken at once, where they are more.
        """
        answer = self.run("take", self.arguments.take(token, holder, lanes, children, of_kinds))
        if not answer:
            return Taken()
        lane, left, named = answer
        parts = zip(named[::3], named[1::3], named[2::3], strict=True)
        return Taken(lane.decode(), int(left), tuple(_taken_part(token, *part) for part in parts))

    def taken(self, holder: str, token: str) -> list[Hold]:
        """The parts of a TAKE whose answer may not have come. None of them was begun."""
        with broker_errors():
            found = cast("bytes | None", self.client.hget(self.keys.hand(holder), token))
        return [Hold(part, token) for part in found.decode().split()[1:]] if found else []

    def begin(self, hold: Hold, worker: str, engine: str) -> Start:
        """Count a delivery, and say whether the attempt is to be made."""
        return _start(self.run("begin", self.arguments.begin(hold, worker, engine)))

    def begin_each(self, holds: Sequence[Hold], worker: str, engine: str) -> list[Start]:
        """begin() of each, in one round trip."""
        return list(map(_start, self.run_each("begin", [self.arguments.begin(hold, worker, engine) for hold in holds])))

    def progress(self, hold: Hold, done: int, pages: int) -> Literal["go on", "stop", "gone"]:
        """Note the progress in pages, and hear what the attempt is to do."""
        answer = self.run("progress", self.arguments.progress(hold, done, pages))
        return cast('Literal["go on", "stop", "gone"]', answer.decode())

    def split(self, hold: Hold, parts: int, pin: str) -> Literal["split", "changed", "cancelled", "ended", "gone"]:
        """The job's page parts, one at least, take the place of its opening part.

        `pin`: the sha256 or ETag of the source. Raises ValueError where there are no parts.
        """
        if parts < 1:
            raise ValueError(f"A job cannot have {parts} page parts.")
        answer = self.run("split", self.arguments.split(hold, parts, pin))
        return cast('Literal["split", "changed", "cancelled", "ended", "gone"]', answer.decode())

    def release(
        self,
        hold: Hold,
        error: ErrorInfo | None,
        *,
        pause_s: float = 0.0,
        is_retry: bool = False,
        alone: bool = False,
        unread: bool = False,
    ) -> Literal["released", "cancelled", "ended", "gone"]:
        """The part is to have another attempt: at once, or after `pause_s` seconds; `alone`: by itself from now on.

        `unread`: nothing has been done about it since it began, and the attempt does not count.
        """
        arguments = self.arguments.release(
            hold, error, pause_s=pause_s, is_retry=is_retry, alone=alone, if_begun="undo" if unread else ""
        )
        return cast('Literal["released", "cancelled", "ended", "gone"]', self.run("release", arguments).decode())

    def sidestep(
        self, hold: Hold, error: ErrorInfo, side_lane: str, *, denied: bool = False
    ) -> Literal["released", "cancelled", "ended", "gone"]:
        """The part is to have another attempt by those who may take from a side lane: see ocrqueue.core.side_lanes."""
        arguments = self.arguments.release(hold, error, side_lane=side_lane, denied=denied)
        return cast('Literal["released", "cancelled", "ended", "gone"]', self.run("release", arguments).decode())

    def sidesteps(self, hold: Hold) -> Sidesteps:
        """What is known of the part's going back."""
        with broker_errors():
            found = cast(
                "list[bytes | None]",
                self.client.hmget(self.keys.part(hold.part), ["lane", "sidesteps", "denied"]),
            )
        lane, count, denied = found
        return Sidesteps((lane or b"").decode(), int(count or 0), denied is not None)

    def readmit(self, side_lane: str, most: int) -> int:
        """Parts of a side lane go back to their lane, `most` at a time; one in which nothing waits is forgotten.

        Returns how many went back.
        """
        return int(self.run("readmit", self.arguments.readmit(side_lane, most)))

    def wake(self, holder: str) -> None:
        """Have the worker look at its lanes at once."""
        self.run("ring", self.arguments.ring([f":{holder}"], _BELL_MS))

    def ring_again(self, lanes: Sequence[str]) -> None:
        """Rings that a worker heard which takes nothing any more are for others."""
        self.run("ring", self.arguments.ring(lanes))

    def give_back_unbegun(self, hold: Hold) -> Literal["released", "cancelled", "ended", "gone", "begun"]:
        """The part goes back to its place as if it had not been taken; not if its attempt was begun meanwhile."""
        answer = self.run("release", self.arguments.release(hold, None, if_begun="refuse"))
        return cast('Literal["released", "cancelled", "ended", "gone", "begun"]', answer.decode())

    def send_on(
        self, hold: Hold, job: Job, engine_before: str, pages: int = 0, used: Used | None = None
    ) -> Literal["sent", "cancelled", "ended", "gone"]:
        """The next engine of the job's route has its turn. `pages`: how many the engine before has read."""
        arguments = self.arguments.send_on(hold, job, engine_before, pages, used or Used())
        return cast('Literal["sent", "cancelled", "ended", "gone"]', self.run("send_on", arguments).decode())

    def finish(
        self,
        hold: Hold,
        job: Job,
        outcome: Outcome,
        used: Used | None = None,
        *,
        by_name: bool = False,
        next_token: str = "",
    ) -> Finished:
        """The part is done, and the job with its last one: returns the state in which this part has ended it.

        "ended": somebody else has ended the job, in this state or another.

        Of a page part "done"; or "close": all are, and the caller gathers them, with `next_token`. "stop": the job was
        asked to stop and failed, and is to be ended as cancelled.
        """
        end = PartEnd(hold, job, outcome, used or Used(), by_name, next_token)
        (answer,) = self.finish_each([end])
        return answer

    def finish_each(self, ends: Sequence[PartEnd]) -> list[Finished]:
        """finish() of each, in one round trip. Where Redis refuses one of them, that is raised after all were told."""
        answers = self.run_each("finish", [self._finish_arguments(end) for end in ends])
        return [self._finished(end, answer) for end, answer in zip(ends, answers, strict=True)]

    def _finished(self, end: PartEnd, answer: bytes) -> Finished:
        if answer == b"unknown":
            answer = self.run("finish", self._finish_arguments(end, is_lost=True))
        return cast("Finished", answer.decode())

    def _finish_arguments(self, end: PartEnd, *, is_lost: bool = False) -> Arguments:
        return self.arguments.finish(
            end.hold,
            end.job,
            end.outcome,
            end.used,
            by_name=end.by_name,
            next_token=end.next_token,
            is_lost=is_lost,
        )

    def password(self, job_id: str) -> str | None:
        """That opens the job's PDF, where it was given one and has not ended."""
        with broker_errors():
            found = cast("bytes | None", self.client.get(self.keys.secret(job_id)))
        return None if found is None else found.decode()

    def split_into(self, job_id: str) -> tuple[int, str]:
        """How many page parts the job was split into, and what its source was then; 0 and "" if it was not."""
        with broker_errors():
            found = cast("list[bytes | None]", self.client.hmget(self.keys.record(job_id), ["parts", "pin"]))
        parts, pin = found
        return int(parts or 0), (pin or b"").decode()

    def page_errors(self, job_id: str) -> dict[int, ErrorInfo]:
        """The errors of the failed page parts of a split job, by the number of their page."""
        with broker_errors():
            done = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.parts_done(job_id)))
        return {int(number): ErrorInfo.model_validate_json(error) for number, error in sorted(done.items()) if error}

    def revoke(self, job_id: str) -> State | Literal["ended", "deleted"] | None:
        """Cancel a job.

        A job that is not known yet is cancelled when its message is taken in; then this returns None.
        """
        (answer,) = cast("list[bytes | None]", self.run("cancel", self.arguments.revoke(job_id)))
        return None if answer is None else cast('State | Literal["ended", "deleted"]', answer.decode())

    def lost(self, holds: Sequence[Hold]) -> list[str]:
        """The process that had the parts is gone: what became of each ("requeued", "poison", "cancelled", ...)."""
        return [answer.decode() for answer in self.run("lost", self.arguments.lost(holds))] if holds else []

    def heartbeat(self, holder: str, announcement: str, holds: Sequence[Hold], duty_s: float = 0.0) -> Pulse:
        """The worker is there, and has these parts. `duty_s`: for how long it would take the shared duties."""
        arguments = self.arguments.heartbeat(holder, announcement, holds, duty_s)
        on_duty, now_ms, told, drains, side_lanes = self.run("heartbeat", arguments)
        answers = tuple(answer.decode() for answer in told)
        return Pulse(bool(on_duty), int(now_ms), answers, bool(drains), _names(side_lanes))

    def reclaim(self, most: int = 100) -> Reclaimed:
        """Put parts that no worker has any more back in their places; see scripts/reclaim.lua."""
        answer = self.run("reclaim", self.arguments.reclaim(most))
        requeued, poisonous, due, grace_ms, leftovers, unlisted, deleted = answer
        return Reclaimed(
            _names(requeued),
            _names(poisonous),
            int(due),
            bool(grace_ms),
            _names(leftovers),
            int(unlisted),
            int(deleted),
            grace_ms / 1000,
        )

    def in_hand(self) -> int:
        """How many parts workers have: each under a lease that has not been found to have run out."""
        with broker_errors():
            return self.client.zcard(self.keys.leases())

    def leftovers(self, most: int) -> list[str]:
        """Some of the jobs that had begun and ended without a result, and may have left something in storage."""
        with broker_errors():
            found = cast("list[bytes]", self.client.srandmember(self.keys.leftovers(), most))
        return [job_id.decode(errors="replace") for job_id in found]

    def deleted(self, most: int) -> list[tuple[str, str | None]]:
        """Some jobs that were deleted a while ago, and are in storage still; each with its uploaded image's name."""
        with broker_errors():
            seconds, _ = self.client.time()
            before_ms = (seconds - _DELETING_S) * 1000
            found = self.client.zrange(self.keys.deleted(), "-inf", before_ms, byscore=True, offset=0, num=most)
        return [parse_deleted(entry) for entry in cast("list[bytes]", found)]

    def result_is_left(self, job_id: str) -> bool:
        """Whether a result that stands in storage is a leftover too: the job ended without one, and no other life of
        its id can have stored it.

        That is so where the id was made for this submission, nobody has replayed the job, and Redis has forgotten
        nothing since; or where the attempt that stored the result has said so.
        """
        with broker_errors(), self.client.pipeline(transaction=False) as pipeline:
            pipeline.hmget(self.keys.record(job_id), "state", "replication", "own_result")
            pipeline.get(self.keys.replication())
            (state, submitted_in, own_result), known = pipeline.execute()
        ended_without = state in (b"failed", b"cancelled")
        return ended_without and (own_result is not None or (submitted_in is not None and submitted_in == known))

    def note_leftovers(self, job_id: str, *, own_result: bool) -> None:
        """Something was stored for the job after its end. `own_result`: no result stands but what the caller stored."""
        self.run("note_leftovers", self.arguments.note_leftovers(job_id, own_result=own_result))

    def forget_leftovers(self, job_ids: Sequence[str]) -> None:
        """What these jobs had stored is removed."""
        with broker_errors():
            self.client.srem(self.keys.leftovers(), *job_ids)


def _start(answer: Sequence[Any]) -> Start:
    verdict, *told = answer
    attempt, wait_ms, retries, stored, pages = map(int, told[:5])
    return Start(
        verdict.decode(),
        attempt,
        max(0.0, wait_ms / 1000),
        retries,
        stored > 0,
        pages,
        told[5].decode(),
        stored > 1,
    )


def _taken_part(token: str, part: bytes, job: bytes, traits: bytes) -> TakenPart:
    letters, kind, trace = traits.decode().split(";", 2)
    return TakenPart(
        Hold(part.decode(), token),
        job.decode(errors="replace"),
        by_name="n" in letters,
        alone="a" in letters,
        closing="c" in letters,
        poison="p" in letters,
        kind=kind,
        trace=trace or None,
    )


def _names(found: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(name.decode() for name in found)
