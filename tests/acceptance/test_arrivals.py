"""Whatever comes to an engine waits behind what was there before: sent on by another engine, or sent by name."""

from __future__ import annotations

from pathlib import Path

from ocrqueue.settings import WorkerSettings
from tests.support.brokers import Messages
from tests.support.gates import Gates, page, with_gated
from tests.support.outside import from_outside
from tests.support.processes import wait_until

UNSURE = {"confidence": 0.3, "words": 4}
LANE = "ocr.gated"


def test_an_engine_reads_in_the_order_in_which_jobs_came_to_it(
    settings: WorkerSettings, tmp_path: Path, gates: Gates
) -> None:
    # jobs can go to the engine before it has workers
    routed = settings.model_copy(update={"auto_engines": ("gated",), "engines_on_demand": ("gated",)})
    gates.open([60])
    options = {"null": UNSURE, "gated": gates.fields["options"]}
    with from_outside(with_gated(routed), tmp_path) as outside:
        image = outside.queue.storage.put("inputs/page.png", page(60), "image/png")
        by_name = Messages(outside.queue, "ocr.auto")
        with outside.worker("--engine", "null", "-c", "1"):
            sent_on = outside.queue.submit_many([image] * 2, engine="null", fallback=["gated"], options=options)
            wait_until(lambda: outside.waiting(LANE) == 2, 60, "they wait for their second engine")
            named = [by_name.send({"image": image, "engine": "auto", "options": options}) for _ in range(2)]
            wait_until(lambda: outside.waiting(LANE) == 4, 60, "those that came by name wait too")
        jobs = [*sent_on, *map(outside.queue.job, named)]
        with outside.worker("--engine", "gated", "-c", "1"):
            for job in jobs:
                assert job.wait(60).state == "succeeded"
        in_turn = sorted(jobs, key=lambda job: str(job.status().started_at))
        assert [job.id for job in in_turn] == [job.id for job in jobs]
