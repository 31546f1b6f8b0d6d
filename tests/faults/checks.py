"""The promises, held against what was seen: of each job, of storage and Redis, of the workers and the producer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.errors import OcrQueueError
from ocrqueue.storage import PROBE
from tests.faults.jobs import CANCELLED, End
from tests.faults.producer import Submission
from tests.faults.rehearsal import Rehearsal
from tests.faults.results import result_hash
from tests.faults.watcher import Sight
from tests.faults.worker_logs import lines_of_jobs, starts_since_return
from tests.support.processes import wait_until

Promise = Literal["lost", "untrue", "incomplete", "overwritten", "left behind", "disagreeing", "refused", "worker died"]
"""
lost: submitted, and no end was reached.
untrue: ended in a way that is not true of the job.
incomplete: ended with a result that is not all there, or not what was asked.
overwritten: ended, and then something else.
left behind: something in storage or Redis that belongs to nothing.
disagreeing: what one key in Redis says and what another does.
refused: the producer was told something wrong, or too late.
worker died: a main process that nobody killed, or that did not end when told to.
"""

_REFUSED_WITHIN_S: Final = 5.5
"""broker.unavailable within 5 s, and what a busy machine adds."""
_SETTLE_S: Final = 20.0
"""A part in the hand of a worker that was lost is back, and settled, by then."""
_TIDIED_S: Final = 150.0
"""What ended jobs left is removed by then: a worker that was killed over it keeps its claim for two minutes."""
_AT_WORK: Final = ("queue:", "lane:", "leases", "hand:", "delayed", "open:", "parts:", "part:")
"""Beginnings of the keys of what has not ended."""


@dataclass(frozen=True, slots=True)
class Broken:
    promise: Promise
    what: str
    job_id: str | None = None

    def __str__(self) -> str:
        return f"{self.promise}: {self.job_id}: {self.what}" if self.job_id else f"{self.promise}: {self.what}"


def broken_promises(rehearsal: Rehearsal) -> list[Broken]:
    """All of them; to be called before the workers are told to end."""
    broken: list[Broken] = []
    for submission in rehearsal.submissions:
        broken += _of_submission(rehearsal, submission)
    broken += _of_poison(rehearsal)
    # first, as it waits until what jobs have left is removed
    broken += _left_in_redis(rehearsal)
    broken += _left_in_storage(rehearsal)
    broken += _of_producer(rehearsal)
    return broken


def end_of(sight: Sight) -> End:
    """Of a final sight."""
    error = (json.loads(sight.outcome) if sight.outcome else {}).get("error") or {}
    return End(sight.state, error.get("code"))


def _of_submission(rehearsal: Rehearsal, submission: Submission) -> Iterator[Broken]:
    plan, job_id = submission.plan, submission.job_id
    if job_id is None:
        yield Broken("refused", f"never acknowledged: {submission.failure}", plan.id)
        return
    if submission.failure is not None:
        yield Broken("refused", submission.failure, job_id)
    if submission.answers != {job_id}:
        yield Broken("refused", f"one idempotency key stands for {sorted(submission.answers)}", job_id)
    first, last = rehearsal.watcher.first_end(job_id), rehearsal.watcher.last(job_id)
    if rehearsal.forgotten(job_id):
        return
    if first is None or last is None or not last.final:
        yield Broken("lost", f"last seen as {last.state if last else 'nothing'}", job_id)
        return
    yield from _of_end(rehearsal, submission, job_id, last)
    yield from _of_changes(rehearsal, job_id, first)
    yield from _of_result(rehearsal, job_id)


def _of_result(rehearsal: Rehearsal, job_id: str) -> Iterator[Broken]:
    look = rehearsal.first_looks[job_id]
    for problem in look.problems:
        yield Broken("incomplete", problem, job_id)
    if look.hash is None:
        return
    try:
        now = result_hash(rehearsal.into.observer.storage, job_id)
    except OcrQueueError as error:
        yield Broken("overwritten", f"its result is gone: {error.info.code}", job_id)
    else:
        if now != look.hash:
            yield Broken("overwritten", "its result.json changed after its end", job_id)


def _of_end(rehearsal: Rehearsal, submission: Submission, job_id: str, last: Sight) -> Iterator[Broken]:
    end, answer = end_of(last), submission.cancel_answer
    if end not in submission.plan.ends:
        true = " or ".join(map(str, sorted(submission.plan.ends, key=str)))
        yield Broken("untrue", f"ended as {end} {last.outcome[:300]}; true would be {true}", job_id)
    if end == CANCELLED and answer is None:
        yield Broken("untrue", "cancelled, and nobody was told so", job_id)
    if answer not in {None, "running", last.state} and not rehearsal.injector.redis_killed_after(
        submission.cancelled_at
    ):
        yield Broken("untrue", f"its cancel was answered with {answer}, and it ended as {end}", job_id)


def _of_changes(rehearsal: Rehearsal, job_id: str, first: Sight) -> Iterator[Broken]:
    """A state once final is never left, but for what a killed Redis had not yet written to its disk."""
    sights = rehearsal.watcher.sights[job_id]
    for sight in sights[sights.index(first) + 1 :]:
        if (sight.state, sight.outcome) == (first.state, first.outcome):
            continue
        if not rehearsal.injector.redis_killed_after(first.finished_at, sight.at):
            yield Broken("overwritten", f"{first.state}, and then {sight.state}", job_id)
    published = {state.partition(" ")[0] for _, state in rehearsal.watcher.events.get(job_id, ())}
    ends = published & {"succeeded", "partial", "failed", "cancelled"}
    if len(ends) > 1 and not rehearsal.injector.redis_killed_after(first.finished_at):
        yield Broken("overwritten", f"its ends {sorted(ends)} were all published", job_id)


def _of_poison(rehearsal: Rehearsal) -> Iterator[Broken]:
    """Delivered exactly as often as the cap says since it last went back in order, and kept among the dead letters."""
    cap = rehearsal.into.observer.settings.delivery_cap
    dead = set(rehearsal.into.observer.dead_letters.ids())
    logged = lines_of_jobs(rehearsal.into)
    for job_id in rehearsal.by_id:
        last = rehearsal.watcher.last(job_id)
        if last is None or end_of(last).code != "job.poison":
            continue
        if f"Delivered {cap} times" not in last.outcome:
            yield Broken("untrue", f"poison, and not delivered {cap} times: {last.outcome[:300]}", job_id)
        # a start whose log line was lost with its process is not among them
        if (starts := starts_since_return(logged.get(job_id, []))) > cap:
            yield Broken("untrue", f"poison, and started {starts} times", job_id)
        if job_id not in dead:
            yield Broken("lost", "poison, and not among the dead letters", job_id)


def _left_in_storage(rehearsal: Rehearsal) -> Iterator[Broken]:
    stored: dict[str, list[str]] = {}
    for key in rehearsal.into.observer.storage.list("results"):
        stored.setdefault(key.split("/")[1], []).append(key)
    for job_id, keys in stored.items():
        last = rehearsal.watcher.last(job_id)
        if job_id.startswith(PROBE):
            # of a worker that was killed while it looked at its storage: `ocrqueue clean` removes it
            continue
        if job_id not in rehearsal.by_id:
            yield Broken("left behind", f"{len(keys)} objects in storage of a job that nobody submitted", job_id)
        elif (
            last is not None
            and (last.state in {"failed", "cancelled"} or (last.final and any("standing" in key for key in keys)))
            # nothing can be deleted from a storage that is away, and that is not promised
            and not rehearsal.injector.storage_away_at(last.finished_at)
        ):
            yield Broken("left behind", f"{len(keys)} objects in storage of a job that {last.state}: {keys[0]}", job_id)


def _left_in_redis(rehearsal: Rehearsal) -> Iterator[Broken]:
    """Nothing waits, is in a hand, pauses or is to be removed, and the keys agree with each other."""
    registry = registry_of(rehearsal.into.observer)
    at_work = (registry.keys.foreign("ocr."), *(registry.keys.root + name for name in _AT_WORK))

    def left(*beginnings: str) -> list[str]:
        return sorted(
            key for raw in registry.client.scan_iter(count=1000) if (key := raw.decode()).startswith(beginnings)
        )

    for beginnings, seconds in ((at_work, _SETTLE_S), ((registry.keys.leftovers(),), _TIDIED_S)):
        try:
            wait_until(partial(lambda each: not left(*each), beginnings), seconds, "Redis is empty")
        except AssertionError:
            yield Broken("left behind", f"in Redis, although every job has ended: {left(*beginnings)}")
    for sentence in check(registry):
        yield Broken("disagreeing", sentence)


def _of_producer(rehearsal: Rehearsal) -> Iterator[Broken]:
    late = [seconds for seconds in rehearsal.producer.refusals if seconds > _REFUSED_WITHIN_S]
    if late:
        yield Broken("refused", f"{len(late)} calls found the broker unavailable late, after {max(late):.1f} s")


def worker_deaths(rehearsal: Rehearsal) -> Iterator[Broken]:
    """Ends the workers; what they did when told to, and what happened to them before."""
    services = rehearsal.into.services
    for service in services:
        service.ask_to_end()
    for service in services:
        status = service.wait()
        if status != 0:
            yield Broken("worker died", f"{service.node} ended with {status} after SIGTERM")
        for ended in service.exits:
            if not ended.asked:
                yield Broken("worker died", f"{ended.node} ended with {ended.status} by itself")
        if orphans := service.orphans():
            yield Broken("left behind", f"processes of workers of {service.name} that ended: {orphans}")
