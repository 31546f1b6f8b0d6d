"""Whatever comes to an engine waits behind what was there before: sent on by another engine, or sent by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue import SubmittedJob
from ocrqueue.settings import Settings
from tests.support.brokers import Messages
from tests.support.gates import Gates, page, with_gated
from tests.support.outside import Outside, from_outside
from tests.support.processes import wait_until

UNSURE = {"confidence": 0.3, "words": 4}
LANE = "ocr.gated"


@pytest.fixture
def outside(settings: Settings, tmp_path: Path) -> Iterator[Outside]:
    """Jobs can go to the engine `gated` before it has workers."""
    routed = settings.model_copy(update={"auto_engines": ("gated",), "engines_on_demand": ("gated",)})
    with from_outside(with_gated(routed), tmp_path) as outside:
        yield outside


@pytest.mark.parametrize("by_name", [False, True], ids=["sent on", "by name"])
def test_an_engine_reads_in_the_order_in_which_jobs_came_to_it(
    outside: Outside, gates: Gates, *, by_name: bool
) -> None:
    image, jobs = outside.queue.storage.put("inputs/page.png", page(60), "image/png"), list[SubmittedJob]()
    gates.open([60])
    options = {"null": UNSURE, "gated": gates.fields["options"]}
    fields = {"engine": "auto"} if by_name else {"engine": "null", "fallback": ["gated"]}
    with outside.worker("--engine", "null", "-c", "1"):
        for number in range(3):
            if by_name:
                sent = {"image": image, "options": options, **fields}
                jobs.append(outside.queue.job(Messages(outside.queue, "ocr.auto").send(sent)))
            else:
                jobs.append(outside.queue.submit(image, options=options, **fields))
            wait_until(lambda came=number + 1: outside.waiting(LANE) == came, 60, "it waits for the engine")
    with outside.worker("--engine", "gated", "-c", "1"):
        statuses = [job.wait(60) for job in jobs]
    assert [status.state for status in statuses] == ["succeeded"] * 3
    begun = [status.started_at for status in statuses if status.started_at]
    assert begun == sorted(begun)
