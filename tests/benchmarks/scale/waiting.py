"""Jobs that only wait: how fast a producer submits them, and what Redis holds of each."""

from __future__ import annotations

import time
from dataclasses import dataclass

from redis import Redis

from ocrqueue import OcrQueue
from tests.benchmarks.scale.used import redis_cpu, redis_memory
from tests.benchmarks.stage import jobs_left

_PARTS = 4


@dataclass(frozen=True)
class Waiting:
    jobs: int
    """So many in the queue."""
    rate: float
    """Submitted a second, by one producer, since the first."""
    redis_bytes: float
    """Of a job."""
    redis_cpu_s: float
    """Of a submission."""


def submit_waiting(queue: OcrQueue, redis: Redis, jobs: int) -> list[Waiting]:
    """Submit the jobs, each with a reference of its own, in a few calls; measured after each. Then forget them."""
    redis.flushall()
    empty, cpu_s, begin = redis_memory(redis), redis_cpu(redis), time.perf_counter()
    measured = []
    for part in range(_PARTS):
        numbers = range(part * jobs // _PARTS, (part + 1) * jobs // _PARTS)
        queue.submit_many([f"s3://scans/incoming/2026-11-22/page-{number:09}.png" for number in numbers], engine="null")
        count, taken_s = numbers.stop, time.perf_counter() - begin
        used, used_cpu_s = redis_memory(redis) - empty, redis_cpu(redis) - cpu_s
        measured.append(Waiting(count, count / taken_s, used / count, used_cpu_s / count))
    waiting = jobs_left(queue)
    if waiting != jobs:
        raise RuntimeError(f"{waiting} jobs wait, not {jobs}")
    redis.flushall()
    return measured
