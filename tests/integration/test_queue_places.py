"""How far ahead in its queue a job is, and for how long."""

from __future__ import annotations

from typing import Any, cast

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.aio import keys_of, redis_of
from ocrqueue.settings import WorkerSettings

IMAGE = "s3://scans/letter.pdf"


def ahead_of(queue: OcrQueue, job_id: str) -> int:
    place = queue.place(job_id)
    assert place is not None
    return place.ahead


def test_others_have_their_turns_and_higher_lanes_come_first(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        ours = [queue.submit(IMAGE, engine="null", tenant="a").id for _ in range(3)]
        assert [ahead_of(queue, job_id) for job_id in ours] == [0, 1, 2]
        for _ in range(2):
            queue.submit(IMAGE, engine="null", tenant="b")
        # of each other tenant as many as of one's own
        assert [ahead_of(queue, job_id) for job_id in ours] == [1, 3, 4]
        queue.submit(IMAGE, engine="null", priority="high")
        queue.submit(IMAGE, engine="null", priority="low")
        queue.submit(IMAGE, engine="tesseract", priority="high")
        assert [ahead_of(queue, job_id) for job_id in ours] == [2, 4, 5]


async def test_how_long_it_takes_is_known_once_jobs_end(settings: WorkerSettings) -> None:
    async with AsyncOcrQueue(settings) as queue:
        jobs = [await queue.submit(IMAGE, engine="null") for _ in range(5)]
        place = await jobs[4].place()
        assert place is not None
        assert (place.ahead, place.wait_s) == (4, None)
        seconds, _ = cast("tuple[int, int]", await redis_of(queue).time())
        ended: Any = redis_of(queue).hset(keys_of(queue).ended("null"), mapping={str(seconds // 10 - 5): 60})
        await ended
        place = await jobs[4].place()
        assert place is not None
        assert place.wait_s is not None
        assert 1 < place.wait_s < 10
        await jobs[4].cancel()
        assert await jobs[4].place() is None
        assert await queue.place("nobody's") is None
