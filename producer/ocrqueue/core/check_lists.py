"""Whether the lists of jobs agree with their records; a part of `check`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ocrqueue.core.records import FINAL_STATES

Fields = Mapping[str, str]
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Lists:
    """As they are read once: by state, tag, tenant and batch the scores of their entries."""

    records: Mapping[str, Fields]
    by_state: Mapping[str, Scores]
    by_tag: Mapping[str, Scores]
    by_tenant: Mapping[str, Scores]
    by_batch: Mapping[str, Scores]
    """`<tenant>:<name>`"""
    batches: Mapping[str, Fields]
    split: Scores
    deleted: Scores
    ended: Collection[str]
    """Ids that are remembered as ended: a record of theirs may have expired, and its entries go in a while."""

    def faults(self) -> Iterator[str]:
        yield from self._of_records()
        yield from self._of_ended()
        yield from self._of_names("tag", self.by_tag)
        yield from self._of_names("tenant", self.by_tenant)
        yield from self._of_batches()
        for job_id in self.split:
            if job_id not in self.records or self.records[job_id].get("state") in FINAL_STATES:
                yield f"{job_id} is listed as split, but is not at work"
        for entry in self.deleted:
            if (job_id := entry.partition(" ")[0]) in self.records:
                yield f"{job_id} was deleted, but has a record"

    def _of_records(self) -> Iterator[str]:
        for job_id, fields in self.records.items():
            state = fields.get("state", "")
            since = float(fields.get("finished_at", 0) if state in FINAL_STATES else fields.get("queued_at", 0))
            if state in FINAL_STATES and _entry(job_id, fields) not in self.by_state.get(state, {}):
                yield f"{job_id} is {state}, but not in the list of that state"
            if "parts" in fields and state not in FINAL_STATES and job_id not in self.split:
                yield f"{job_id} was split, but is not listed so"
            for what, lists in (("tag", self.by_tag), ("tenant", self.by_tenant)):
                if (name := fields.get(what)) and lists.get(name, {}).get(job_id) != since:
                    yield f"{job_id} has the {what} {name}, but is not in its list as of {since:.0f}"

    def _of_ended(self) -> Iterator[str]:
        for state, entries in self.by_state.items():
            for entry in entries:
                job_id = entry.partition(" ")[0]
                fields = self.records.get(job_id)
                if fields is None and job_id not in self.ended:
                    yield f"{entry} is in the list of {state} jobs, but has no record"
                elif fields is not None and fields.get("state") != state:
                    yield f"{entry} is {fields.get('state')}, but in the list of {state} jobs"

    def _of_names(self, what: str, lists: Mapping[str, Scores]) -> Iterator[str]:
        ended = {entry.partition(" ")[0] for entries in self.by_state.values() for entry in entries}
        for name, entries in lists.items():
            for job_id in entries:
                fields = self.records.get(job_id)
                if fields is None and job_id not in ended:
                    yield f"{job_id} is in the list of the {what} {name}, but has no record"
                elif fields is not None and fields.get(what) != name:
                    yield f"{job_id} is in the list of the {what} {name}, but has {fields.get(what)}"

    def _of_batches(self) -> Iterator[str]:
        members: defaultdict[str, set[str]] = defaultdict(set)
        for job_id, fields in self.records.items():
            if name := fields.get("batch"):
                members[f"{fields.get('tenant', '')}:{name}"].add(job_id)
        ended = {entry.partition(" ")[0] for entries in self.by_state.values() for entry in entries}
        for batch in sorted({*members, *self.by_batch, *self.batches}):
            listed = set(self.by_batch.get(batch, ()))
            for job_id in sorted(members[batch] - listed):
                yield f"{job_id} is in the batch {batch}, but not in its list"
            for job_id in sorted(listed - members[batch] - (ended - self.records.keys())):
                yield f"{job_id} is in the list of the batch {batch}, but not in that"
            yield from self._counts_are_right(batch, members[batch])

    def _counts_are_right(self, batch: str, members: Collection[str]) -> Iterator[str]:
        """Jobs that were deleted, and whose records have expired, stay counted."""
        states = Counter(self.records[job_id].get("state", "") for job_id in members)
        fields = self.batches.get(batch, {})
        counted = {state: int(fields.get(state, 0)) for state in (*FINAL_STATES, "running")}
        at_work = int(fields.get("jobs", 0)) - sum(counted[state] for state in FINAL_STATES)
        if at_work != (expected := states["queued"] + states["running"]):
            yield f"{expected} jobs of the batch {batch} are at work, but {at_work} are counted"
        if counted["running"] != states["running"]:
            yield f"{states['running']} jobs of the batch {batch} are running, but {counted['running']} are counted"
        for state in sorted(FINAL_STATES):
            if states[state] > counted[state]:
                yield f"{states[state]} jobs of the batch {batch} are {state}, but {counted[state]} are counted"
        if ("ended_at" in fields) != ("closed_at" in fields and at_work == 0):
            yield f"the batch {batch} has {at_work} jobs at work, but {'an' if 'ended_at' in fields else 'no'} end"
        if ("expires" in fields) != (at_work == 0):
            stays = "expires" if "expires" in fields else "stays for good"
            yield f"the batch {batch} has {at_work} jobs at work, but {stays}"


def _entry(job_id: str, fields: Fields) -> str:
    """See scripts/shared/job_lists.lua."""
    tenant, batch = fields.get("tenant", ""), fields.get("batch")
    owner = f"{tenant}/{batch}" if batch else tenant
    names = [owner, fields.get("code", ""), fields.get("tag", "")]
    return " ".join([job_id, *names]) if any(names) else job_id
