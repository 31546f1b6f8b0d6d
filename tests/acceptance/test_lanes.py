"""A real worker and its lanes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ocrqueue import Job, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.job import engine_queues
from ocrqueue.job.names import LANES
from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))


def test_a_flow_of_urgent_jobs_leaves_the_other_lanes_their_share(settings: WorkerSettings, tmp_path: Path) -> None:
    """Of 100 jobs with a share of 20: 20 low ones, a fifth of the other 80 normal ones, and the rest high ones."""
    shared = settings.model_copy(update={"low_lane_share": 20})
    with OcrQueue(shared) as queue:
        image = queue.submit(HELLO, engine="null", priority="high").status().image
        fields = {"image": image, "engine": "null", "crops": "none", "cache": False}
        jobs = queue.submit_many([Job(**fields, priority=lane) for lane in LANES for _ in range(150)])
        with worker(as_environment(shared), tmp_path, "--engine", "null", "-c", "1") as running:

            def begun() -> list[str]:
                found = [status for status in registry_of(queue).statuses([job.id for job in jobs]) if status]
                started = [(status.started_at, status.queue) for status in found if status.started_at]
                return [name for _, name in sorted(started)]

            wait_until(lambda: len(begun()) >= 110, 100, "some have begun")
            order = begun()[:100]
            consumed = queue.engines()["null"][0].queues
            assert running.alive()
    share, (_, normal, low) = Counter(order), engine_queues("null")
    assert abs(share[low] - 20) <= 1, share
    assert abs(share[normal] - 16) <= 1, share
    assert max(order[start : start + 10].count(low) for start in range(90)) <= 3, "the turns are spread"
    assert set(consumed) == {*engine_queues("null")}
