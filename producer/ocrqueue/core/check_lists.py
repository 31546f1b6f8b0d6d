"""Whether the lists of jobs agree with their records; a part of `check`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ocrqueue.core.records import FINAL_STATES

Fields = Mapping[str, str]
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Lists:
    """As they are read once: by state, tag and tenant the scores of their entries."""

    records: Mapping[str, Fields]
    by_state: Mapping[str, Scores]
    by_tag: Mapping[str, Scores]
    by_tenant: Mapping[str, Scores]
    split: Scores
    deleted: Scores
    ended: Collection[str]
    """Ids that are remembered as ended: a record of theirs may have expired, and its entries go in a while."""

    def faults(self) -> Iterator[str]:
        yield from self._of_records()
        yield from self._of_ended()
        yield from self._of_names("tag", self.by_tag)
        yield from self._of_names("tenant", self.by_tenant)
        for job_id in self.split:
            if job_id not in self.records or self.records[job_id].get("state") in FINAL_STATES:
                yield f"{job_id} is listed as split, and is not at work"
        for entry in self.deleted:
            if (job_id := entry.partition(" ")[0]) in self.records:
                yield f"{job_id} was deleted, and has a record"

    def _of_records(self) -> Iterator[str]:
        for job_id, fields in self.records.items():
            state = fields.get("state", "")
            since = float(fields.get("finished_at", 0) if state in FINAL_STATES else fields.get("queued_at", 0))
            if state in FINAL_STATES and _entry(job_id, fields) not in self.by_state.get(state, {}):
                yield f"{job_id} is {state}, and not in the list of that state"
            if "parts" in fields and state not in FINAL_STATES and job_id not in self.split:
                yield f"{job_id} was split, and is not listed so"
            for what, lists in (("tag", self.by_tag), ("tenant", self.by_tenant)):
                if (name := fields.get(what)) and lists.get(name, {}).get(job_id) != since:
                    yield f"{job_id} has the {what} {name}, and is not in its list as of {since:.0f}"

    def _of_ended(self) -> Iterator[str]:
        for state, entries in self.by_state.items():
            for entry in entries:
                job_id = entry.partition(" ")[0]
                fields = self.records.get(job_id)
                if fields is None and job_id not in self.ended:
                    yield f"{entry} is in the list of {state} jobs, and has no record"
                elif fields is not None and fields.get("state") != state:
                    yield f"{entry} is {fields.get('state')}, and in the list of {state} jobs"

    def _of_names(self, what: str, lists: Mapping[str, Scores]) -> Iterator[str]:
        ended = {entry.partition(" ")[0] for entries in self.by_state.values() for entry in entries}
        for name, entries in lists.items():
            for job_id in entries:
                fields = self.records.get(job_id)
                if fields is None and job_id not in ended:
                    yield f"{job_id} is in the list of the {what} {name}, and has no record"
                elif fields is not None and fields.get(what) != name:
                    yield f"{job_id} is in the list of the {what} {name}, and has {fields.get(what)}"


def _entry(job_id: str, fields: Fields) -> str:
    """See scripts/shared/job_lists.lua."""
    names = [fields.get(name, "") for name in ("tenant", "code", "tag")]
    return " ".join([job_id, *names]) if any(names) else job_id
