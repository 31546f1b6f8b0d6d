"""Lines of a batch that cannot be queued, with a queue that counts what it is asked."""

from __future__ import annotations

from typing import Any, cast

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import EngineUnknown
from ocrqueue.job import Job
from ocrqueue_gateway.batches.lines import Line
from ocrqueue_gateway.batches.submitting import Submitted


class Queue:
    """Knows the engine null alone."""

    def __init__(self) -> None:
        self.submissions = 0

    async def engines(self) -> dict[str, list[Any]]:
        return {"null": []}

    async def submit_many(self, jobs: list[Job]) -> None:
        self.submissions += 1
        for number, job in enumerate(jobs):
            if job.engine != "null":
                error = EngineUnknown(f"No engine {job.engine!r}; known: null.")
                error.submitted = cast("list[Any]", jobs[:number])
                raise error


def lines(*engines: str) -> list[Line]:
    images = [Job(image="https://example.org/a.png", engine=engine) for engine in engines]
    return [Line(number, f"line-{number}", job) for number, job in enumerate(images, 1)]


async def test_many_engines_that_nobody_knows_are_refused_in_two_submissions() -> None:
    queue, submitted = Queue(), Submitted()
    await submitted.take(cast("AsyncOcrQueue", queue), lines("null", *(f"nobody{n}" for n in range(400)), "null"))
    assert (submitted.accepted, submitted.rejected) == (2, 400)
    assert queue.submissions == 2
    assert [error.error.message for error in submitted.errors if error.error][7] == "No engine 'nobody7'; known: null."
