"""What one does for all, while foreign apps send a lot: nothing else waits for it. Workers on duty, and `reconcile`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from ocrqueue.cli.program import program
from ocrqueue.core import EngineOffer, Outcome, WorkerInfo, WorkerRegistry
from ocrqueue.routing import Router
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import open_storage
from ocrqueue_worker.lifecycle.shared_duties import SharedDuties
from tests.faults.messages_envelopes import envelope
from tests.support.moves import LANE, all_parts, begun, end_lease, job, submit
from tests.support.processes import as_environment, wait_until


def push(registry: WorkerRegistry, number: int, queue: str = LANE) -> None:
    """So many messages of foreign apps."""
    with registry.client.pipeline(transaction=False) as pipeline:
        for each in range(number):
            message = envelope(f"job-{each}", kwargs={"job": {"image": "s3://b/k", "engine": "null"}})
            pipeline.lpush(registry.keys.foreign(queue), json.dumps(message))
        pipeline.execute()


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The moves that are asked for, in order."""
    asked: list[str] = []
    run = WorkerRegistry.run

    def noted(registry: WorkerRegistry, move: str, arguments: Any) -> Any:
        asked.append(move)
        return run(registry, move, arguments)

    monkeypatch.setattr(WorkerRegistry, "run", noted)
    return asked


def most_taken_in_a_row(moves: list[str]) -> int:
    """How many messages, without a RECLAIM in between."""
    between = " ".join(moves).split("reclaim")
    return max(each.split().count("take_in") for each in between)


def test_the_worker_on_duty_reclaims_while_a_backlog_is_taken_in(
    registry: WorkerRegistry, moves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Router] = []
    make = Router.__init__

    def noted(router: Router, *arguments: Any) -> None:
        made.append(router)
        make(router, *arguments)

    monkeypatch.setattr(Router, "__init__", noted)
    push(registry, 1200)
    duties = SharedDuties(registry.settings.model_copy(update={"lost_after_s": 5.0}))
    duties.are_ours(True)
    try:
        wait_until(lambda: not registry.client.exists(registry.keys.foreign(LANE)), 60, "all is taken in")
    finally:
        duties.stop()
    wait_until(lambda: moves[-1] == "reclaim" or moves.count("take_in") == 1200, 60, "the last round is over")
    assert moves.count("take_in") == 1200
    assert most_taken_in_a_row(moves) <= 500
    assert len(made) == 1, "what a router has read serves the next round too"
    assert len(all_parts(registry, 100)) == 1200


@pytest.mark.parametrize("how", [(), ("--loop",)], ids=["once", "again and again"])
def test_reconcile_reclaims_while_a_backlog_is_taken_in(
    registry: WorkerRegistry, moves: list[str], monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    class Enough(Exception):
        pass

    def pause(_: float) -> None:
        if "--loop" in how:
            raise Enough

    monkeypatch.setattr("ocrqueue.cli.reconcile.time.sleep", pause)
    monkeypatch.setattr("ocrqueue.cli.reconcile.signal.signal", lambda *_: None)
    push(registry, 1200)
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(registry.settings).items()}
    ran = CliRunner().invoke(program, ["reconcile", *how], env={**given, "OCRQUEUE_LOST_AFTER_S": "2"})
    assert isinstance(ran.exception, Enough) == bool(how), ran.output
    assert not registry.client.exists(registry.keys.foreign(LANE))
    assert most_taken_in_a_row(moves) <= 500
    assert len(all_parts(registry, 100)) == 1200


@pytest.mark.parametrize("how", [(), ("--loop",)], ids=["once", "again and again"])
def test_reconcile_reclaims_where_nothing_can_be_taken_in(
    registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    class Enough(BaseException):
        pass

    rounds = 0

    def pause(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            raise Enough

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ocrqueue.cli.reconcile.time.sleep", pause)
    monkeypatch.setattr("ocrqueue.cli.reconcile.signal.signal", lambda *_: None)
    monkeypatch.setattr("ocrqueue.cli.reconcile.take_in_foreign", fail)
    given = job()
    submit(registry, given)
    end_lease(registry, begun(registry))
    variables = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(registry.settings).items()}
    try:
        # of a length in which the command starts: what is silent for half of it has a grace
        ran = CliRunner().invoke(program, ["reconcile", *how], env={**variables, "OCRQUEUE_LOST_AFTER_S": "600"})
        assert isinstance(ran.exception, ZeroDivisionError)
    except Enough:
        assert how
    assert rounds == 2 or not how
    assert all_parts(registry) == [given.id]


def test_the_lists_of_a_new_engine_are_looked_at_soon_after_its_first_worker(
    registry: WorkerRegistry, moves: list[str]
) -> None:
    duties = SharedDuties(registry.settings.model_copy(update={"lost_after_s": 4.0}))
    duties.are_ours(True)
    try:
        wait_until(lambda: "reclaim" in moves, 60, "who is there is known")
        worker = WorkerInfo(
            name="mine@here",
            holder="one",
            queues=("ocr.mine",),
            engines=(EngineOffer(name="mine", version="1", model="m", languages=()),),
            concurrency=1,
            pid=1,
            started_at=datetime.now(UTC),
        )

        def beats_and_is_taken_in() -> bool:
            registry.heartbeat("one", worker.model_dump_json(exclude={"seen_at"}), [])
            return "take_in" in moves

        assert not beats_and_is_taken_in()
        push(registry, 1, "ocr.mine")
        before = moves.count("reclaim")
        wait_until(beats_and_is_taken_in, 60, "it is taken in")
        assert moves.count("reclaim") - before <= 5, "rounds"
    finally:
        duties.stop()
    wait_until(lambda: registry.client.exists(registry.keys.record("job-0")), 60, "it is a job")


def test_reconcile_removes_what_jobs_without_a_result_have_stored(
    registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    storage, given = open_storage(settings), job()
    submit(registry, given)
    hold = begun(registry)
    storage.put(f"results/{given.id}/crops/a.png", b"crop", "image/png")
    registry.finish(hold, given, Outcome(job_id=given.id, state="cancelled"))
    asked = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(settings).items()}
    ran = CliRunner().invoke(program, ["reconcile"], env={**asked, "OCRQUEUE_LOST_AFTER_S": "2"})
    assert ran.exit_code == 0, ran.output
    assert list(storage.list(f"results/{given.id}/")) == []
