"""Tenants share the lanes: whoever comes with a few jobs does not wait for somebody's many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, worker


def started_order(queue: OcrQueue, jobs: Sequence[SubmittedJob]) -> list[str]:
    """Tenants in the order in which their jobs began."""
    statuses = [
        status for status in registry_of(queue).statuses([job.id for job in jobs]) if status and status.started_at
    ]
    return [status.tenant for status in sorted(statuses, key=lambda status: str(status.started_at))]


def test_a_neighbour_with_many_jobs_does_not_hold_up_one_with_few(settings: WorkerSettings, tmp_path: Path) -> None:
    """They are served in turn, though the many came first."""
    with OcrQueue(settings) as queue:
        image = queue.storage.put("inputs/page.png", png(text_picture("Hello")), "image/png")
        many = queue.submit_many([image] * 2000, engine="null", tenant="many", crops="none")
        few = queue.submit_many([image] * 20, engine="null", tenant="few", crops="none")
        with worker(as_environment(settings), tmp_path, "--engine", "null", "--concurrency", "1"):
            for _ in queue.as_completed(few, timeout=300):
                pass
        order = started_order(queue, [*many, *few])
    assert order.count("few") == 20
    last = max(position for position, tenant in enumerate(order) if tenant == "few")
    # in turns; two that began in the same millisecond may stand either way
    assert last <= 2 * 20 + 2


def test_weights_count_at_once(settings: WorkerSettings, tmp_path: Path) -> None:
    with OcrQueue(settings) as queue:
        image = queue.storage.put("inputs/page.png", png(text_picture("Hello")), "image/png")
        three = queue.submit_many([image] * 120, engine="null", tenant="three", crops="none")
        one = queue.submit_many([image] * 120, engine="null", tenant="one", crops="none")
        registry_of(queue).client.hset(registry_of(queue).keys.weights(), "three", "3")
        with worker(as_environment(settings), tmp_path, "--engine", "null", "--concurrency", "1"):
            for _ in queue.as_completed(three, timeout=300):
                pass
        order = started_order(queue, [*three, *one])[:120]
    assert 84 <= order.count("three") <= 96
