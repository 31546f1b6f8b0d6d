"""Dead letters: jobs that failed for a reason that may pass, kept to be looked at and replayed."""

from __future__ import annotations

from collections import Counter
from typing import Final, Unpack, cast

from ocrqueue.core.job_filter import JobFilter, Wanted, check_limit
from ocrqueue.core.job_lists import Group, JobPage, Place, find, page
from ocrqueue.core.records import FINAL_STATES, JobStatus, State
from ocrqueue.core.registry import Registry
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Commands, Steps, run_steps
from ocrqueue.errors import JobNotFailed

_LIST: Final = Group("9", ("dead",))
_FOUND_AT_ONCE: Final = 200


class DeadLetters:
    """Poison, engine failures, and jobs whose retries ran out, but not jobs whose image or options are at fault."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def ids(self, limit: int = 1000) -> list[str]:
        """The newest first. Raises FilterInvalid."""
        check_limit(limit)
        with self.registry.errors():
            found = cast("list[bytes]", self.registry.client.zrange(self.registry.keys.dead(), 0, limit - 1, desc=True))
        return [job_id.decode() for job_id in found]

    def list(self, limit: int = 1000) -> list[JobStatus]:
        """The dead letters, the newest first, without those whose records have expired."""
        ids = self.ids(limit)
        statuses = list(self.registry.statuses(ids))
        for job_id, status in zip(ids, statuses, strict=True):
            if status is None:
                self._forget(job_id)
        return [status for status in statuses if status is not None]

    def page(self, *, limit: int = 50, after: str | None = None, **wanted: Unpack[Wanted]) -> JobPage:
        """Those for which all holds that is given, the newest first; `after`: the `next` of the page before.

        Raises CursorInvalid, FilterInvalid.
        """
        meant = JobFilter.of(**wanted)
        return run_steps(self.registry, page(self.registry.arguments, meant, limit, after, [_LIST]))

    def by_code(self, *, most: int = 10_000, **wanted: Unpack[Wanted]) -> dict[str, int]:
        """How many there are of each error, the most frequent first; of those that are given, `most` at most.

        Raises FilterInvalid.
        """
        return run_steps(self.registry, _by_code(self.registry.arguments, JobFilter.of(**wanted), most))

    def get(self, job_id: str) -> JobStatus:
        """A failed job, whether a dead letter or not. Raises JobUnknown, JobEnded, JobNotFailed."""
        status = self.registry.status(job_id)
        if status.state != "failed":
            raise not_failed(job_id, status.state)
        return status

    def __contains__(self, job_id: str) -> bool:
        """Whether it is one of them."""
        with self.registry.errors():
            return self.registry.client.zscore(self.registry.keys.dead(), job_id) is not None

    def replay(self, job_id: str) -> None:
        """Queue a failed job again under its id, whether a dead letter or not. Its history says how it ended before.

        Raises JobUnknown, JobEnded, JobNotFailed.
        """
        status = self.registry.status(job_id)
        (job,) = self.registry.jobs([job_id])
        if job is None or not self.registry.run("replay", self.registry.arguments.replay([job]))[0]:
            raise not_failed(job_id, status.state)

    def drop(self, job_id: str) -> bool:
        """Take the dead letter off the list. Its record is kept for its usual time.

        False if it was not on the list: it was dropped before, or is not a dead letter. Raises JobUnknown, JobEnded.
        """
        if self._forget(job_id):
            return True
        self.registry.status(job_id)
        return False

    def _forget(self, job_id: str) -> bool:
        with self.registry.errors():
            return bool(self.registry.client.zrem(self.registry.keys.dead(), job_id))


def _by_code(arguments: ScriptArguments, wanted: JobFilter, most: int) -> Steps[dict[str, int]]:
    counts: Counter[str] = Counter()
    after: Place | None = None
    while counts.total() < most:
        at_once = min(_FOUND_AT_ONCE, most - counts.total())
        found = yield from find(arguments, "dead", wanted.to_options(), after, at_once, newest=True)
        if found.jobs:
            codes = yield Commands([("HGET", arguments.keys.record(job.id), "code") for job in found.jobs])
            # whose record has gone meanwhile has no code
            counts.update(code.decode() for code in codes if code)
        if (after := found.after) is None:
            break
    return dict(counts.most_common())


def not_failed(job_id: str, state: State) -> JobNotFailed:
    """The error for a job in another state."""
    if state in FINAL_STATES:
        has_result = " It has a result, without the pages that could not be read." if state == "partial" else ""
        return JobNotFailed(
            f"Job {job_id} is {state}, and has not failed.{has_result}",
            remedy="Submit its image again, as a new job; with cache=False, or --no-cache, it is read again.",
        )
    return JobNotFailed(f"Job {job_id} is {state}.", remedy="Wait until it has ended, or cancel it.")
