"""What the core counts by the minute, what workers have in hand, and how much there is of each state."""

from __future__ import annotations

import asyncio

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.errors import EngineFailed, FilterInvalid
from ocrqueue.settings import WorkerSettings
from tests.support.moves import begun, hold_of, job, submit, succeeded

_DAY = 1440


def end_some(registry: WorkerRegistry) -> None:
    """Two jobs succeed, with a page each, and one fails."""
    given = [job() for _ in range(3)]
    submit(registry, *given)
    for number, each in enumerate(given):
        hold = begun(registry)
        failure = Outcome(job_id=each.id, state="failed", error=EngineFailed().info)
        registry.finish(hold, each, failure if number == 2 else succeeded(hold))


def test_what_ended_is_counted_by_the_minute(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    end_some(registry)
    seconds, _ = registry.client.time()
    then = registry.keys.minute(seconds // 60 - 90)
    registry.client.hset(then, mapping={"null:ended": 5, "rapid:ended": 1, "null:kept_warm": 9, "junk": "?"})
    with OcrQueue(settings) as queue:
        found = queue.minute_counts(180, step=60)
        assert sum(len(each.ended) for each in found.engines) == 2 * 3
        assert {each.engine: (sum(each.ended), sum(each.failed), sum(each.pages)) for each in found.engines} == {
            "null": (8, 1, 2),
            "rapid": (1, 0, 0),
        }
        assert found.since.timestamp() % 3600 == 0
        assert [sum(each.ended) for each in queue.minute_counts(60).engines] == [3]
        assert all(len(each.ended) == _DAY for each in queue.minute_counts(_DAY).engines)
        assert asyncio.run(counted(settings)) == queue.minute_counts(_DAY, step=_DAY)
    left_s = registry.client.ttl(registry.keys.minute(registry.client.time()[0] // 60))
    assert left_s == -2 or left_s > 24 * 3600


async def counted(settings: WorkerSettings) -> object:
    async with AsyncOcrQueue(settings) as queue:
        return await queue.minute_counts(_DAY, step=_DAY)


@pytest.mark.parametrize(("minutes", "step"), [(0, 1), (_DAY + 1, 1), (10, 0), (10, 11)])
def test_what_is_no_time_is_refused(settings: WorkerSettings, minutes: int, step: int) -> None:
    with OcrQueue(settings) as queue, pytest.raises(FilterInvalid):
        queue.minute_counts(minutes, step=step)


def test_pages_of_a_document_that_was_split_count(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    given = job(image="s3://bucket/letter.pdf")
    submit(registry, given)
    opening = begun(registry)
    assert registry.split(opening, 2, "pin") == "split"
    page = begun(registry)
    assert registry.finish(page, given, Outcome(job_id=given.id, state="succeeded", pages=1)) == "done"
    with OcrQueue(settings) as queue:
        # two periods: one may have ended since
        [counts] = queue.minute_counts(20, step=10).engines
        assert (sum(counts.pages), sum(counts.ended)) == (1, 0)


def test_what_workers_have_in_hand(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    one, other = job(tenant="acme"), job()
    submit(registry, one, other)
    with OcrQueue(settings) as queue:
        assert queue.reading_now() == []
        hold = begun(registry, "holder-1")
        registry.progress(hold, 2, 5)
        hold_of(registry, "holder-2")
        found = {part.holder: part for part in queue.reading_now()}
        mine = found["holder-1"]
        assert (mine.engine, mine.attempt, mine.pages_done, mine.pages, mine.page) == ("null", 1, 2, 5, None)
        assert mine.begun_at is not None
        assert found["holder-2"].begun_at is None
        assert {mine.job, found["holder-2"].job} == {one.id, other.id}
        assert {part.tenant for part in found.values()} == {"acme", ""}
        counts = queue.state_counts()
        assert (counts.running, counts.delayed, counts.succeeded, counts.dead) == (2, 0, 0, 0)


def test_how_many_jobs_are_in_which_state(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    end_some(registry)
    registry.cancel(*submit(registry, job()))
    with OcrQueue(settings) as queue:
        counts = queue.state_counts()
        assert (counts.succeeded, counts.partial, counts.failed, counts.cancelled) == (2, 0, 1, 1)
        assert (counts.running, counts.dead, counts.webhooks_failed) == (0, 1, 0)
