"""Many who wait for jobs, behind nginx and two replicas, one of which ends meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack

from rich.console import Console

from ocrqueue import OcrQueue
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.job import Job
from tests.benchmarks.stage import Stage, file_stage
from tests.support.replicas import Replica, nginx, replica
from tests.support.waiting_clients import Told, wait_for_all

_PATIENCE_S = 120.0
_LANES = [("ocr.null.high", 1), ("ocr.null", 1), ("ocr.null.low", 1)]


def waiting(polls: int, streams: int, pace: float) -> None:
    """Prints what the replicas take, and how late clients were told."""
    # each sentence is a line, however wide
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        stage = stack.enter_context(file_stage(max_queue_length=0))
        both = [stack.enter_context(replica(stage.settings, stage.folder, name)) for name in ("one", "other")]
        url = stack.enter_context(nginx([each.port for each in both], stage.folder / "nginx"))
        with OcrQueue(stage.settings) as queue:
            key = queue.api_keys.create(scopes=["read"]).text
        idle = sum(each.memory_bytes() for each in both)
        console.print(f"two replicas that nobody asks: {idle / 2**20:.0f} MiB together")
        for one_job in (False, True):
            what = "one job for all" if one_job else "a job each"
            told, ends, most, _ = asyncio.run(
                _round(stage, (url, key), both, (polls, streams), pace, one_job=one_job, end_one=False)
            )
            late = sorted(at - ends[job_id] for job_id, each in told.ends.items() for at in each)
            console.print(
                f"{what}: {told.clients} clients told {1000 * late[len(late) // 2]:.0f} ms after the end (median), "
                f"{1000 * late[-1]:.0f} ms at most; replicas {most / 2**20:.0f} MiB together; "
                f"errors {dict(told.errors)}"
            )
        told, ends, _, ended_s = asyncio.run(
            _round(stage, (url, key), both, (polls, streams), pace, one_job=False, end_one=True)
        )
        late = sorted(at - ends[job_id] for job_id, each in told.ends.items() for at in each)
        console.print(
            f"SIGTERM of one: ended after {ended_s:.1f} s; {told.clients} clients told, {told.asked} asked "
            f"again, {1000 * late[-1]:.0f} ms after the end at most; errors {dict(told.errors)}"
        )


def _ended_in(ended: Replica) -> float:
    """Seconds from SIGTERM."""
    began = time.monotonic()
    ended.tell_to_end()
    ended.process.wait(60)
    return time.monotonic() - began


async def _round(
    stage: Stage,
    at: tuple[str, str],
    both: Sequence[Replica],
    counts: tuple[int, int],
    pace: float,
    one_job: bool,
    *,
    end_one: bool,
) -> tuple[Told, dict[str, float], int, float]:
    """What was told, when each job had ended, the replicas' memory, and the seconds that one took to end, if it was to.

    `at`: the URL, and a key.
    """
    polls, streams = counts
    url, key = at
    registry = WorkerRegistry(stage.settings)
    try:
        jobs = [Job(image="s3://bucket/page.png", engine="null") for _ in range(1 if one_job else polls)]
        await asyncio.to_thread(lambda: list(registry.submit(jobs)))
        ids = [job.id for job in jobs] * (polls if one_job else 1)
        told = Told()
        clients = asyncio.create_task(wait_for_all(url, ids, ids[:streams], told, key))
        await asyncio.sleep(5)  # all have connected, and wait
        memory = sum(each.memory_bytes() for each in both)
        ended_s = 0.0
        if end_one:
            ended_s = await asyncio.to_thread(_ended_in, both[0])
            await asyncio.sleep(2)  # its clients ask again
        ends: dict[str, float] = {}
        await asyncio.to_thread(_end_all, registry, {job.id: job for job in jobs}, ends, pace)
        async with asyncio.timeout(_PATIENCE_S):
            await clients
        return told, ends, memory, ended_s
    finally:
        registry.close()


def _end_all(registry: WorkerRegistry, jobs: dict[str, Job], ends: dict[str, float], pace: float) -> None:
    """As a worker would, so many a second."""
    began = time.monotonic()
    for number in range(len(jobs)):
        time.sleep(max(0.0, began + number / pace - time.monotonic()))
        (part,) = registry.take(f"token{number}-{began}", "holder", _LANES).parts
        registry.begin(part.hold, "worker", "null")
        outcome = Outcome(job_id=part.hold.job_id, state="succeeded", result="s3://bucket/result.json", pages=1)
        ends[part.hold.job_id] = time.monotonic()
        registry.finish(part.hold, jobs[part.hold.job_id], outcome)
