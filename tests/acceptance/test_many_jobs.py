"""Thousands of jobs of ten tags and three tenants: lists are right, what is done to half of them is exact.

`python -m tests.benchmarks many` does the same with 100,000, and tells the times.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from tests.support.many_jobs import HALF, ManyJobs, filters, is_meant, killed_and_repeated, listed, load

COUNT = 4000
BESIDE = 300
EARLY = 200
"""Jobs after which a command is killed: it has the most of them before it."""


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as made:
        yield made


@pytest.fixture
def many(settings: WorkerSettings) -> Iterator[ManyJobs]:
    registry = WorkerRegistry(settings)
    made = ManyJobs(registry)
    made.submit(COUNT)
    yield made
    assert check(registry) == []
    registry.close()


def test_half_of_them_are_cancelled_replayed_and_deleted_though_each_command_is_killed(
    many: ManyJobs, queue: OcrQueue, settings: WorkerSettings
) -> None:
    count, registry = COUNT // 2, many.registry
    with load(settings) as takes:
        cancelled = killed_and_repeated(registry, settings, EARLY, "cancel", "--tenant", HALF)
        assert cancelled.jobs == count
        assert many.states(many.half) == {"cancelled": count}
        assert many.states(many.others) == {"queued": count}
        many.fail_others()
        many.submit_beside(BESIDE)
        beside = many.states(many.beside)
        assert set(beside) == {"queued", "running", "succeeded"}
        assert many.states(many.others) == {"failed": count}

        replayed = killed_and_repeated(registry, settings, EARLY, "dead", "replay", "--all")
        assert replayed.jobs == count
        assert many.states(many.others) == {"queued": count}
        assert many.states(many.half) == {"cancelled": count}

        deleted = killed_and_repeated(registry, settings, EARLY, "delete", "--tenant", HALF)
        assert deleted.jobs == count
        assert many.states(many.half) == {"none": count}
        assert many.states(many.others) == {"queued": count}
    assert any(done.is_midway for done in (cancelled, replayed, deleted))
    assert many.states(many.beside) == beside
    assert len(takes) > 100, "the load went on"
    assert registry.client.exists(registry.keys.by_tenant(HALF), registry.keys.deleted()) == 0
    assert listed(queue, {"tenant": HALF}) == []


def test_every_filter_finds_what_a_plain_look_finds(many: ManyJobs, queue: OcrQueue) -> None:
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
