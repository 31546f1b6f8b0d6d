"""What operators do with many jobs, and ask of one: as steps, the same for OcrQueue and AsyncOcrQueue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Unpack, cast

from pydantic import JsonValue

from ocrqueue.core import Registry
from ocrqueue.core.actions import ActionStatus, Requested, action_status, ask, carry_out, take
from ocrqueue.core.attempts import Attempt, attempts
from ocrqueue.core.audit import Action, AuditEntry, Noted, audit, note_action, who_asks
from ocrqueue.core.bulk import Bulk, BulkResult, NamedResult, ProgressCallback
from ocrqueue.core.dead_letters import not_failed
from ocrqueue.core.job_filter import JobFilter, Wanted
from ocrqueue.core.job_lists import JobPage, page
from ocrqueue.core.minute_counts import MinuteCounts, minute_counts
from ocrqueue.core.queue_places import QueuePlace, queue_place
from ocrqueue.core.reading_now import PartInHand, StateCounts, reading_now, state_counts
from ocrqueue.core.records import parse_record, stored_job
from ocrqueue.core.registry import end_entries, unknown
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Commands, Move, Steps
from ocrqueue.errors import DeletionPending, error_from_info
from ocrqueue.operations.deletion import remove_stored
from ocrqueue.operations.given_jobs import ids_given
from ocrqueue.operations.pages import ReadPage, page_now, pages_now
from ocrqueue.storage import Storage


class Given(Wanted, total=False):
    """What an action on many jobs is given."""

    all_jobs: bool
    dry_run: bool
    who: str | None
    on_progress: ProgressCallback | None


@dataclass(frozen=True)
class Operations:
    """Of one installation."""

    arguments: ScriptArguments
    storage: Callable[[], Storage]

    def jobs(self, wanted: JobFilter, limit: int, after: str | None) -> Steps[JobPage]:
        return page(self.arguments, wanted, limit, after)

    def act(
        self,
        action: Action,
        *,
        all_jobs: bool = False,
        dry_run: bool = False,
        who: str | None = None,
        on_progress: ProgressCallback | None = None,
        **wanted: Unpack[Wanted],
    ) -> Steps[BulkResult]:
        bulk = self._bulk(action, who, on_progress)
        return bulk.run(JobFilter.of(**wanted), all_jobs=all_jobs, dry_run=dry_run)

    def ask(
        self,
        action: Requested,
        wanted: JobFilter,
        who: str | None,
        owner: str | None,
        *,
        all_jobs: bool,
        dry_run: bool,
    ) -> Steps[ActionStatus]:
        return ask(
            self.arguments, action, wanted, who=who or who_asks(), owner=owner, all_jobs=all_jobs, dry_run=dry_run
        )

    def action_status(self, action_id: str) -> Steps[ActionStatus]:
        return action_status(self.arguments, action_id)

    def carry_out_next(self, stopping: Callable[[], bool]) -> Steps[bool]:
        """Whether there was one."""
        taken = yield from take(self.arguments)
        if taken is None:
            return False
        yield from carry_out(self.arguments, taken, self._bulk(taken.action, taken.who, None), stopping)
        return True

    def delete(self, job_ids: Sequence[str], who: str | None) -> Steps[NamedResult]:
        return self._bulk("delete", who, None).delete_ids(ids_given(job_ids))

    def delete_one(self, job_id: str, who: str | None) -> Steps[bool]:
        """Whether it is gone. Raises JobUnknown, DeletionPending, and the error of storage."""
        came_to = yield from self.delete([job_id], who)
        if came_to.became[job_id] == "unknown":
            raise unknown(job_id)
        if came_to.storage_error is not None:
            raise error_from_info(came_to.storage_error)
        if came_to.left_in_storage:
            raise DeletionPending(f"Job {job_id} is deleted, but its files are not removed yet.")
        return came_to.became[job_id] != "running"

    def replay_one(self, job_id: str) -> Steps[None]:
        """Raises JobUnknown, JobEnded, JobNotFailed."""
        record = yield from self._record(job_id)
        job = stored_job(job_id, record.get(b"job", b"").decode(errors="replace"))
        (is_queued,) = yield Move("replay", self.arguments.replay([job]))
        if not is_queued:
            raise not_failed(job_id, parse_record(job_id, record).state)

    def history(self, job_id: str) -> Steps[tuple[Attempt, ...]]:
        """Raises JobUnknown, JobEnded."""
        return attempts(job_id, (yield from self._record(job_id)))

    def _record(self, job_id: str) -> Steps[dict[bytes, bytes]]:
        keys = self.arguments.keys
        record, days = yield Commands([("HGETALL", keys.record(job_id)), ("SMEMBERS", keys.ended_days())])
        if record:
            return cast("dict[bytes, bytes]", record)
        asked = [("SISMEMBER", keys.ended_ids(day.decode()), entry) for day in days for entry in end_entries(job_id)]
        raise unknown(job_id, (yield Commands(asked)) if asked else ())

    def minute_counts(self, minutes: int, step: int) -> Steps[MinuteCounts]:
        return minute_counts(self.arguments.keys, minutes, step)

    def reading_now(self) -> Steps[list[PartInHand]]:
        return reading_now(self.arguments.keys)

    def state_counts(self) -> Steps[StateCounts]:
        return state_counts(self.arguments.keys)

    def place(self, job_id: str) -> Steps[QueuePlace | None]:
        return queue_place(self.arguments, job_id)

    def page(self, job_id: str, number: int) -> Steps[ReadPage | None]:
        return page_now(self.arguments.keys, job_id, number)

    def pages(self, job_id: str) -> Steps[tuple[int, ...]]:
        return pages_now(self.arguments.keys, job_id)

    def note(self, action: Noted, what: Mapping[str, JsonValue], who: str | None) -> Steps[None]:
        """For the audit: it was done."""
        return note_action(self.arguments, action, what, who)

    def audit(self, limit: int) -> Steps[list[AuditEntry]]:
        return audit(self.arguments.keys, limit)

    def _bulk(self, action: Action, who: str | None, on_progress: ProgressCallback | None) -> Bulk:
        return Bulk(self.arguments, action, who or who_asks(), self._remove_stored, on_progress or (lambda done: None))

    def _remove_stored(self, jobs: Sequence[tuple[str, str | None]]) -> None:
        with closing(Registry(self.arguments.settings)) as registry:
            remove_stored(registry, self.storage(), jobs)
