"""Jobs by tag, tenant, batch, state, error and time, from the lists that Redis keeps of them; see scripts/find.lua.

A list is looked through in steps of a few hundred entries, so that none holds Redis up. A job with a tag, a tenant or a
batch is in the list of that, whatever its state; of the lists that have all that is asked for, the shortest is looked
through. Where none of these is asked for, jobs at work are found at their places, and those that have ended by their
state.

Lists that are in the same order are looked through side by side, as one: a group. Groups come one after the other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from ocrqueue.core.job_filter import AT_WORK, JobFilter, check_limit
from ocrqueue.core.pauses import parse_pauses
from ocrqueue.core.records import FINAL_STATES, JobStatus, State, parse_record
from ocrqueue.core.script_arguments import PIPELINE, ScriptArguments
from ocrqueue.core.steps import Commands, Move, Steps
from ocrqueue.errors import CursorInvalid

_ENTRIES_A_RECORD: Final = 8
"""Entries of a list by state that are ruled out by what they say, in the time of a look at one record. Where any state
will do, the jobs of a tag or a tenant are met one after the other in their own list."""
_LOOK_AT: Final = 150
"""Records in one step, which takes Redis about a millisecond."""
_LOOKED_AT: Final = ("state", "cancel", "tenant", "tag", "code", "batch", "queued_at", "finished_at")
IN_HAND: Final = ("leases",)
"""The list of what workers have."""
_AT_WORK_BY_NAME: Final = "5"
_ENDED_BY_NAME: Final = "8"
"""How the groups begin that are the list of a tag, a tenant or a batch: one of each half of the jobs."""
Place = tuple[str, str]
"""Score and member of an entry."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs of a list, and where it goes on."""

    jobs: tuple[JobStatus, ...]
    next: str | None
    """To be given as `after`; None: these were the last."""


@dataclass(frozen=True, slots=True)
class Group:
    """Lists in the same order. `name` tells where it comes among the groups."""

    name: str
    lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundJob:
    id: str
    state: State
    place: Place
    member_of: str
    asked_to_stop: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a step found, and where the list goes on after it; None: nowhere."""

    jobs: tuple[FoundJob, ...]
    after: Place | None


def groups(arguments: ScriptArguments, wanted: JobFilter, begun: str = "") -> Steps[list[Group]]:
    """The lists to look through, in order. `begun`: the group in which an earlier page has ended, whose kind of lists
    the next one goes on with, whatever has become the shorter list since."""
    if wanted.states is not None and not wanted.states:
        return []
    keys = arguments.keys
    of_names = [f"by_tag:{wanted.tag}"] if wanted.tag else []
    of_names += [f"by_tenant:{wanted.tenant}"] if wanted.tenant else []
    of_names += [f"by_batch:{wanted.tenant or ''}:{wanted.batch}"] if wanted.batch else []
    others = yield from _at_work(arguments, wanted)
    if wanted.ended_states:
        others.append(Group("9", tuple(f"by_state:{state}" for state in wanted.ended_states)))
    if not of_names:
        return others
    before = _AT_WORK_BY_NAME if wanted.may_be_at_work else _ENDED_BY_NAME
    by_name = [Group(before + name.partition(":")[0], (name,)) for name in of_names]
    if begun:
        return [group for group in by_name if group.name == begun] or others
    names = [*of_names, *(name for group in others for name in group.lists)]
    lengths = yield Commands([("ZCARD", keys.root + name) for name in names])
    shortest = min(range(len(of_names)), key=lengths.__getitem__)
    efforts = (
        length / _ENTRIES_A_RECORD if not wanted.may_be_at_work and name.startswith("by_state:") else length
        for name, length in zip(names[len(of_names) :], lengths[len(of_names) :], strict=True)
    )
    if lengths[shortest] <= sum(efforts):
        return [by_name[shortest]]
    return others


def _at_work(arguments: ScriptArguments, wanted: JobFilter) -> Steps[list[Group]]:
    """Where jobs that are queued or running are found."""
    found: list[Group] = []
    if wanted.may_be_at_work:
        found.append(Group("1", IN_HAND))
    if wanted.may_be("running"):
        found.append(Group("2", ("split",)))
    if wanted.may_be("queued"):
        queues = yield from _queues(arguments, wanted.tenant)
        found += [Group("3", ("delayed",)), *(Group(f"4{name}", (name,)) for name in queues)]
    return found


def _queues(arguments: ScriptArguments, tenant: str | None) -> Steps[list[str]]:
    """Where parts wait, by lane and tenant, in order; only those of a tenant where one is given."""
    keys = arguments.keys
    lanes, beside = yield Commands([("HKEYS", keys.waiting()), ("SMEMBERS", keys.side_lanes())])
    names = [lane.decode() for lane in (*lanes, *beside)]
    if tenant is not None:
        return sorted(f"queue:{lane}:{tenant}" for lane in names)
    turns, *tenants = yield Commands(
        [("HGETALL", keys.turns()), *(("ZRANGE", keys.lane(lane), 0, -1) for lane in names)]
    )
    # paused tenants have no turn in a lane
    paused = {each.name for each in parse_pauses(turns) if each.kind == "tenant"}
    with_turn = {lane: {each.decode() for each in found} for lane, found in zip(names, tenants, strict=True)}
    return sorted(f"queue:{lane}:{name}" for lane in names for name in with_turn[lane] | paused)


def find(
    arguments: ScriptArguments,
    name: str,
    wanted: Mapping[str, Any],
    after: Place | None,
    most: int,
    *,
    newest: bool = False,
) -> Steps[Found]:
    """One step along one list. `wanted`: of JobFilter.to_options()."""
    options = {**wanted, "look_at": _LOOK_AT, "most": most}
    if after is not None:
        options["after"] = after
    if newest:
        options["newest"] = True
    last, *told = yield Move("find", arguments.find(name, options))
    jobs = [
        FoundJob(job_id.decode(), state.decode(), (score.decode(), member.decode(errors="replace")), name, stop == b"1")
        for job_id, score, member, state, stop in zip(*(told[number::5] for number in range(5)), strict=True)
    ]
    return Found(tuple(jobs), (last[0].decode(), last[1].decode(errors="replace")) if last else None)


def find_named(
    arguments: ScriptArguments, job_ids: Sequence[str], wanted: Mapping[str, Any]
) -> Steps[tuple[FoundJob, ...]]:
    """Those of them that are as is asked, wherever they are. `wanted`: as of `find`, and `until_ms`."""
    asked = [("HMGET", arguments.keys.record(job_id), *_LOOKED_AT) for job_id in job_ids]
    records = (yield Commands(asked)) if asked else []
    found = []
    for job_id, values in zip(job_ids, records, strict=True):
        own = {
            name: None if value is None else value.decode(errors="replace")
            for name, value in zip(_LOOKED_AT, values, strict=True)
        }
        if _is_asked_for(own, wanted):
            state = cast("State", own["state"])
            found.append(FoundJob(job_id, state, ("0", job_id), "", own["cancel"] == "1"))
    return tuple(found)


def _is_asked_for(own: Mapping[str, str | None], wanted: Mapping[str, Any]) -> bool:
    """As scripts/find.lua has it."""
    if own["state"] is None or own["state"] not in wanted.get("states", (own["state"],)):
        return False
    if any(name in wanted and wanted[name] != (own[name] or "") for name in ("tenant", "tag", "code", "batch")):
        return False
    queued_ms = int(own["queued_at"] or 0)
    since_ms, until_ms = wanted.get("since_ms", 0), wanted.get("until_ms", queued_ms)
    return bool(int(own["finished_at"] or queued_ms) >= since_ms and queued_ms <= until_ms)


def page(
    arguments: ScriptArguments, wanted: JobFilter, limit: int, after: str | None, of: Sequence[Group] | None = None
) -> Steps[JobPage]:
    """The newest jobs first within each group: the filter's groups, or `of` these.

    Raises CursorInvalid, FilterInvalid.
    """
    check_limit(limit)
    begun, place = _parse_cursor(after)
    found: list[FoundJob] = []
    for half in _halves(wanted, begun) if of is None else (wanted,):
        # of the half that comes next nothing has been looked at
        begun_here = begun if _is_of_ended(begun) != half.may_be_at_work else ""
        for group in (yield from groups(arguments, half, begun_here)) if of is None else of:
            if group.name < begun:
                continue
            by_name = group.name.startswith((_AT_WORK_BY_NAME, _ENDED_BY_NAME))
            options = _options_by_name(wanted, half) if by_name else wanted.to_options()
            begin = place if group.name == begun else None
            while len(found) < limit:
                jobs, begin = yield from _merged(arguments, group, options, begin, limit - len(found))
                found += jobs
                if begin is None:
                    break
            if len(found) == limit:
                return JobPage((yield from _statuses(arguments, found)), _cursor(group.name, begin))
    return JobPage((yield from _statuses(arguments, found)), None)


def _halves(wanted: JobFilter, begun: str) -> Iterator[JobFilter]:
    """Jobs at work, unless a page has ended behind them; then those that have ended."""
    halves = wanted.only(FINAL_STATES if _is_of_ended(begun) else AT_WORK), wanted.only(FINAL_STATES)
    return (half for half in dict.fromkeys(halves) if half is not None)


def _options_by_name(wanted: JobFilter, half: JobFilter) -> dict[str, Any]:
    """In a list by a name jobs of each half stand. Where any state is meant, those of a state that a newer version
    writes are with the jobs at work."""
    if wanted.states is not None or not half.may_be_at_work:
        return half.to_options()
    return {**wanted.to_options(), "not_states": dict.fromkeys(sorted(FINAL_STATES), True)}


def _is_of_ended(group: str) -> bool:
    return group >= _ENDED_BY_NAME


def _merged(
    arguments: ScriptArguments, group: Group, options: Mapping[str, Any], after: Place | None, most: int
) -> Steps[tuple[list[FoundJob], Place | None]]:
    """One step along each list of a group: what comes first of what was found, and the place of the last of that."""
    steps = []
    for name in group.lists:
        steps.append((yield from find(arguments, name, options, after, most, newest=True)))
    jobs = sorted((job for step in steps for job in step.jobs), key=lambda job: _order(job.place), reverse=True)
    # beyond where one list was looked through, it may have what comes before what another has
    seen_to = max((step.after for step in steps if step.after is not None), key=_order, default=None)
    certain = [job for job in jobs if seen_to is None or _order(job.place) >= _order(seen_to)][:most]
    if len(certain) == most:
        return certain, certain[-1].place
    return certain, seen_to


def _order(place: Place) -> tuple[float, bytes]:
    """As Redis has it."""
    return float(place[0]), place[1].encode(errors="replace")


def _statuses(arguments: ScriptArguments, found: Sequence[FoundJob]) -> Steps[tuple[JobStatus, ...]]:
    statuses: list[JobStatus] = []
    ids = list(dict.fromkeys(job.id for job in found))
    for start in range(0, len(ids), PIPELINE):
        chunk = ids[start : start + PIPELINE]
        records = yield Commands([("HGETALL", arguments.keys.record(job_id)) for job_id in chunk])
        statuses += [parse_record(job_id, record) for job_id, record in zip(chunk, records, strict=True) if record]
    return tuple(statuses)


def _cursor(group: str, place: Place | None) -> str:
    return base64.urlsafe_b64encode(json.dumps([group, place], separators=(",", ":")).encode()).decode().rstrip("=")


def _parse_cursor(text: str | None) -> tuple[str, Place | None]:
    if text is None:
        return "", None
    try:
        group, place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if place is not None:
            score, member = place
            float(score)
            place = (str(score), str(member).encode().decode())
        return str(group), place
    except (ValueError, TypeError, RecursionError):
        raise CursorInvalid("This is not a place in a list of jobs.") from None
