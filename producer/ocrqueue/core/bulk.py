"""Cancel, replay, drop or delete all jobs that are meant: in steps of a few. No step holds Redis up.

Jobs that were submitted after an action began are not its. One that was interrupted is begun again by the same call:
what it had done before is as it should be, and is not met again.

The lists are walked from the oldest job on, for whatever becomes of one puts it further on. Where jobs are looked for
at their places they may slip from one that is still to come into one that was looked at, most often by being taken: so
what workers have is looked at before and after what waits, and the walk is done again until it meets none.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar

from ocrqueue.core.audit import Action, begin_run, counted, end_run, forget_run, redis_us
from ocrqueue.core.celery_messages import prepare_messages
from ocrqueue.core.job_filter import AT_WORK, JobFilter
from ocrqueue.core.job_lists import IN_HAND, FoundJob, Group, Place, find, find_named, groups
from ocrqueue.core.records import FINAL_STATES, State, is_readable, stored_job
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Call, Commands, Move, Request, Sleep, Steps
from ocrqueue.core.stored_removal import RemoveStored, StoredRemoval
from ocrqueue.errors import ErrorInfo, FilterMissing
from ocrqueue.job import Job
from ocrqueue.job.references import input_name

_FOUND_AT_ONCE: Final = 100
_AT_ONCE: Final = 8
"""Jobs changed in one step, which takes Redis about a millisecond."""
_DROPPED_AT_ONCE: Final = 100
_REST_S: Final = 0.001
"""After each step: who has asked for something meanwhile has its turn first."""
_WAIT_S: Final = 0.2
"""Until jobs that were asked to stop are looked at again."""
_STATES: Final[Mapping[Action, frozenset[State]]] = {
    "cancel": AT_WORK,
    "replay": frozenset({"failed"}),
    "drop": frozenset({"failed"}),
    "delete": AT_WORK | FINAL_STATES,
}
_GONE: Final = ("deleted", "forgotten", "gone")
_BECAME: Final[Mapping[str, Literal["deleted", "gone", "running", "unknown"]]] = {
    "deleted": "deleted",
    "forgotten": "deleted",
    "gone": "gone",
    "unknown": "unknown",
}
Item = TypeVar("Item")
ProgressCallback = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What came of it."""

    action: Action
    jobs: int
    """How many jobs it has changed itself, or would change, whatever others did meanwhile."""
    still_running: int = 0
    """For a deletion: jobs that were asked to stop, but did not in time. The same call deletes them later."""
    left_in_storage: int = 0
    """For a deletion: jobs deleted by it or before that still have files in storage. A worker removes them
    in a while, or `ocrqueue reconcile`."""
    storage_error: ErrorInfo | None = None
    """Why, where storage did not let it."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class NamedResult:
    """What became of jobs that were to be deleted by their ids."""

    became: Mapping[str, Literal["deleted", "gone", "running", "unknown"]]
    """"gone": it was deleted before. "running": it was asked to stop, and had not in time."""
    left_in_storage: int = 0
    """As in BulkResult, of these jobs."""
    storage_error: ErrorInfo | None = None


class Actor(Protocol):
    def __call__(self, jobs: Sequence[FoundJob]) -> Steps[tuple[int, AbstractSet[str]]]:
        """How many jobs were changed, and the ids of those that have to be met again."""


@dataclass(frozen=True)
class Bulk:
    """One action on the jobs of a filter, or on those of given ids."""

    arguments: ScriptArguments
    action: Action
    who: str
    remove_stored: RemoveStored
    on_progress: ProgressCallback = lambda done: None
    patience_s: float = 60.0
    """For how long a deletion waits for running jobs to stop, while nothing else is left to do."""

    def run(self, wanted: JobFilter, *, all_jobs: bool = False, dry_run: bool = False) -> Steps[BulkResult]:
        """Raises FilterMissing where the filter means all jobs and `all_jobs` does not say so."""
        if not wanted.names_any and not all_jobs:
            raise FilterMissing(f"To {self.action} jobs, say which.")
        meant = wanted.only(_STATES[self.action])
        if meant is None:
            return BulkResult(self.action, 0, dry_run=dry_run)
        now_us = yield from redis_us()
        if dry_run:
            return BulkResult(self.action, (yield from self.count(wanted, now_us // 1000)), dry_run=True)
        run = yield from begin_run(self.arguments, self.action, wanted.to_message(), self.who, now_us)
        return (yield from self.go_on(wanted, run, now_us // 1000))

    def count(self, wanted: JobFilter, until_ms: int) -> Steps[int]:
        """How many jobs that were submitted until then it would change."""
        ids: set[str] = set()
        meant = wanted.only(_STATES[self.action])
        if meant is not None:
            options = {**meant.to_options(), "until_ms": until_ms}
            yield from self._walk(meant, options, _Counter(ids, self.action))
        return len(ids)

    def go_on(self, wanted: JobFilter, run: str, until_ms: int) -> Steps[BulkResult]:
        """The action that began as this run of the audit at that time. It goes on where anybody left it."""
        meant = wanted.only(_STATES[self.action])
        if meant is None:
            yield from end_run(self.arguments, run, "done")
            return BulkResult(self.action, 0)
        options = {**meant.to_options(), "until_ms": until_ms}
        yield Call(prepare_messages)
        removal = StoredRemoval(self.arguments.keys, self.remove_stored)
        waiting = yield from self._audited(run, self._passes(meant, options, self._actor(run, removal)))
        left = (yield from removal.of_pending()) if self.action == "delete" else 0
        # what others have done meanwhile is theirs
        done = yield from counted(self.arguments, run)
        error = removal.fault.info if removal.fault and left else None
        return BulkResult(self.action, done, waiting, left, error)

    def delete_ids(self, job_ids: Sequence[str]) -> Steps[NamedResult]:
        """Of a deletion: these very jobs."""
        now_us = yield from redis_us()
        yield Call(prepare_messages)
        run = yield from begin_run(self.arguments, self.action, {"ids": len(job_ids)}, self.who, now_us)
        removal = StoredRemoval(self.arguments.keys, self.remove_stored)
        found: dict[str, str] = {}
        yield from self._audited(run, self._delete_named(run, list(dict.fromkeys(job_ids)), found, removal))
        if not (yield from counted(self.arguments, run)):
            yield from forget_run(self.arguments, run)
        left = yield from removal.of_pending({job_id for job_id, answer in found.items() if answer in _GONE})
        became = {job_id: _BECAME.get(answer, "running") for job_id, answer in found.items()}
        return NamedResult(became, left, removal.fault.info if removal.fault and left else None)

    def _audited(self, run: str, steps: Steps[Item]) -> Steps[Item]:
        try:
            came_to = yield from steps
        except GeneratorExit:
            raise
        except BaseException:
            yield from end_run(self.arguments, run, "interrupted")
            raise
        yield from end_run(self.arguments, run, "done")
        return came_to

    def _passes(self, meant: JobFilter, options: Mapping[str, Any], actor: Actor) -> Steps[int]:
        """Returns how many have not stopped in time."""
        total, waited_s = 0, 0.0
        while True:
            done, again = yield from self._walk(meant, options, actor, total)
            total += done
            if not done and not again:
                return 0
            if not done:
                if waited_s >= self.patience_s:
                    return len(again)
                waited_s += _WAIT_S
                yield Sleep(_WAIT_S)

    def _walk(
        self, meant: JobFilter, options: Mapping[str, Any], actor: Actor, done_before: int = 0
    ) -> Steps[tuple[int, AbstractSet[str]]]:
        """All lists once; or the jobs that are named."""
        if meant.ids is not None:
            return (yield from self._walk_named(meant.ids, options, actor, done_before))
        total, again = 0, set[str]()
        of_dead = [Group("9", ("dead",))]
        found_in = of_dead if self.action == "drop" else (yield from groups(self.arguments, meant))
        for group in (*found_in, *(group for group in found_in if group.lists == IN_HAND)):
            for name in group.lists:
                after: Place | None = None
                while True:
                    found = yield from find(self.arguments, name, options, after, _FOUND_AT_ONCE)
                    if found.jobs:
                        done, later = yield from actor(found.jobs)
                        total += done
                        again |= later
                        self.on_progress(done_before + total)
                    if (after := found.after) is None:
                        break
                    yield Sleep(_REST_S)
        return total, again

    def _walk_named(
        self, job_ids: Sequence[str], options: Mapping[str, Any], actor: Actor, done_before: int
    ) -> Steps[tuple[int, AbstractSet[str]]]:
        total, again = 0, set[str]()
        for chunk in _chunks(job_ids, _FOUND_AT_ONCE):
            found = yield from find_named(self.arguments, chunk, options)
            if found:
                done, later = yield from actor(found)
                total += done
                again |= later
                self.on_progress(done_before + total)
            yield Sleep(_REST_S)
        return total, again

    def _actor(self, run: str, removal: StoredRemoval) -> Actor:
        match self.action:
            case "cancel":
                return lambda jobs: self._cancel(run, [job.id for job in jobs if not job.asked_to_stop])
            case "replay":
                return lambda jobs: self._replay(run, [job.id for job in jobs])
            case "drop":
                return lambda jobs: self._drop(run, [job.id for job in jobs])
            case "delete":
                return lambda jobs: self._delete(run, removal, [(job.id, job.state in AT_WORK) for job in jobs])

    def _cancel(self, run: str, job_ids: Sequence[str]) -> Steps[tuple[int, AbstractSet[str]]]:
        rest, done = list(job_ids), 0
        while rest:
            answers = yield Move("cancel", self.arguments.cancel(rest[:_AT_ONCE], run))
            done += sum(answer in (b"cancelled", b"running", b"queued") for answer in answers)
            rest = rest[len(answers) :]
            yield Sleep(_REST_S)
        return done, frozenset()

    def _replay(self, run: str, job_ids: Sequence[str]) -> Steps[tuple[int, AbstractSet[str]]]:
        done = 0
        for chunk in _chunks(job_ids, _AT_ONCE):
            jobs = [job for _, job in (yield from self._jobs(chunk)) if job is not None and is_readable(job)]
            if jobs:
                answers = yield Move("replay", self.arguments.replay(jobs, run))
                done += sum(answers)
            yield Sleep(_REST_S)
        return done, frozenset()

    def _drop(self, run: str, job_ids: Sequence[str]) -> Steps[tuple[int, AbstractSet[str]]]:
        dropped = yield Move("drop", self.arguments.drop(job_ids[:_DROPPED_AT_ONCE], run))
        return dropped, frozenset()

    def _delete(
        self, run: str, removal: StoredRemoval, jobs: Sequence[tuple[str, bool]]
    ) -> Steps[tuple[int, AbstractSet[str]]]:
        """Each with whether it may be at work: it is to stop first."""
        done, later = 0, set[str]()
        for chunk in _chunks(jobs, _AT_ONCE):
            yield from self._stop([job_id for job_id, at_work in chunk if at_work])
            answers = yield from self._delete_ended(run, removal, [job_id for job_id, _ in chunk])
            done += sum(answer in _GONE for answer in answers.values())
            later |= {job_id for job_id, answer in answers.items() if answer in AT_WORK}
            yield Sleep(_REST_S)
        return done, later

    def _stop(self, job_ids: list[str]) -> Steps[None]:
        while job_ids:
            answers = yield Move("cancel", self.arguments.cancel(job_ids))
            job_ids = job_ids[len(answers) :]

    def _delete_ended(self, run: str, removal: StoredRemoval, job_ids: Sequence[str]) -> Steps[dict[str, str]]:
        jobs = yield from self._jobs(job_ids)
        told = yield Move("delete", self.arguments.delete(jobs, run))
        answers = {job_id: answer.decode() for job_id, answer in zip(job_ids, told, strict=True)}
        gone = [
            (job_id, input_name(job.image) if job else None) for job_id, job in jobs if answers[job_id] == "deleted"
        ]
        yield from removal.of(gone)
        return answers

    def _delete_named(self, run: str, job_ids: list[str], found: dict[str, str], removal: StoredRemoval) -> Steps[None]:
        """`found`: the last answer for each."""
        waited_s = 0.0
        while True:
            for chunk in _chunks(job_ids, _AT_ONCE):
                yield from self._stop(list(chunk))
                found |= yield from self._delete_ended(run, removal, chunk)
                yield Sleep(_REST_S)
            job_ids = [job_id for job_id in job_ids if found[job_id] in AT_WORK]
            if not job_ids or waited_s >= self.patience_s:
                return
            waited_s += _WAIT_S
            yield Sleep(_WAIT_S)

    def _jobs(self, job_ids: Sequence[str]) -> Steps[list[tuple[str, Job | None]]]:
        texts = yield Commands([("HGET", self.arguments.keys.record(job_id), "job") for job_id in job_ids])
        return [
            (job_id, stored_job(job_id, text.decode(errors="replace")) if text else None)
            for job_id, text in zip(job_ids, texts, strict=True)
        ]


@dataclass(frozen=True)
class _Counter:
    """Changes nothing."""

    ids: set[str]
    action: Action

    def __call__(self, jobs: Sequence[FoundJob]) -> Generator[Request, Any, tuple[int, AbstractSet[str]]]:
        self.ids.update(job.id for job in jobs if not (self.action == "cancel" and job.asked_to_stop))
        return 0, frozenset()
        yield Sleep(0)  # what makes it a generator


def _chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
