"""Nothing is lost: a short form of `./run faults`, and the faults that it leaves out, one at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import cast

import pytest

from ocrqueue.client import registry_of
from ocrqueue.errors import BrokerUnavailable
from tests.faults.broker_faults import (
    ConnectionCut,
    ConnectionHalfOpen,
    ConnectionStalled,
    EnginePaused,
    ProducerCut,
    ProducerStalled,
    RedisFull,
    RedisKilled,
    RedisPaused,
    RingsLost,
    ScriptsForgotten,
)
from tests.faults.checks import broken_promises, worker_deaths
from tests.faults.faults import Fault, NotPossible, injected
from tests.faults.forgetting import Forgetting
from tests.faults.installation import Installation, installation
from tests.faults.jobs import KINDS, Plan, upload_pictures
from tests.faults.process_faults import (
    ChildKilled,
    ClockBehind,
    ClockSkewed,
    DiskFull,
    Drained,
    GroupKilled,
    MainKilled,
    Quit,
    Stopped,
    Terminated,
)
from tests.faults.rehearsal import Rehearsal
from tests.faults.results import result_faults
from tests.faults.schedule import ALL_FAULTS, make_schedule
from tests.faults.storage_faults import StorageReset, StorageResetInCrops, StorageStalled, StorageUnavailable
from tests.support.processes import wait_until
from tests.support.standstill import time_lost

pytest_plugins = ["tests.faults.fixtures"]

REHEARSED = (
    ChildKilled,
    MainKilled,
    GroupKilled,
    Terminated,
    Drained,
    RedisKilled,
    RingsLost,
    EnginePaused,
    ScriptsForgotten,
    ConnectionCut,
    ProducerCut,
    StorageUnavailable,
    StorageResetInCrops,
)
ALONE = (
    Quit("w1"),
    Stopped("w1", 6.0),
    DiskFull("w2", 1.0),
    ClockSkewed("w1", 3.0),
    ClockBehind("w2", 3.0),
    RedisPaused(seconds=3.0),
    RedisFull(seconds=1.5),
    ConnectionStalled("w1", 3.0),
    ProducerStalled(seconds=5.0),
    StorageStalled(seconds=2.0),
    StorageReset(seconds=1.5),
    # last: the worker itself needs a minute until it gives its connection up
    ConnectionHalfOpen("w1"),
)


def test_the_same_seed_gives_the_same_schedule() -> None:
    schedules = [make_schedule(seed, 1000, 300.0, ("w1", "w2", "w3"), long_stop=True) for seed in (1, 1, 2)]
    assert schedules[0] == schedules[1] != schedules[2]
    first = schedules[0]
    assert {type(timed.fault) for timed in first.faults} == set(ALL_FAULTS)
    assert {plan.kind.name for plan in first.plans} == set(KINDS)
    assert any(timed.fault == Stopped(timed.fault.part, 60.0) for timed in first.faults)


@pytest.mark.all
def test_a_random_schedule_loses_nothing(tmp_path: Path) -> None:
    with installation(tmp_path / "system", settings={"retry_limit": 8}) as into:
        schedule = make_schedule(8, 60, 20.0, [service.name for service in into.services], REHEARSED)
        rehearsal = Rehearsal(into, schedule)
        rehearsal.run(stalled_after_s=60)
        assert [*broken_promises(rehearsal), *worker_deaths(rehearsal)] == []
        assert len(rehearsal.by_id) == 60
        assert sum(injection.done for injection in rehearsal.injector.injections) >= 6


def test_the_job_of_a_killed_child_does_not_queue_again_behind_all_others(system: Installation) -> None:
    references, rounds = upload_pictures(system.observer.storage), count()

    def a_child_was_killed_over_a_job() -> bool:
        plans, waiting, again = waiting_after_a_kill(system, references, f"behind-{next(rounds)}")
        # each is where it was: a part that was taken and not begun goes back, too
        assert waiting == [plan.id for plan in plans if plan.id in waiting]
        return bool(again)

    # where the test is held up, a child has ended its job before it is killed
    wait_until(a_child_was_killed_over_a_job, 200, "a child is killed over its job")


def waiting_after_a_kill(
    system: Installation, references: dict[str, str], name: str
) -> tuple[list[Plan], list[str], list[str]]:
    """All jobs; those that wait once the loss of a child is noticed, in order; those of them that had been begun."""
    service, observer = system.services[0], system.observer
    plans = [Plan(f"{name}-{number}", 0.0, KINDS["read"], "one page", 1, delay_s=0.5) for number in range(12)]
    submit(system, plans, references)
    jobs = [observer.job(plan.id) for plan in plans]
    wait_until(
        lambda: system.running_jobs(service) or all(job.status().finished for job in jobs), 60, "it has a job, or had"
    )
    service.kill_child()
    # Celery looks for lost children every 5 s: the other worker is not to go on meanwhile
    observer.pause(engine="null")
    try:
        wait_until(lambda: not any(map(system.running_jobs, system.services)), 60, "what ran has ended, or waits again")
        keys = registry_of(observer).keys
        lane = cast("list[bytes]", registry_of(observer).client.zrange(keys.queue("ocr.null", ""), 0, -1))
        waiting = [part.decode() for part in lane]
        again = [job_id for job_id in waiting if observer.job(job_id).status().attempts]
    finally:
        observer.resume(engine="null")
    assert {job.wait(200).state for job in jobs} == {"succeeded"}
    return plans, waiting, again


@pytest.mark.all
@pytest.mark.parametrize("fault", ALONE, ids=lambda fault: type(fault).__name__)
def test_a_fault_alone_loses_nothing(system: Installation, fault: Fault) -> None:
    system.wait_until_live()
    for service in system.services:
        service.exits.clear()
    references = upload_pictures(system.observer.storage)
    kind = KINDS["tesseract" if isinstance(fault, DiskFull) else "read"]
    plans = [Plan(f"{type(fault).__name__}-{number}", 0.0, kind, "one page", 3, delay_s=0.3) for number in range(8)]
    submit(system, plans[:4], references)
    with ThreadPoolExecutor(1) as producer:
        try:
            with injected(fault, system):
                submitted = producer.submit(submit, system, plans[4:], references)
                time.sleep(fault.seconds)
        except NotPossible as reason:
            pytest.skip(str(reason))
        submitted.result()
    for plan in plans:
        status = system.observer.job(plan.id).wait(200)
        assert (status.state, status.error) == ("succeeded", None)
        assert list(result_faults(plan, plan.id, "succeeded", system.observer.storage)) == []
    assert [ended for service in system.services for ended in service.exits if not ended.asked] == []


def submit(system: Installation, plans: list[Plan], references: dict[str, str]) -> None:
    """Until the broker takes them; it says within 5 s that it does not."""
    deadline = time.monotonic() + 100
    while True:
        begin = time.monotonic()
        try:
            with time_lost() as lost_s:
                system.producer.submit_many([plan.job(references) for plan in plans])
        except BrokerUnavailable:
            assert time.monotonic() - begin - lost_s() < 5
            assert time.monotonic() < deadline
            time.sleep(0.2)
        else:
            return


def test_what_redis_forgot_is_unknown_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with installation(tmp_path / "system", workers=1, append_only=False) as into:
        forgetting = Forgetting(into, seed=7, jobs=16)
        with time_lost() as lost_s:
            assert forgetting.run() == []
        assert forgetting.counted()["unknown"] > 0
        assert forgetting.last_told_s() - lost_s() < 5
