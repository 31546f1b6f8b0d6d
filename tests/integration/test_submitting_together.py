"""References that many tasks of one event loop submit at the same time: sent together, told each to its own caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.exceptions import ResponseError

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.aio import AsyncSubmittedJob, keys_of, redis_of, status_when_queued
from ocrqueue.client import registry_of
from ocrqueue.errors import BatchClosed, BrokerRefused, BrokerUnavailable, QueueFull
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.submitting.together import Queued
from tests.support.processes import redis_server

IMAGE = "s3://bucket/page.png"


@pytest.fixture
async def queue(settings: WorkerSettings) -> AsyncIterator[AsyncOcrQueue]:
    """One that has looked at the engines just now."""
    async with AsyncOcrQueue(settings.model_copy(update={"max_queue_length": settings.max_queue_length})) as made:
        await made.submit(IMAGE, engine="null", tag="first")
        yield made


class Steps:
    """What is sent, step by step."""

    def __init__(self, queue: AsyncOcrQueue) -> None:
        self._send = queue._together._send
        self.sizes: list[int] = []
        queue._together._send = self.send

    async def send(self, jobs: Sequence[Job]) -> Any:
        self.sizes.append(len(jobs))
        return await self._send(jobs)


async def submitted(
    queue: AsyncOcrQueue, count: int, **fields: Any
) -> tuple[list[AsyncSubmittedJob], list[BaseException]]:
    given = (queue.submit(IMAGE, **fields) for _ in range(count))
    told = await asyncio.gather(*given, return_exceptions=True)
    jobs = [each for each in told if isinstance(each, AsyncSubmittedJob)]
    return jobs, [each for each in told if isinstance(each, BaseException)]


async def test_all_are_queued_in_few_steps(queue: AsyncOcrQueue) -> None:
    steps = Steps(queue)
    jobs, errors = await submitted(queue, 120, engine="null", tag="x")
    assert errors == []
    assert len({job.id for job in jobs}) == 120
    assert sum(steps.sizes) == 120
    assert len(steps.sizes) <= 4
    for job, status in zip(jobs, await queue.statuses([job.id for job in jobs]), strict=True):
        assert status is not None
        assert status_when_queued(job) == status
        assert (status.state, status.tag) == ("queued", "x")


async def test_one_idempotency_key_is_one_job(queue: AsyncOcrQueue) -> None:
    jobs, errors = await submitted(queue, 10, engine="null", idempotency_key="once")
    assert errors == []
    assert len({job.id for job in jobs}) == 1
    assert sum(status_when_queued(job) is not None for job in jobs) == 1


async def test_where_a_queue_is_full_each_is_told_so_and_others_go_on(settings: WorkerSettings) -> None:
    limited = load_worker_settings(
        **settings.model_dump(exclude={"max_queue_length"}), max_queue_length="6,tesseract=100"
    )
    async with AsyncOcrQueue(limited) as queue:
        await queue.submit(IMAGE, engine="null")
        given: list[dict[str, Any]] = [{"engine": "null"}] * 8 + [{"engine": "tesseract"}] * 8
        told = await asyncio.gather(*(queue.submit(IMAGE, **each) for each in given), return_exceptions=True)
    kinds = [type(each) for each in told]
    assert kinds == [AsyncSubmittedJob] * 5 + [QueueFull] * 3 + [AsyncSubmittedJob] * 8
    for error in told[5:8]:
        assert isinstance(error, QueueFull)
        assert [job.image for job in error.unsubmitted] == [IMAGE]
        assert not error.submitted


async def test_a_closed_batch_takes_none(queue: AsyncOcrQueue) -> None:
    await queue.submit(IMAGE, engine="null", batch="done")
    await queue.batch("done").close()
    jobs, errors = await submitted(queue, 2, engine="null", batch="done")
    assert jobs == []
    assert {type(error) for error in errors} == {BatchClosed}


async def test_who_has_gone_is_not_sent(queue: AsyncOcrQueue) -> None:
    steps = Steps(queue)
    tasks = [asyncio.create_task(queue.submit(IMAGE, engine="null", tag="gone")) for _ in range(4)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, AsyncSubmittedJob) for each in told] == [False, False, True, True]
    assert sum(steps.sizes) == 2
    assert len((await queue.jobs(tag="gone")).jobs) == 2


async def test_a_job_that_redis_refuses_costs_no_other_its_place(queue: AsyncOcrQueue) -> None:
    steps = Steps(queue)
    fine = [Job(image=IMAGE, engine="null") for _ in range(20)]
    # no app can make such a job: it stands for what the checks do not know of
    hostile = Job(image=IMAGE, engine="null").model_copy(update={"password": SecretStr("\ud800")})
    asked = [*fine[:10], hostile, *fine[10:]]
    told = await asyncio.gather(*map(queue._together.submit, asked), return_exceptions=True)
    (error,) = [each for each in told if isinstance(each, BaseException)]
    assert isinstance(error, BrokerRefused)
    assert (told[10], error.code, error.unsubmitted) == (error, "broker.refused", (hostile,))
    assert [each.job_id for each in told if isinstance(each, Queued)] == [job.id for job in fine]
    assert steps.sizes[0] > 1
    assert len((await queue.jobs(limit=100)).jobs) == 21


async def test_a_job_that_meets_a_key_of_others_costs_no_other_its_place(queue: AsyncOcrQueue) -> None:
    key = f"{keys_of(queue).root}by_tag:theirs"
    await redis_of(queue).set(key, "theirs")
    given = (queue.submit(IMAGE, engine="null", tag=tag) for tag in ("a", "b", "theirs", "c", "d"))
    told = await asyncio.gather(*given, return_exceptions=True)
    assert [isinstance(each, AsyncSubmittedJob) for each in told] == [True, True, False, True, True]
    error = told[2]
    assert isinstance(error, BrokerUnavailable)
    assert (error.may_pass, [job.tag for job in error.unsubmitted]) == (False, ["theirs"])
    with pytest.raises(BrokerUnavailable, match="another type"):
        await queue.submit_many([IMAGE], engine="null", tag="theirs")
    await redis_of(queue).delete(key)


def test_no_error_of_redis_itself_reaches_an_app(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        client, root = registry_of(queue).client, registry_of(queue).keys.root
        client.set(f"{root}by_tag:theirs", "theirs")
        with pytest.raises(BrokerUnavailable, match="another type") as met:
            queue.submit(IMAGE, engine="null", tag="theirs")
        assert [job.tag for job in met.value.unsubmitted] == ["theirs"]
        hostile = Job(image=IMAGE, engine="null").model_copy(update={"password": SecretStr("\ud800")})
        with pytest.raises(BrokerRefused) as refused:
            queue.submit(hostile)
        assert isinstance(refused.value.__cause__, ResponseError)
        client.set(f"{root}job:x", "theirs")
        for ask in (queue.job("x").status, queue.job("x").cancel, queue.job("x").delete):
            with pytest.raises(BrokerUnavailable, match="another type"):
                ask()
        client.delete(f"{root}by_tag:theirs", f"{root}job:x")


async def test_each_is_told_that_redis_is_away(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        own = load_worker_settings(redis_url=server.url, storage=f"file://{tmp_path}", redis_timeout_s=1)
        async with AsyncOcrQueue(own) as queue:
            await queue.submit(IMAGE, engine="null")
            server.kill()
            jobs, errors = await submitted(queue, 3, engine="null")
    assert jobs == []
    assert {type(error) for error in errors} == {BrokerUnavailable}
    assert len({id(error) for error in errors}) == 3
    assert all(len(error.unsubmitted) == 1 for error in errors if isinstance(error, BrokerUnavailable))
