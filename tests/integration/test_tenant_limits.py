"""What tenants may have: held to as jobs are submitted, by whichever door, and counted when they end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.program import program
from ocrqueue.client import registry_of
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.core.script_arguments import Used
from ocrqueue.errors import FilterInvalid, TenantLimited, TenantLimitInvalid
from ocrqueue.job.route import Route, Step
from ocrqueue.settings import WorkerSettings
from tests.support.processes import as_environment, environment

IMAGE = "s3://bucket/page.png"


@pytest.fixture
def queue(registry: WorkerRegistry, settings: WorkerSettings) -> Iterator[OcrQueue]:
    """The registry sees to it that the keys agree at the end."""
    with OcrQueue(settings) as queue:
        yield queue


def end_next(registry: WorkerRegistry, engine: str = "null", pages: int = 1, cost: float = 0.0, size: int = 0) -> None:
    (part,) = registry.take(uuid.uuid4().hex, "holder", [(f"ocr.{engine}", 1)]).parts
    registry.begin(part.hold, "worker", engine)
    job_id = part.hold.job_id
    outcome = Outcome(job_id=job_id, state="succeeded", pages=pages)
    used = Used(pages, cpu_s=0.5, size_bytes=size, cost=cost)
    registry.finish(part.hold, Job(id=job_id, image=IMAGE, engine=engine), outcome, used)


def refused(queue: OcrQueue, **fields: str) -> TenantLimited:
    with pytest.raises(TenantLimited) as raised:
        queue.submit(IMAGE, engine=fields.pop("engine", "null"), tenant=fields.pop("tenant", "a"), **fields)  # type: ignore[arg-type]  # fields of a job, by name
    assert raised.value.retryable
    return raised.value


def test_jobs_that_wait_are_limited_in_all_lanes_together_and_of_that_tenant_alone(
    queue: OcrQueue, registry: WorkerRegistry
) -> None:
    queue.limit_tenant("a", waiting=3)
    queue.submit(IMAGE, engine="null", tenant="a")
    queue.submit(IMAGE, engine="rapid", tenant="a", priority="high")
    queue.submit(IMAGE, engine="null", tenant="a", priority="low")
    info = refused(queue).info
    assert info.details == {
        "tenant": "a",
        "limit": "waiting",
        "used": 3,
        "allowed": 3,
        "retry_after_s": 60,
        "submitted": 0,
    }
    assert info.message == "Tenant a: has 3 jobs that wait, and 3 may; room is expected in 60 s."
    registry.take(uuid.uuid4().hex, "holder", [("ocr.null", 1)])
    queue.submit_many([IMAGE] * 10, engine="null", tenant="b")
    queue.submit_many([IMAGE] * 10, engine="null")
    queue.submit(IMAGE, engine="null", tenant="a")
    refused(queue)
    queue.limit_tenant("a", waiting=None)
    queue.submit_many([IMAGE] * 10, engine="null", tenant="a")


def test_of_many_the_first_are_queued_and_a_known_job_is_never_refused(queue: OcrQueue) -> None:
    queue.limit_tenant("a", waiting=5)
    with pytest.raises(TenantLimited) as raised:
        queue.submit_many([IMAGE] * 8, engine="null", tenant="a")
    assert len(raised.value.submitted) == 5
    assert len(raised.value.unsubmitted) == 3
    assert queue.submit(registry_of(queue).jobs([raised.value.submitted[0].id])[0]).id == raised.value.submitted[0].id


def test_a_rate_lets_so_many_through_at_once_and_then_as_many_as_time_passes(queue: OcrQueue) -> None:
    queue.limit_tenant("a", rate="3/d")
    queue.submit_many([IMAGE] * 3, engine="null", tenant="a")
    error = refused(queue)
    assert error.info.details["limit"] == "rate"
    assert 8 * 3600 - 60 < error.retry_after_s <= 8 * 3600
    # eight hours pass
    client, key = registry_of(queue).client, registry_of(queue).keys.rate("a")
    client.hset(key, "at", int(client.hget(key, "at") or 0) - 8 * 3_600_000)
    queue.submit(IMAGE, engine="null", tenant="a")
    refused(queue)
    assert 0 < client.pttl(key) <= 86_400_001


def test_room_is_waited_for_but_not_the_end_of_the_month(queue: OcrQueue) -> None:
    queue.limit_tenant("a", rate="2/s")
    jobs = queue.submit_many([IMAGE] * 4, engine="null", tenant="a", wait_for_room=None)
    assert len(jobs) == 4
    queue.limit_tenant("b", pages_a_month=2)
    with pytest.raises(TenantLimited) as raised:
        queue.submit_many([IMAGE] * 4, engine="null", tenant="b", wait_for_room=None)
    assert len(raised.value.submitted) == 2
    assert 0 < raised.value.retry_after_s <= 31 * 86_400


def test_pages_of_a_month_count_while_at_work_and_as_what_was_read(queue: OcrQueue, registry: WorkerRegistry) -> None:
    queue.limit_tenant("a", pages_a_month=10)
    queue.submit_many([IMAGE] * 2, engine="null", tenant="a")
    end_next(registry, pages=7)
    # 7 that were read, 1 at work
    queue.submit_many([IMAGE] * 2, engine="null", tenant="a")
    assert refused(queue).info.details["used"] == 10
    for job in queue.jobs(tenant="a", state="queued").jobs:
        queue.cancel(job.id)
    queue.submit_many([IMAGE] * 3, engine="null", tenant="a")
    refused(queue)
    assert check(registry) == []


def test_earlier_days_of_the_month_count_and_the_month_before_does_not(
    queue: OcrQueue, registry: WorkerRegistry
) -> None:
    client, keys = registry.client, registry.keys
    seconds, _ = client.time()
    today, of_month = seconds // 86_400, datetime.fromtimestamp(seconds, UTC).day
    client.hset(keys.usage(today - of_month, "a"), "pages", 1000)
    client.zadd(keys.usage_tenants(), {"a": today - of_month})
    queue.limit_tenant("a", pages_a_month=6, budget_a_month=100)
    used = 0
    for day in {today - of_month + 1, today - 1, today} - {today - of_month}:
        client.hset(keys.usage(day, "a"), mapping={"pages": 1, "cost": "0.5"})
        client.zadd(keys.usage_tenants(), {"a": day}, gt=True)
        used += 1
    assert len(queue.submit_many([IMAGE] * (6 - used), engine="null", tenant="a")) == 6 - used
    assert refused(queue).info.details["used"] == 6
    (month, before) = queue.usage("a", by="month", last=2)
    assert (month.pages, month.cost, before.pages) == (used, 0.5 * used, 1000)


def test_of_many_at_once_no_more_get_in_than_may(queue: OcrQueue) -> None:
    queue.limit_tenant("a", pages_a_month=25)

    def submit(_: int) -> bool:
        try:
            queue.submit(IMAGE, engine="null", tenant="a")
        except TenantLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(submit, range(60))) == 25


def test_a_budget_stops_what_costs_money_and_nothing_else(queue: OcrQueue, registry: WorkerRegistry) -> None:
    # vision takes 0.0015 a page
    queue.limit_tenant("a", budget_a_month=0.006)
    queue.submit_many([IMAGE] * 2, engine="vision", tenant="a")
    end_next(registry, "vision", cost=0.003)
    queue.submit(IMAGE, engine="vision", tenant="a")
    details = refused(queue, engine="vision").info.details
    assert details["limit"] == "budget_a_month"
    assert details["used"] == pytest.approx(0.006)
    queue.submit_many([IMAGE] * 5, engine="null", tenant="a")


def test_limits_hold_for_the_asyncio_client_and_come_and_go_while_jobs_are_at_work(
    queue: OcrQueue, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    import asyncio

    async def main() -> None:
        async with AsyncOcrQueue(settings) as asynchronous:
            assert (await asynchronous.limit_tenant("a", pages_a_month=1)).pages_a_month == 1
            await asynchronous.submit(IMAGE, engine="null", tenant="a")
            with pytest.raises(TenantLimited):
                await asynchronous.submit(IMAGE, engine="null", tenant="a")
            await asynchronous.limit_tenant("a", pages_a_month=None)
            assert (await asynchronous.tenant_limits("a")).pages_a_month is None
            await asynchronous.submit(IMAGE, engine="null", tenant="a")

    asyncio.run(main())
    for _ in range(2):
        end_next(registry)
    assert not registry.client.exists(registry.keys.reserved("a"))


def test_what_is_no_limit_is_refused(queue: OcrQueue) -> None:
    for changes in ({"rate": "fast"}, {"rate": "0/s"}, {"waiting": -1}, {"budget_a_month": float("nan")}):
        with pytest.raises(TenantLimitInvalid):
            queue.limit_tenant("a", **changes)  # type: ignore[arg-type]  # one of each
    with pytest.raises(TenantLimitInvalid):
        queue.limit_tenant("no\nname", waiting=1)
    assert queue.tenant_limits("a").waiting is None


def test_usage_is_told_by_day_and_month(queue: OcrQueue, registry: WorkerRegistry) -> None:
    for tenant in ("a", "a", "", "b"):
        queue.submit(IMAGE, engine="null", tenant=tenant)
    for _ in range(4):
        end_next(registry, pages=2, cost=0.25, size=1000)
    (of_a,) = queue.usage("a")
    today = datetime.now(UTC)
    assert of_a.model_dump() == {
        "tenant": "a",
        "period": f"{today:%Y-%m-%d}",
        "jobs": 2,
        "pages": 4,
        "cpu_s": 1.0,
        "bytes": 2000,
        "cost": 0.5,
    }
    assert [(each.tenant, each.period, each.jobs) for each in queue.usage(by="month", last=2)] == [
        (tenant, f"{today:%Y-%m}", jobs) for tenant, jobs in (("", 1), ("a", 2), ("b", 1))
    ]
    with pytest.raises(FilterInvalid):
        queue.usage(last=401)


def test_an_engine_that_sends_a_job_on_is_paid_too_and_the_job_is_one(
    queue: OcrQueue, registry: WorkerRegistry
) -> None:
    route = Route(asked="vision", engines=("vision", "null"), reason="a test")
    given = Job(image=IMAGE, engine="vision", route=route, tenant="a")
    queue.limit_tenant("a", budget_a_month=1)
    list(registry.submit([given]))
    # of its engines the dearest
    assert float(registry.client.hget(registry.keys.record(given.id), "reserved") or 0) == pytest.approx(0.0015)
    (part,) = registry.take(uuid.uuid4().hex, "holder", [("ocr.vision", 1)]).parts
    registry.begin(part.hold, "worker", "vision")
    onward = given.model_copy(update={"engine": "null", "route": route.after(Step(engine="vision", pages=1))})
    assert registry.send_on(part.hold, onward, "vision", 1, Used(0, 0.25, cost=0.0015)) == "sent"
    end_next(registry, pages=1)
    (used,) = queue.usage("a")
    assert (used.jobs, used.pages, used.cpu_s, used.cost) == (1, 1, 0.75, 0.0015)


def test_the_command_sets_and_shows_limits_and_usage(
    queue: OcrQueue, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    variables = environment(as_environment(settings))

    def run(*arguments: str) -> object:
        found = CliRunner().invoke(program, arguments, env=variables)
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    given = ("--rate", "600/m", "--waiting", "1", "--pages-a-month", "500", "--budget-a-month", "12.5")
    limits = {"tenant": "a", "rate": "600/m", "waiting": 1, "pages_a_month": 500, "budget_a_month": 12.5}
    assert run("tenants", "limit", "a", *given, "--json") == limits
    assert run("tenants", "limit", "a", "--budget-a-month", "none", "--json") == {**limits, "budget_a_month": None}
    shown = CliRunner().invoke(program, ["tenants"], env=variables).stdout
    assert "rate 600/m, waiting 1, pages a month 500" in shown
    queue.submit(IMAGE, engine="null", tenant="a")
    full = CliRunner().invoke(program, ["submit", IMAGE, "--engine", "null", "--tenant", "a"], env=variables)
    assert full.exit_code == ExitStatus.FULL
    assert "tenant.limited" in full.stderr
    end_next(registry)
    (used,) = run("usage", "--tenant", "a", "--json")  # type: ignore[misc]  # a list
    assert used["jobs"] == 1
    wrong = CliRunner().invoke(program, ["tenants", "limit", "a", "--waiting", "few"], env=variables)
    assert wrong.exit_code == ExitStatus.USAGE
    assert [entry.action for entry in queue.audit()] == ["limit", "limit"]
