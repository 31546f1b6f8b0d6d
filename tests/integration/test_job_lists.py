"""Jobs by tag, tenant, state, error and time: every filter against a plain look at all of them."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core import JobStatus, Outcome, WorkerRegistry
from ocrqueue.core.bulk import Bulk
from ocrqueue.core.check import check
from ocrqueue.core.job_filter import JobFilter, Wanted
from ocrqueue.core.job_lists import JobPage
from ocrqueue.core.pauses import pause
from ocrqueue.core.side_lanes import for_languages
from ocrqueue.core.steps import run_steps
from ocrqueue.errors import CursorInvalid, EngineFailed, FilterMissing, ImageEmpty, LanguageMissing
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from tests.support.moves import LANE, LANES, begun, end_lease, hold_of, job, reclaimed, submit, succeeded, take
from tests.support.processes import as_environment, environment, wait_until

UNHURRIED = """
from ocrqueue.cli import main
from ocrqueue.core import bulk

bulk._REST_S = 0.1
main()
"""
"""The command, which takes half a minute for what else takes it a second: it is killed before it is done."""
TAGS = ("a", "b c", "d:1", None)
TENANTS = ("acme", "other", "")
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
CODES = (EngineFailed, ImageEmpty, LanguageMissing)


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as made:
        yield made


def fail(registry: WorkerRegistry, made: Job, error: type[Exception] = EngineFailed) -> None:
    """The job, which is next in its lane, fails."""
    hold = begun(registry)
    assert hold.job_id == made.id
    outcome = Outcome(job_id=made.id, state="failed", error=error().info)  # type: ignore[attr-defined]  # every class of errors has it
    assert registry.finish(hold, made, outcome) == "failed"


def jobs_of_all_kinds(registry: WorkerRegistry, count: int) -> list[str]:
    """So many jobs, in every state, of every tag and tenant."""
    chosen = random.Random(7)
    made = [
        job(tag=tag, tenant=tenant)
        for tag, tenant, _ in itertools.islice(itertools.product(TAGS, TENANTS, range(count)), None)
    ]
    chosen.shuffle(made)
    made = made[:count]
    by_id = {one.id: one for one in made}
    submit(registry, *made)
    ended = 0
    while ended < count // 2 and (taken := take(registry, 1).parts):
        hold = taken[0].hold
        assert registry.begin(hold, "w@h", "null").verdict == "run"
        match chosen.choice(("succeeded", "failed", "cancelled", "running", "released", "beside")):
            case "succeeded":
                registry.finish(hold, by_id[hold.job_id], succeeded(hold))
            case "failed":
                error = chosen.choice(CODES)().info
                outcome = Outcome(job_id=hold.job_id, state="failed", error=error)
                registry.finish(hold, by_id[hold.job_id], outcome)
            case "cancelled":
                registry.cancel(hold.job_id)
                registry.release(hold, None)
            case "released":
                registry.release(hold, EngineFailed().info, pause_s=600, is_retry=True)
            case "beside":
                registry.sidestep(hold, LanguageMissing("No pack for fra.").info, for_languages(LANE, ["fra"]))
        ended += 1
    waiting = [one.id for one in made if registry.status(one.id).state == "queued"]
    for job_id in waiting[::5]:
        registry.cancel(job_id)
    take(registry, 3)
    pause(registry, "tenant", TENANTS[1])
    return [one.id for one in made]


def is_meant(status: JobStatus, wanted: Wanted) -> bool:
    """The plain way."""
    since = status.finished_at or status.queued_at
    state = wanted.get("state")
    return (
        ("tag" not in wanted or status.tag == wanted["tag"])
        and ("tenant" not in wanted or (status.tenant or "-") == wanted["tenant"])
        and (state is None or status.state in ([state] if isinstance(state, str) else state))
        and ("code" not in wanted or (status.error is not None and status.error.code == wanted["code"]))
        and (("since" not in wanted) or wanted["since"] is None or since >= wanted["since"])
        and (status.state == "failed" or "code" not in wanted)
    )


def all_pages(queue: OcrQueue, limit: int, wanted: Wanted) -> list[JobPage]:
    pages = [queue.jobs(limit=limit, **wanted)]
    while pages[-1].next:
        pages.append(queue.jobs(limit=limit, after=pages[-1].next, **wanted))
    return pages


@pytest.mark.parametrize("name", ["tag", "tenant", "batch"])
@pytest.mark.parametrize("others", [0, 60])
def test_those_that_have_not_ended_come_first(
    registry: WorkerRegistry, queue: OcrQueue, name: str, others: int
) -> None:
    fields: dict[str, Any] = {name: "x"}
    ended, waiting = [job(**fields) for _ in range(15)], [job(**fields) for _ in range(10)]
    submit(registry, *waiting[:5], *(job() for _ in range(others)), *ended, *waiting[5:])
    for one in ended:
        registry.cancel(one.id)
    for limit in (3, 10, 25, 50):
        pages = all_pages(queue, limit, fields)  # type: ignore[arg-type]  # one of its names
        found = [status.id for page in pages for status in page.jobs]
        assert found[:10] == [one.id for one in reversed(waiting)]
        assert sorted(found[10:]) == sorted(one.id for one in ended)


@pytest.mark.parametrize("asked", [{"tag": "a"}, {"tenant": "acme"}, {"tenant": "acme", "batch": "b"}])
@pytest.mark.parametrize("limit", [1, 10])
def test_a_job_in_a_state_that_a_newer_version_writes_is_with_those_at_work(
    registry: WorkerRegistry, queue: OcrQueue, asked: Wanted, limit: int
) -> None:
    made = [job(tag="a", tenant="acme", batch="b") for _ in range(3)]
    # so many that the lists by name are the shorter ones
    submit(registry, *made, *(job() for _ in range(10)))
    registry.cancel(made[2].id)
    registry.client.hset(registry.keys.record(made[0].id), "state", "waits for the moon")
    found = [(status.id, status.state) for page in all_pages(queue, limit, asked) for status in page.jobs]
    assert found[-1] == (made[2].id, "cancelled")
    assert sorted(found[:-1]) == sorted([(made[0].id, "unknown"), (made[1].id, "queued")])
    assert [status.id for status in queue.jobs(**asked, state=("queued", "running")).jobs] == [made[1].id]
    registry.client.hset(registry.keys.record(made[0].id), "state", "queued")


def test_a_page_goes_on_in_the_list_in_which_the_one_before_has_ended(
    registry: WorkerRegistry, queue: OcrQueue
) -> None:
    mine = [job(tag="x") for _ in range(12)]
    submit(registry, *mine, *(job() for _ in range(60)))
    first = queue.jobs(tag="x", limit=5)
    # what waits is the shorter list from now on
    for status in queue.jobs(limit=100).jobs:
        if status.tag != "x":
            registry.cancel(status.id)
    submit(registry, *(ended := [job(tag="x") for _ in range(40)]))
    for one in ended:
        registry.cancel(one.id)
    second = queue.jobs(tag="x", limit=7, after=first.next)
    assert [status.id for status in (*first.jobs, *second.jobs)] == [one.id for one in reversed(mine)]


def test_every_filter_finds_what_a_look_at_all_jobs_finds(registry: WorkerRegistry, queue: OcrQueue) -> None:
    ids = jobs_of_all_kinds(registry, 300)
    statuses = [status for status in registry.statuses(ids) if status is not None]
    assert {status.state for status in statuses} == set(STATES)
    middle = sorted(status.finished_at or status.queued_at for status in statuses)[len(ids) // 2]
    choices: list[list[Wanted]] = [
        [{}, *({"tag": tag} for tag in TAGS if tag)],
        [{}, *({"tenant": tenant or "-"} for tenant in TENANTS)],
        [{}, *({"state": state} for state in STATES), {"state": ("failed", "running")}],
        [{}, {"code": "image.empty"}],
        [{}, {"since": middle}],
    ]
    some = 0
    for parts in itertools.product(*choices):
        wanted: Wanted = {}
        for part in parts:
            wanted.update(part)
        meant = {status.id for status in statuses if is_meant(status, wanted)}
        pages = all_pages(queue, 40, wanted)
        found = [status.id for page in pages for status in page.jobs]
        assert len(found) == len(set(found)), wanted
        assert set(found) == meant, wanted
        assert all(len(page.jobs) == 40 for page in pages[:-1]), wanted
        some += bool(meant)
    assert some > 50


def test_jobs_of_a_tag_come_the_newest_first_and_in_pages_of_any_size(
    registry: WorkerRegistry, queue: OcrQueue
) -> None:
    made = [job(tag="x") for _ in range(700)]
    submit(registry, *made)
    for one in made[:30]:
        registry.cancel(one.id)
    for limit in (1, 7, 699, 1000):
        pages = itertools.islice(itertools.chain(all_pages(queue, limit, {"tag": "x"})), 20)
        found = [status for page in pages for status in page.jobs]
        assert len({status.id for status in found}) == len(found)
        since = [(not status.finished, status.finished_at or status.queued_at) for status in found]
        assert since == sorted(since, reverse=True)
        if limit == 1000:
            assert {status.id for status in found} == {one.id for one in made}


def test_the_parts_of_a_split_job_are_one_job(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job()
    submit(registry, made)
    hold = begun(registry)
    assert registry.split(hold, 5, "pin") == "split"
    take(registry, 1)
    assert [status.id for status in queue.jobs(state="running").jobs] == [made.id]
    assert queue.jobs(state="queued").jobs == ()
    assert registry.cancel(made.id) == "cancelled"
    assert queue.jobs(state="running").jobs == ()
    assert [status.id for status in queue.jobs().jobs] == [made.id]


def test_a_job_without_tag_and_tenant_is_in_no_list_while_it_waits(registry: WorkerRegistry) -> None:
    submit(registry, job())
    begun(registry)
    found = {key.decode() for key in registry.client.scan_iter(f"{registry.keys.root}by_*")}
    assert found == set()


def test_entries_leave_with_the_record(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = [job(tag="x", tenant="acme"), job(tag="x", tenant="acme"), job()]
    submit(registry, *made)
    for one in made:
        registry.cancel(one.id)
    registry.client.delete(registry.keys.record(made[0].id))
    assert [status.id for status in queue.jobs(tag="x").jobs] == [made[1].id]
    assert registry.client.zscore(registry.keys.by_tag("x"), made[0].id) is None, "who reads removes it"
    past = registry.settings.record_ttl_s * 1000 + 5000
    for one in made[1:]:
        registry.client.delete(registry.keys.record(one.id))
    key = registry.keys.by_state("cancelled")
    for entry, since in registry.client.zrange(key, 0, -1, withscores=True):
        registry.client.zadd(key, {entry: since - past})
    assert reclaimed(registry).unlisted == 2
    assert list(registry.client.scan_iter(f"{registry.keys.root}by_*")) == []


def test_a_record_that_is_kept_for_longer_stays_in_its_list(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job(tag="x")
    submit(registry, made)
    registry.cancel(made.id)
    key = registry.keys.by_state("cancelled")
    (entry,) = registry.client.zrange(key, 0, -1)
    registry.client.zadd(key, {entry: 1})
    assert reclaimed(registry).unlisted == 1
    assert reclaimed(registry).unlisted == 0
    assert [status.id for status in queue.jobs(state="cancelled").jobs] == [made.id]


def test_check_finds_entries_that_are_wrong(registry: WorkerRegistry) -> None:
    made = job(tag="x", tenant="acme")
    submit(registry, made)
    registry.client.zrem(registry.keys.by_tag("x"), made.id)
    registry.client.zadd(registry.keys.by_tenant("other"), {"nobody": 1})
    registry.client.zadd(registry.keys.by_state("failed"), {f"{made.id} acme x": 1})
    registry.client.zadd(registry.keys.split(), {"nobody": 1})
    assert len(check(registry)) == 4
    registry.client.delete(registry.keys.by_tenant("other"), registry.keys.by_state("failed"), registry.keys.split())
    since_ms = round(registry.status(made.id).queued_at.timestamp() * 1000)
    registry.client.zadd(registry.keys.by_tag("x"), {made.id: since_ms})


def test_a_place_that_is_none_is_refused(queue: OcrQueue) -> None:
    for cursor in ("x", "bm9uZQ", "W10"):
        with pytest.raises(CursorInvalid):
            queue.jobs(after=cursor)


# --- actions on many --------------------------------------------------------------------------------------------------


def test_many_are_cancelled_and_those_of_others_are_not(registry: WorkerRegistry, queue: OcrQueue) -> None:
    mine, theirs = [job(tag="x", tenant="acme") for _ in range(150)], [job(tag="y") for _ in range(50)]
    submit(registry, *mine)
    running = begun(registry)
    submit(registry, *theirs)
    assert queue.cancel_many(tag="x", dry_run=True).jobs == 150
    assert {status.state for status in registry.statuses([one.id for one in mine])} == {"queued", "running"}
    assert queue.cancel_many(tag="x", tenant="nobody").jobs == 0
    told: list[int] = []
    assert queue.cancel_many(tag="x", on_progress=told.append, who="tester").jobs == 150
    assert told == sorted(told)
    assert told[-1] == 150
    assert queue.cancel_many(tag="x").jobs == 0, "the one that runs is asked already"
    assert registry.release(running, None) == "cancelled"
    assert {status.state for status in registry.statuses([one.id for one in mine])} == {"cancelled"}
    assert {status.state for status in registry.statuses([one.id for one in theirs])} == {"queued"}
    last, first = queue.audit()[0], queue.audit()[1]
    assert (last.jobs, last.ended) == (0, "done")
    assert (first.who, first.action, first.filter, first.jobs, first.ended) == (
        "tester",
        "cancel",
        {"tag": "x"},
        150,
        "done",
    )
    assert abs(first.at - datetime.now(UTC)) < timedelta(minutes=1)


def test_all_that_wait_are_cancelled_only_where_that_is_said(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = [job(tenant=tenant) for tenant in ("", "acme", "other") for _ in range(5)]
    submit(registry, *made)
    take(registry, 2)
    with pytest.raises(FilterMissing):
        queue.cancel_many()
    with pytest.raises(FilterMissing):
        queue.delete_many(dry_run=True)
    assert queue.cancel_many(all_jobs=True).jobs == 15
    assert queue.jobs(state="queued").jobs == ()


def test_a_job_that_is_taken_while_all_are_looked_for_is_met_all_the_same(
    registry: WorkerRegistry, queue: OcrQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = job()
    submit(registry, made)
    run, taken = registry_of(queue).run, []

    def taken_after_the_first_look(move: str, arguments: list[str | bytes | int]) -> object:
        answer = run(move, arguments)
        if move == "find" and arguments[1] == "leases" and not taken:
            taken.append(begun(registry))
        return answer

    monkeypatch.setattr(registry_of(queue), "run", taken_after_the_first_look)
    assert queue.cancel_many(all_jobs=True).jobs == 1
    (hold,) = taken
    assert registry.progress(hold, 0, 1) == "stop"
    deletion = Bulk(registry.arguments, "delete", "me", lambda jobs: None, patience_s=0)
    assert run_steps(registry, deletion.run(JobFilter(), all_jobs=True)).still_running == 1
    registry.release(hold, None)


def test_every_failure_can_be_replayed_by_its_code(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = [job() for _ in range(9)]
    submit(registry, *made)
    for one, error in zip(made, itertools.cycle(CODES), strict=False):
        fail(registry, one, error)
    assert queue.replay_many(code="language.missing", dry_run=True).jobs == 3
    assert queue.replay_many(code="language.missing").jobs == 3
    assert queue.replay_many(code="language.missing").jobs == 0
    missing = made[2::3]
    assert {status.id for status in queue.jobs(state="queued").jobs} == {one.id for one in missing}
    assert len(queue.jobs(state="failed").jobs) == 6
    for one in missing:
        hold = begun(registry)
        assert registry.finish(hold, one, succeeded(hold)) == "succeeded"
    assert queue.replay_many(state="failed").jobs == 6


def test_dead_letters_are_dropped_by_filter_and_can_be_replayed_still(
    registry: WorkerRegistry, queue: OcrQueue
) -> None:
    made = [job(tag="x"), job(tag="y"), job(tag="x")]
    submit(registry, *made)
    fail(registry, made[0])
    fail(registry, made[1])
    fail(registry, made[2], ImageEmpty)
    assert queue.drop_many(tag="x").jobs == 1
    assert queue.dead_letters.ids() == [made[1].id]
    assert queue.dead_letters.drop(made[1].id)
    assert not queue.dead_letters.drop(made[1].id), "it is off the list already"
    assert queue.replay_many(tag="x").jobs == 2


def test_an_action_that_is_interrupted_says_so_and_is_finished_by_the_same_call(
    registry: WorkerRegistry, queue: OcrQueue
) -> None:
    made = [job(tag="x") for _ in range(250)]
    submit(registry, *made)

    def give_up(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.cancel_many(tag="x", on_progress=give_up)
    (entry,) = queue.audit()
    assert (entry.ended, entry.jobs) == ("interrupted", 100)
    assert queue.cancel_many(tag="x").jobs == 150
    assert len(all_pages(queue, 100, {"tag": "x", "state": "cancelled"})) == 3


@pytest.mark.parametrize("action", ["cancel", "dead replay", "delete"])
def test_an_action_that_is_killed_is_finished_by_the_same_command(
    registry: WorkerRegistry, settings: WorkerSettings, action: str
) -> None:
    count = 3000
    made, others = [job(tag="x") for _ in range(count)], [job(tag="y") for _ in range(20)]
    submit(registry, *made)
    if action == "dead replay":
        by_id = {one.id: one for one in made}
        for hold in (part.hold for _ in range(count // 100) for part in take(registry, 100).parts):
            registry.begin(hold, "w@h", "null")
            outcome = Outcome(job_id=hold.job_id, state="failed", error=EngineFailed().info)
            registry.finish(hold, by_id[hold.job_id], outcome)
    submit(registry, *others)
    arguments, environ = [*action.split(), "--tag", "x"], environment(as_environment(settings))
    unhurried = [sys.executable, "-c", UNHURRIED, *arguments]
    with subprocess.Popen(unhurried, env=environ, stdout=subprocess.DEVNULL) as killed:
        wait_until(lambda: jobs_done(registry) > 0, 100, "some are done")
        killed.kill()
    # what it had sent is done once this is answered
    registry.client.ping()
    done = jobs_done(registry)
    assert done < count
    command = [sys.executable, "-m", "ocrqueue.cli", *arguments]
    ran = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    assert ran.stdout.startswith(f"{count - done} jobs ")
    states = {None if status is None else status.state for status in registry.statuses([one.id for one in made])}
    assert states == {{"cancel": "cancelled", "dead replay": "queued", "delete": None}[action]}
    assert {status.state for status in registry.statuses([one.id for one in others]) if status} == {"queued"}


def jobs_done(registry: WorkerRegistry) -> int:
    """As the audit counts, over all actions."""
    fields = registry.client.hgetall(registry.keys.audit())
    return sum(int(value) for name, value in fields.items() if name.endswith(b":jobs"))


def test_jobs_that_came_after_the_beginning_are_not_meant(registry: WorkerRegistry, queue: OcrQueue) -> None:
    submit(registry, *(job(tag="x") for _ in range(120)))
    late = job(tag="x")

    def one_more(done: int) -> None:
        if done == 100:
            registry.client.time()
            submit(registry, late)

    assert queue.cancel_many(tag="x", on_progress=one_more).jobs == 120
    assert registry.status(late.id).state == "queued"


def test_the_audit_keeps_the_last_thousand(registry: WorkerRegistry, queue: OcrQueue) -> None:
    key = registry.keys.audit()
    old = {f"{number:016d}-{suffix}": "{}" for number in range(1500) for suffix in ("x", "x:jobs", "x:ended")}
    registry.client.hset(key, mapping=old)
    queue.cancel_many(tag="x")
    assert registry.client.hlen(key) <= 3 * 1001
    assert queue.audit(1)[0].filter == {"tag": "x"}


# --- history ----------------------------------------------------------------------------------------------------------


def test_a_history_tells_every_attempt(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job()
    submit(registry, made)
    assert queue.history(made.id) == ()
    registry.release(begun(registry), EngineFailed().info, is_retry=True)
    lost = begun(registry)
    assert [attempt.became for attempt in queue.history(made.id)] == ["retried", "running"]
    end_lease(registry, lost)
    assert registry.reclaim().requeued == (made.id,)
    fail(registry, made, ImageEmpty)
    queue.job(made.id).replay()
    hold = begun(registry)
    registry.finish(hold, made, succeeded(hold))
    found = queue.job(made.id).history()
    assert [attempt.became for attempt in found] == ["retried", "lost", "replayed", "succeeded"]
    assert [attempt.number for attempt in found] == [1, 2, 3, 1]
    assert [attempt.error.code if attempt.error else None for attempt in found] == [
        "engine.failed",
        None,
        "image.empty",
        None,
    ]
    for attempt in found:
        assert (attempt.worker, attempt.engine) == ("worker@host", "null")
        assert attempt.started_at is not None
        assert attempt.ended_at is not None
        assert attempt.started_at <= attempt.ended_at
    assert [outcome.state for outcome in registry.status(made.id).history] == ["failed"]


def test_a_job_has_started_with_its_first_attempt(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job()
    submit(registry, made)
    before = begun(registry)
    first = registry.status(made.id).started_at
    registry.release(before, EngineFailed().info, is_retry=True)
    wait_for_another_millisecond(registry)
    again = begun(registry)
    assert registry.status(made.id).started_at == first
    running = queue.history(made.id)[-1]
    assert running.started_at is not None
    assert first is not None
    assert running.started_at > first, "the second attempt's own start"
    registry.finish(again, made, Outcome(job_id=made.id, state="failed", error=EngineFailed().info))
    ended = registry.status(made.id)
    assert ended.started_at == first
    assert queue.history(made.id)[-1].started_at == running.started_at

    wait_for_another_millisecond(registry)
    queue.job(made.id).replay()
    replayed = registry.status(made.id)
    assert replayed.started_at is None, "it has not been started since"
    assert queue.history(made.id)[-1].started_at == running.started_at
    begun(registry)
    started = registry.status(made.id).started_at
    assert started is not None
    assert started >= replayed.queued_at
    assert queue.history(made.id)[-1].started_at == started


def wait_for_another_millisecond(registry: WorkerRegistry) -> None:
    now = registry.client.time()
    wait_until(lambda: registry.client.time()[1] // 1000 != now[1] // 1000, 5, "Redis's clock goes on")


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\x85", "\x1c", "\n"])
def test_no_character_of_an_error_breaks_a_history(registry: WorkerRegistry, queue: OcrQueue, text: str) -> None:
    made, error = job(), EngineFailed(f"before{text}after").info
    submit(registry, made)
    registry.release(begun(registry), error, is_retry=True)
    hold = begun(registry)
    registry.finish(hold, made, Outcome(job_id=made.id, state="failed", error=error))
    queue.job(made.id).replay()
    assert [attempt.error for attempt in queue.history(made.id)] == [error, error]
    assert [outcome.error for outcome in registry.status(made.id).history] == [error]


def test_a_history_is_bounded(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job()
    submit(registry, made)
    for _ in range(40):
        registry.release(begun(registry), EngineFailed().info, is_retry=True)
    found = queue.history(made.id)
    assert len(found) == 32
    assert [attempt.number for attempt in found] == list(range(9, 41))
    for _ in range(25):
        fail(registry, made, ImageEmpty)
        queue.job(made.id).replay()
    assert len(registry.status(made.id).history) == 20


def test_the_history_of_a_job_of_parts_tells_of_its_pages(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job()
    submit(registry, made)
    registry.split(begun(registry), 2, "pin")
    first = hold_of(registry, "holder", *LANES)
    registry.begin(first, "other@host", "null")
    registry.release(first, EngineFailed().info, is_retry=True)
    (attempt,) = queue.history(made.id)
    assert (attempt.page, attempt.worker, attempt.became) == (1, "other@host", "retried")
    for error in (None, ImageEmpty().info):
        part = hold_of(registry, "holder", *LANES)
        registry.begin(part, "third@host", "null")
        outcome = Outcome(job_id=made.id, state="failed", error=error) if error else succeeded(part)
        for _ in range(2):
            registry.finish(part, made, outcome, next_token=part.closing.token)
    found = [(attempt.page, attempt.number, attempt.became) for attempt in queue.history(made.id)]
    assert found[:3] == [(1, 1, "retried"), (1, 2, "succeeded"), (2, 1, "failed")]
    assert [
        attempt.error.code for attempt in queue.history(made.id) if attempt.became == "failed" and attempt.error
    ] == ["image.empty"]


def test_pages_that_were_read_push_no_failure_out_of_the_history(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job()
    submit(registry, made)
    registry.split(begun(registry), 60, "pin")
    registry.release(begun(registry), EngineFailed().info, is_retry=True)
    for _ in range(50):
        part = begun(registry)
        registry.finish(part, made, succeeded(part), next_token=part.closing.token)
    became = [attempt.became for attempt in queue.history(made.id)]
    assert became[:33] == ["retried"] + 32 * ["succeeded"]
    assert registry.client.hstrlen(registry.keys.record(made.id), "pages_log") < 8000


# --- asyncio ----------------------------------------------------------------------------------------------------------


def test_the_same_for_asyncio(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    made = [job(tag="x") for _ in range(30)]
    submit(registry, *made)
    fail(registry, made[0], ImageEmpty)

    async def steps() -> None:
        async with AsyncOcrQueue(settings) as queue:
            page = await queue.jobs(tag="x", limit=20)
            rest = await queue.jobs(tag="x", limit=20, after=page.next)
            assert {status.id for status in (*page.jobs, *rest.jobs)} == {one.id for one in made}
            assert (await queue.replay_many(code="image.empty")).jobs == 1
            assert [attempt.became for attempt in await queue.job(made[0].id).history()] == ["replayed"]
            assert (await queue.cancel_many(tag="x")).jobs == 30
            assert await queue.job(made[0].id).delete()
            assert (await queue.delete_many(tag="x")).jobs == 29
            assert (await queue.jobs(tag="x")).jobs == ()
            assert [entry.action for entry in await queue.audit()] == ["delete", "delete", "cancel", "replay"]

    asyncio.run(steps())


def test_a_filter_says_what_it_holds() -> None:
    assert not JobFilter.of().names_any
    assert JobFilter.of(tenant="-").names_any
    assert JobFilter.of(code="image.empty").states == {"failed"}
    assert JobFilter.of(code="image.empty", state="queued").states == frozenset()
