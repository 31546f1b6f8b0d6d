"""Actions on many jobs that nobody waits for: who has time does them, and goes on where another was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.actions import ActionStatus
from ocrqueue.errors import ActionsFull, ActionUnknown, EngineFailed, FilterMissing, JobDeleted
from ocrqueue.settings import WorkerSettings
from tests.support.moves import begun, job, submit, take

JOBS = 60


class Killed(BaseException):
    """No time for anything."""


@pytest.fixture
def own(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as made:
        yield made


def after(steps: int, how: Callable[[], bool]) -> Callable[[], bool]:
    """Asked before each step: does it after so many."""
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps and how()

    return stopping


def killed() -> bool:
    raise Killed


def end_lease(registry: WorkerRegistry, action: ActionStatus) -> None:
    registry.client.zadd(f"{registry.keys.root}actions", {action.id: 0})


def states(registry: WorkerRegistry, job_ids: list[str]) -> set[str]:
    return {status.state for status in registry.statuses(job_ids) if status is not None}


def test_an_action_is_done_by_who_has_time_and_is_told_of(registry: WorkerRegistry, own: OcrQueue) -> None:
    meant = submit(registry, *(job(tag="x", tenant="acme") for _ in range(JOBS)))
    others = submit(registry, job(tag="x"), job(tag="y", tenant="acme"))
    asked = own.actions.ask("cancel", tag="x", tenant="acme", who="key:abc", owner="acme")
    time.sleep(0.005)  # what is submitted in the same millisecond is meant too
    later = submit(registry, job(tag="x", tenant="acme"))
    assert (asked.state, asked.matched, asked.jobs, asked.owner) == ("queued", None, 0, "acme")
    assert own.actions.carry_out_next()
    done = own.actions.status(asked.id)
    assert (done.state, done.matched, done.jobs, done.error) == ("done", JOBS, JOBS, None)
    assert done.filter == {"tag": "x", "tenant": "acme"}
    assert done.ended_at is not None
    assert states(registry, meant) == {"cancelled"}
    assert states(registry, others + later) == {"queued"}
    [line] = own.audit()
    assert (line.who, line.action, line.jobs, line.ended) == ("key:abc", "cancel", JOBS, "done")
    assert not own.actions.carry_out_next()
    assert 0 < registry.client.pttl(registry.keys.action(asked.id)) <= registry.settings.record_ttl_s * 1000


@pytest.mark.parametrize("how", [lambda: True, killed], ids=["told to end", "killed"])
@pytest.mark.parametrize("steps", [0, 4, 12])
def test_another_goes_on_where_one_was_cut_off(
    registry: WorkerRegistry, own: OcrQueue, steps: int, how: Callable[[], bool]
) -> None:
    meant = submit(registry, *(job(tag="x") for _ in range(JOBS)))
    asked = own.actions.ask("delete", tag="x")
    if how is killed:
        with pytest.raises(Killed):
            own.actions.carry_out_next(after(steps, how))
        assert own.actions.status(asked.id).state == "running"
        assert not own.actions.carry_out_next(), "it is still the other's"
        end_lease(registry, asked)
    else:
        assert own.actions.carry_out_next(after(steps, how))
        assert own.actions.status(asked.id).state == "queued"
    assert own.actions.status(asked.id).jobs < JOBS
    assert own.actions.carry_out_next()
    done = own.actions.status(asked.id)
    assert (done.state, done.jobs, done.matched) == ("done", JOBS, JOBS)
    for job_id in meant:
        with pytest.raises(JobDeleted):
            registry.status(job_id)
    assert [(line.jobs, line.ended) for line in own.audit()] == [(JOBS, "done")]


def test_who_was_silent_for_too_long_does_not_end_what_is_anothers(registry: WorkerRegistry, own: OcrQueue) -> None:
    submit(registry, *(job(tag="x") for _ in range(JOBS)))
    asked = own.actions.ask("cancel", tag="x")

    def another_takes_over() -> bool:
        end_lease(registry, asked)
        with pytest.raises(Killed):
            own.actions.carry_out_next(after(1, killed))
        return False

    calls = iter([False, False, False, True])
    own.actions.carry_out_next(lambda: next(calls, False) and another_takes_over())
    assert own.actions.status(asked.id).state == "running", "the other one has it, and was killed"
    end_lease(registry, asked)
    assert own.actions.carry_out_next()
    assert (own.actions.status(asked.id).state, own.actions.status(asked.id).jobs) == ("done", JOBS)


def test_a_dry_run_counts_and_changes_nothing(registry: WorkerRegistry, own: OcrQueue) -> None:
    meant = submit(registry, job(tag="x"), job(tag="x"))
    asked = own.actions.ask("delete", tag="x", dry_run=True)
    assert own.actions.carry_out_next()
    done = own.actions.status(asked.id)
    assert (done.state, done.matched, done.jobs, done.dry_run) == ("done", 2, 0, True)
    assert states(registry, meant) == {"queued"}
    assert own.audit() == []


def test_failed_jobs_are_replayed_once(registry: WorkerRegistry, own: OcrQueue) -> None:
    failed = job(tag="x")
    submit(registry, failed)
    hold = begun(registry)
    registry.finish(hold, failed, Outcome(job_id=failed.id, state="failed", error=EngineFailed().info))
    asked = own.actions.ask("replay", tag="x", code="engine.failed")
    assert own.actions.carry_out_next()
    assert own.actions.status(asked.id).jobs == 1
    assert registry.status(failed.id).state == "queued"
    assert len(take(registry, 2).parts) == 1


def test_what_cannot_be_asked_for_is_an_error(
    registry: WorkerRegistry, own: OcrQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FilterMissing):
        own.actions.ask("cancel")
    with pytest.raises(ActionUnknown, match="No action nobody"):
        own.actions.status("nobody")
    monkeypatch.setattr("ocrqueue.core.actions._MOST", 2)
    for _ in range(2):
        own.actions.ask("cancel", all_jobs=True)
    with pytest.raises(ActionsFull):
        own.actions.ask("cancel", all_jobs=True)
    assert [line.ended for line in own.audit()] == ["interrupted", None, None]


def test_the_audit_is_in_the_order_of_time(own: OcrQueue) -> None:
    """However many begin in one millisecond."""
    tags = [str(number) for number in range(50)]
    for tag in tags:
        own.actions.ask("cancel", tag=tag)
    assert [line.filter["tag"] for line in own.audit()] == tags[::-1]


def test_an_action_that_nobody_survives_is_given_up(
    registry: WorkerRegistry, own: OcrQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrqueue.core.actions._MOST_TAKES", 2)
    asked = own.actions.ask("cancel", all_jobs=True)
    for _ in range(2):
        with pytest.raises(Killed):
            own.actions.carry_out_next(killed)
        end_lease(registry, asked)
    assert own.actions.carry_out_next()
    done = own.actions.status(asked.id)
    assert done.state == "failed"
    assert done.error is not None
    assert "begun 2 times" in done.error.message


def test_an_action_of_a_version_to_come_is_left_alone(registry: WorkerRegistry, own: OcrQueue) -> None:
    asked = own.actions.ask("cancel", all_jobs=True)
    registry.client.hset(registry.keys.action(asked.id), "filter", '{"colour":"red"}')
    registry.client.zadd(f"{registry.keys.root}actions", {"gone": 0})
    assert not own.actions.carry_out_next()
    assert not own.actions.carry_out_next()
    assert own.actions.status(asked.id).state == "failed"


@pytest.mark.parametrize(
    ("field", "value"),
    [("outcome", '{"state":"paused"}'), ("outcome", "{"), ("action", "drop"), ("created_at", "soon")],
)
def test_what_a_version_to_come_has_asked_for_is_told_in_plain_words(
    registry: WorkerRegistry, own: OcrQueue, field: str, value: str
) -> None:
    asked = own.actions.ask("cancel", all_jobs=True)
    assert own.actions.carry_out_next()
    before = registry.client.hget(registry.keys.action(asked.id), field)
    registry.client.hset(registry.keys.action(asked.id), field, value)
    with pytest.raises(ActionUnknown, match="cannot read the action"):
        own.actions.status(asked.id)
    assert before is not None
    registry.client.hset(registry.keys.action(asked.id), field, before)


async def test_the_asyncio_client_does_the_same(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    submit(registry, job(tag="x"), job(tag="y"))
    async with AsyncOcrQueue(settings) as queue:
        asked = await queue.actions.ask("cancel", tag="x")
        assert await queue.actions.carry_out_next()
        assert not await queue.actions.carry_out_next()
        assert (await queue.actions.status(asked.id)).jobs == 1
