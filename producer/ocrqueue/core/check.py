"""Whether the keys in Redis agree with each other: each part is in exactly one place, and what is counted is right.

Looks at all of Redis, without stopping anybody: in an installation at work a move between two looks can seem a fault.
What is found is therefore looked at again, and told only where it stands.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from redis.exceptions import ResponseError

from ocrqueue.core.check_lists import Lists
from ocrqueue.core.check_notices import Notices
from ocrqueue.core.check_tenants import Tenants
from ocrqueue.core.pauses import parse_pauses
from ocrqueue.core.records import FINAL_STATES, stored_job
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.redis_faults import is_wrong_type, of_right_type
from ocrqueue.core.registry import Registry
from ocrqueue.core.side_lanes import lane_of
from ocrqueue.job import is_lane
from ocrqueue.job.references import input_name

_LOOKS: Final = 3
_PAUSE_S: Final = 0.5
_AT_ONCE: Final = 1000
_ALONE: Final = {
    **dict.fromkeys(("weights", "workers", "audit", "reclaim", "children"), "hash"),
    **dict.fromkeys(("sequence", "duty", "replication"), "string"),
}
"""Only the type of these keys is checked."""
Fields = Mapping[str, str]


def check(registry: Registry) -> list[str]:
    """What is wrong, a sentence each, in order; empty where all holds. Raises BrokerUnavailable."""
    found = set(_faults(registry))
    for _ in range(_LOOKS - 1):
        if not found:
            break
        time.sleep(_PAUSE_S)
        found &= set(_faults(registry))
    # these stay as they are, but for those that come
    return sorted({*found, *_messages_set_aside(registry)})


def _messages_set_aside(registry: Registry) -> Iterator[str]:
    keys = registry.keys
    with broker_errors():
        for key in registry.client.scan_iter(match=f"{_escaped(keys.aside(''))}*", count=1000, _type="list"):
            aside = key.decode()
            name = aside.removeprefix(keys.aside(""))
            yield (
                f"{registry.client.llen(aside)} messages to {name} are set aside in {aside}: remove the key of another "
                f"program's that they met, then put each back: redis-cli lmove {aside} {keys.foreign(name)} right left"
            )


def _faults(registry: Registry) -> Iterator[str]:
    with broker_errors():
        look = _Look(registry)
        yield from look.parts()
        yield from look.lanes()
        yield from look.pauses()
        yield from look.indexes()
        yield from look.inputs()
        yield from look.lists().faults()
        yield from look.tenants().faults()
        yield from look.notices_of_webhooks().faults()
        yield from look.orphans()
        yield from look.secrets()
        yield from look.of_others()
        yield from look.notes()


class _Look:
    """Everything as it is read once."""

    def __init__(self, registry: Registry) -> None:
        self.client, self.keys = registry.client, registry.keys
        self.root = self.keys.root
        self.strange: dict[str, str] = {}
        """Keys that others have put something else at, and of what type they are to be."""
        self.records = dict(self._hashes("job:"))
        self.page_parts = dict(self._hashes("part:"))
        self.queues = {name: parts for name, parts in self._queues() if parts}
        self.leases, self.delayed = self._sorted("leases"), self._sorted("delayed")
        self.dead = self._sorted("dead")
        turns = self._hash("turns")
        self.turns = {field.decode(errors="replace") for field in turns}
        self.paused_tenants = {pause.name for pause in parse_pauses(turns) if pause.kind == "tenant"}
        self.leftovers = {job_id.decode(errors="replace") for job_id in self._set("leftovers")}
        seconds, _ = self.client.time()
        self.now_ms, self.ended_ttl_ms = seconds * 1000, registry.settings.ended_ttl_s * 1000
        days = [day.decode() for day in self._set("ended_days")]
        remembered = {entry.decode() for day in days for entry in self._set(f"ended_ids:{day}")}
        self.ended = {entry for entry in remembered if " " not in entry}
        self.gone = {entry.partition(" ")[0] for entry in remembered if entry.endswith(" deleted")}
        """Ids of jobs that were deleted."""

    def parts(self) -> Iterator[str]:
        """Each part is where its fields say, and nowhere else."""
        places: defaultdict[str, list[str]] = defaultdict(list)
        for name, parts in self.queues.items():
            for part in parts:
                places[part].append(f"waiting in {name}")
        for index, place in ((self.leases, "hand"), (self.delayed, "delayed")):
            for part in index:
                places[part].append(place)
        for part, fields in {**self.records, **self.page_parts}.items():
            found = places.pop(part, [])
            if found != (expected := self._expected(part, fields)):
                yield f"{part} is {fields.get('place')}: expected in {expected}, found in {found}"
            yield from self._fields_fit(part, fields)
        for part, found in places.items():
            yield f"{part} has no record, but is {found}"

    def _expected(self, part: str, fields: Fields) -> list[str]:
        place = fields.get("place")
        if place == "waiting":
            tenant = self.records.get(part.partition(":")[0], {}).get("tenant", "")
            return [f"waiting in {fields.get('lane')}:{tenant}"]
        return [place] if place in ("hand", "delayed") else []

    def _fields_fit(self, part: str, fields: Fields) -> Iterator[str]:
        place, state = fields.get("place"), fields.get("state")
        if (place == "hand") != ("token" in fields):
            yield f"{part} is {place}, {'with' if 'token' in fields else 'without'} a token"
        if ":" in part:
            job = self.records.get(part.partition(":")[0])
            if job is None or job.get("state") in FINAL_STATES:
                yield f"{part} is a part of a job that has ended"
            return
        if (place == "done") != (state in FINAL_STATES):
            yield f"{part} is {state}, but its place is {place}"
        if state in FINAL_STATES and part not in self.ended and not self._is_long_over(fields):
            yield f"{part} is {state}, but not remembered as ended"
        if place == "split":
            members = {name for name in self.page_parts if name.partition(":")[0] == part}
            opened = {name.decode() for name in self._set(f"open:{part}")}
            done = len(self._hash(f"parts:{part}"))
            if opened != members:
                yield f"{part} has the parts {sorted(members)}, but {sorted(opened)} are open"
            if int(fields.get("parts", 0)) - done != int(fields.get("open", 0)):
                yield f"{part} has {fields.get('parts')} parts, {done} done, {fields.get('open')} open"
            idle = sum(self.page_parts[name].get("place") in ("waiting", "delayed") for name in members)
            if "cancel" not in fields and int(fields.get("idle", 0)) != idle:
                yield f"{idle} parts of {part} wait or pause, but {fields.get('idle')} are counted"

    def _is_long_over(self, fields: Fields) -> bool:
        """Whether the record, such as a dead letter's, outlives the memory of its end."""
        return self.now_ms - int(fields.get("finished_at", 0)) > self.ended_ttl_ms

    def lanes(self) -> Iterator[str]:
        """Each tenant that waits has a turn, and the counts are right."""
        counted = {lane.decode(): int(count) for lane, count in self._hash("waiting").items()}
        waiting: Counter[str] = Counter()
        tenants: defaultdict[str, set[str]] = defaultdict(set)
        for name, parts in self.queues.items():
            lane, _, tenant = name.partition(":")
            waiting[lane_of(lane)] += len(parts)
            tenants[lane].add(tenant)
        for lane in sorted({*counted, *waiting}):
            if counted.get(lane, 0) != waiting[lane]:
                yield f"{waiting[lane]} parts wait in {lane}, but {counted.get(lane, 0)} are counted"
        for lane in sorted({*self._names("lane:"), *self._names("departed:"), *tenants}):
            at_work = tenants[lane] - self.paused_tenants
            if (with_turn := set(self._sorted(f"lane:{lane}"))) != at_work:
                yield f"in {lane} {sorted(at_work)} wait and are not paused, but {sorted(with_turn)} have a turn"
            if both := sorted(with_turn & set(departed := self._sorted(f"departed:{lane}"))):
                yield f"in {lane} {both} have a turn, and have left"
            if departed and not with_turn:
                yield f"in {lane} nobody waits, but {sorted(departed)} have left ahead of its time"
        side_lanes = {name.decode() for name in self._set("side_lanes")}
        for lane in sorted({lane for lane in tenants if lane_of(lane) != lane} - side_lanes):
            yield f"parts wait in {lane}, but no worker is told of them"

    def pauses(self) -> Iterator[str]:
        """Who is paused, or has a virtual time, can be."""
        for field in sorted(self.turns):
            kind, _, name = field.partition(":")
            if not is_lane(lane_of(field)) and (
                kind not in ("engine", "lane", "tenant") or (kind == "lane" and not is_lane(name))
            ):
                yield f"{field} has a virtual time or is paused, but is no lane, engine or tenant"

    def indexes(self) -> Iterator[str]:
        for job_id in self.dead:
            if job_id in self.records and self.records[job_id].get("state") != "failed":
                yield f"{job_id} is {self.records[job_id].get('state')}, but a dead letter"
        for job_id in self.leftovers:
            if job_id in self.records and self.records[job_id].get("state") not in FINAL_STATES:
                yield f"{job_id} is {self.records[job_id].get('state')}, but its files are to be removed"
        for job_id in self.ended:
            if job_id in self.records and self.records[job_id].get("state") not in FINAL_STATES:
                yield f"{job_id} is {self.records[job_id].get('state')}, but remembered as ended"
        for job_id in sorted(self.gone):
            if job_id in self.records or job_id not in self.ended:
                yield f"{job_id} is remembered as deleted, but has a record or has not ended"

    def of_others(self) -> Iterator[str]:
        for name, kind in _ALONE.items():
            if self.client.type(self.root + name) not in (kind.encode(), b"none"):
                self.strange[name] = kind
        for name, kind in self.strange.items():
            yield f"{name} is not a {kind}: another program has written it"

    def inputs(self) -> Iterator[str]:
        """Who refers to an uploaded image is a job, and every job that has one refers to it."""
        wanted = {job_id: _input_of(fields) for job_id, fields in self.records.items() if "input" in fields}
        for name in self._names("input:"):
            for job_id, until_ms in self._sorted(f"input:{name}").items():
                is_its = (wanted.get(job_id) or "")[:32] == name
                at_work = is_its and self.records[job_id].get("state") not in FINAL_STATES
                if is_its:
                    del wanted[job_id]
                if math.isinf(until_ms) != at_work:
                    yield f"{job_id} refers to the image {name} until {until_ms:.0f}, but is no job at work with it"
        for job_id, image in wanted.items():
            yield f"{job_id} does not refer to its image {image}"

    def lists(self) -> Lists:
        return Lists(
            self.records,
            {state: self._sorted(f"by_state:{state}") for state in sorted(FINAL_STATES)},
            {name: self._sorted(f"by_tag:{name}") for name in self._names("by_tag:")},
            {name: self._sorted(f"by_tenant:{name}") for name in self._names("by_tenant:")},
            {name: self._sorted(f"by_batch:{name}") for name in self._names("by_batch:")},
            {name: {**fields, **self._expiry(name)} for name, fields in self._hashes("batch:")},
            self._sorted("split"),
            self._sorted("deleted"),
            self.ended,
        )

    def tenants(self) -> Tenants:
        return Tenants(
            self.records,
            dict(self._hashes("reserved:")),
            self._texts("limits"),
            self._texts("api_keys"),
            self._texts("api_keys_used").keys(),
            self._names("usage:"),
            self._sorted("usage_tenants"),
            self.now_ms // 86_400_000 - 399,
            {key_id: self.client.pttl(self.keys.key_rate(key_id)) != -1 for key_id in self._names("key_rate:")},
        )

    def _texts(self, name: str) -> dict[str, str]:
        stored = self._hash(name)
        return {field.decode(errors="replace"): value.decode(errors="replace") for field, value in stored.items()}

    def notices_of_webhooks(self) -> Notices:
        stored = dict(self._hashes("notice:"))
        return Notices(
            stored,
            {notice: lives_on >= 0 for notice, lives_on in self._lives("notice:", list(stored)) if lives_on != -2},
            dict(self._sorted_sets("notices:")),
            dict(self._sorted_sets("notices_in_hand:")),
            self._sorted("notice_lanes"),
            self._sorted("notice_lanes_failing"),
            dict(self._sorted_sets("notices_of:")),
            self._sorted("notices_failed"),
        )

    def _expiry(self, batch: str) -> dict[str, str]:
        """Whether it is kept for a while only, as a field of its own."""
        return {"expires": "1"} if self.client.pttl(f"{self.root}batch:{batch}") != -1 else {}

    def orphans(self) -> Iterator[str]:
        for what in ("open:", "parts:"):
            for job_id in self._names(what):
                if self.records.get(job_id, {}).get("state") not in ("queued", "running"):
                    yield f"{what}{job_id} is left of a job that is not at work"
        for part in self.page_parts:
            if part.partition(":")[0] not in self.records:
                yield f"{part} is left of a job without a record"
        tokens = {
            fields["token"] for fields in (*self.records.values(), *self.page_parts.values()) if "token" in fields
        }
        for holder, taken in self._hashes("hand:"):
            for token in taken.keys() - tokens:
                yield f"{token} is left in the hand of {holder}, but no part was taken with it"
        for job_id, lives_on in self._lives("job:", list(self.records)):
            fields = self.records[job_id]
            if (fields.get("state") in FINAL_STATES) != (lives_on >= 0) and lives_on != -2:
                stays = "expires" if lives_on >= 0 else "stays for good"
                yield f"{job_id} is {fields.get('state')}, but its record {stays}"

    def secrets(self) -> Iterator[str]:
        """A password is kept as long as its job is at work, and no longer."""
        secrets = set(self._names("secret:"))
        for job_id in sorted(secrets | {job_id for job_id, fields in self.records.items() if "secret" in fields}):
            fields = self.records.get(job_id, {})
            if job_id not in secrets or "secret" not in fields or fields.get("state") in FINAL_STATES:
                kept = "is kept" if job_id in secrets else "is lost"
                yield f"the password of {job_id} {kept}, but it is {fields.get('state', 'no job')}"

    def notes(self) -> Iterator[str]:
        """What is kept for a while only, and names nothing that could be looked for."""
        for holder in self._names("drain:"):
            if self.client.ttl(self.keys.drain(holder)) == -1:
                yield f"the drain of {holder} never expires"
        for job_id in self._names("revoked:"):
            if self.client.ttl(self.keys.revoked(job_id)) == -1:
                yield f"the revoke of {job_id} never expires"

    def _names(self, beginning: str) -> list[str]:
        found = self.client.scan_iter(match=f"{_escaped(self.root + beginning)}*", count=1000)
        return [key.decode().removeprefix(self.root + beginning) for key in found]

    def _hashes(self, beginning: str) -> Iterator[tuple[str, dict[str, str]]]:
        names = self._names(beginning)
        for start in range(0, len(names), _AT_ONCE):
            chunk = names[start : start + _AT_ONCE]
            with self.client.pipeline(transaction=False) as pipeline:
                for name in chunk:
                    pipeline.hgetall(f"{self.root}{beginning}{name}")
                answers = of_right_type(pipeline.execute(raise_on_error=False), None)
            for name, fields in zip(chunk, answers, strict=True):
                if fields is None:
                    self.strange[f"{beginning}{name}"] = "hash"
                elif fields:
                    yield name, {key.decode(): value.decode(errors="replace") for key, value in fields.items()}

    def _queues(self) -> Iterator[tuple[str, set[str]]]:
        names = self._names("queue:")
        for start in range(0, len(names), _AT_ONCE):
            chunk = names[start : start + _AT_ONCE]
            with self.client.pipeline(transaction=False) as pipeline:
                for name in chunk:
                    pipeline.zrange(f"{self.root}queue:{name}", 0, -1)
                answers = of_right_type(pipeline.execute(raise_on_error=False), None)
            for name, parts in zip(chunk, answers, strict=True):
                if parts is None:
                    self.strange[f"queue:{name}"] = "sorted set"
                else:
                    yield name, {part.decode() for part in parts}

    def _lives(self, beginning: str, names: list[str]) -> Iterator[tuple[str, int]]:
        """How long each key stays, in milliseconds; -1: for good, -2: it is gone."""
        for start in range(0, len(names), _AT_ONCE):
            chunk = names[start : start + _AT_ONCE]
            with self.client.pipeline(transaction=False) as pipeline:
                for name in chunk:
                    pipeline.pttl(f"{self.root}{beginning}{name}")
                yield from zip(chunk, pipeline.execute(), strict=True)

    def _sorted_sets(self, beginning: str) -> Iterator[tuple[str, dict[str, float]]]:
        names = self._names(beginning)
        for start in range(0, len(names), _AT_ONCE):
            chunk = names[start : start + _AT_ONCE]
            with self.client.pipeline(transaction=False) as pipeline:
                for name in chunk:
                    pipeline.zrange(f"{self.root}{beginning}{name}", 0, -1, withscores=True)
                for name, found in zip(chunk, pipeline.execute(), strict=True):
                    yield name, {member.decode(): score for member, score in found}

    def _sorted(self, name: str) -> dict[str, float]:
        found = self._of_type("sorted set", name, lambda key: self.client.zrange(key, 0, -1, withscores=True), [])
        return {member.decode(): score for member, score in found}

    def _hash(self, name: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", self._of_type("hash", name, self.client.hgetall, {}))

    def _set(self, name: str) -> set[bytes]:
        return cast("set[bytes]", self._of_type("set", name, self.client.smembers, set()))

    def _of_type(self, kind: str, name: str, read: Callable[[str], Any], nothing: Any) -> Any:
        """What is at the key; nothing where others have put something else there."""
        try:
            return read(self.root + name)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            self.strange[name] = kind
            return nothing


def _input_of(fields: Fields) -> str | None:
    return input_name(stored_job("unknown", fields.get("job", "")).image)


def _escaped(text: str) -> str:
    """For SCAN's patterns."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in text)
