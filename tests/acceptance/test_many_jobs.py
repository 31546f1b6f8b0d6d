"""Thousands of jobs of ten tags and three tenants: lists are right and quick, what is done to half of them is exact.

`python -m tests.benchmarks many` does the same with 100,000, and tells the times.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.settings import Settings
from tests.support.many_jobs import HALF, ManyJobs, filters, is_meant, killed_and_repeated, listed, load, median_s

COUNT = 4000
BESIDE = 300
EARLY = 200
"""Jobs after which a command is killed: it has the most of them before it."""
MUCH_SLOWER = 40
"""Times as long as 50 records are read by their ids: only a list that is looked through whole takes that."""


@pytest.fixture
def queue(settings: Settings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as made:
        yield made


@pytest.fixture
def many(settings: Settings) -> Iterator[ManyJobs]:
    registry = WorkerRegistry(settings)
    made = ManyJobs(registry)
    made.submit(COUNT)
    yield made
    assert check(registry) == []
    registry.close()


def test_half_of_them_are_cancelled_replayed_and_deleted_though_each_command_is_killed(
    many: ManyJobs, queue: OcrQueue, settings: Settings
) -> None:
    count, registry = COUNT // 2, many.registry
    with load(settings) as takes:
        came_to = killed_and_repeated(registry, settings, EARLY, "cancel", "--tenant", HALF)
        assert 0 < came_to.by_then < came_to.jobs == count
        assert many.states(many.half) == {"cancelled": count}
        assert many.states(many.others) == {"queued": count}
        many.fail_others()
        many.submit_beside(BESIDE)
        beside = many.states(many.beside)
        assert set(beside) == {"queued", "running", "succeeded"}
        assert many.states(many.others) == {"failed": count}

        came_to = killed_and_repeated(registry, settings, EARLY, "dead", "replay", "--all")
        assert 0 < came_to.by_then < came_to.jobs == count
        assert many.states(many.others) == {"queued": count}
        assert many.states(many.half) == {"cancelled": count}

        came_to = killed_and_repeated(registry, settings, EARLY, "delete", "--tenant", HALF)
        assert 0 < came_to.by_then < came_to.jobs == count
        assert many.states(many.half) == {"none": count}
        assert many.states(many.others) == {"queued": count}
    assert many.states(many.beside) == beside
    assert len(takes) > 100, "the load went on"
    assert registry.client.exists(registry.keys.by_tenant(HALF), registry.keys.deleted()) == 0
    assert listed(queue, {"tenant": HALF}) == []


def test_every_filter_finds_what_a_plain_look_finds_and_its_first_page_comes_at_once(
    many: ManyJobs, queue: OcrQueue
) -> None:
    queue.cancel_many(tenant=HALF)
    many.fail_others()
    many.submit_beside(BESIDE)
    statuses = many.statuses()
    some = 0
    for wanted in filters(statuses):
        meant = {status.id for status in statuses if is_meant(status, wanted)}
        found = listed(queue, wanted)
        assert len(found) == len(meant), wanted
        assert set(found) == meant, wanted
        some += bool(meant)
    assert some > 20
    ids = [status.id for status in statuses[:50]]
    plain_s = median_s(lambda: list(many.registry.statuses(ids)))
    slowest = max((median_s(lambda wanted=wanted: queue.jobs(**wanted)), str(wanted)) for wanted in filters(statuses))  # type: ignore[misc]
    print(f"first page of the slowest list: {1000 * slowest[0]:.1f} ms as the median of 5, {slowest[1]}")
    assert slowest[0] < MUCH_SLOWER * plain_s, slowest
