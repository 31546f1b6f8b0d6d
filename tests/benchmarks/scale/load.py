"""Jobs given to a crew, and what they cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Self

from PIL import Image
from redis import Redis

from ocrqueue import OcrQueue
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.scale.crew import Crew
from tests.benchmarks.scale.used import machine_cpu, redis_cpu, redis_memory
from tests.benchmarks.stage import jobs_left

_LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True)
class Load:
    """One run. The first job of each process is warm-up: it is not in `jobs` and `elapsed_s`, but in all the rest."""

    processes: int
    """Pool children: jobs at a time."""
    workers: int
    """Main processes."""
    delay_s: float
    jobs: int
    elapsed_s: float
    """From the last end of as many jobs as there are processes to the end of the last job of all."""
    worker_cpu_s: float
    """CPU seconds of a job in the worker's child and main process."""
    redis_cpu_s: float
    """CPU seconds of a job in Redis, from its submission to its end."""
    redis_bytes: float
    """Memory of an ended job in Redis."""
    other_cores: float
    """Cores that the rest of the machine kept busy meanwhile."""

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.elapsed_s

    @property
    def ideal(self) -> float:
        """Jobs a second, were there nothing but the delay."""
        return self.processes / self.delay_s

    @property
    def share(self) -> float:
        """Of the ideal."""
        return self.rate / self.ideal


def tiny_image(queue: OcrQueue) -> str:
    """The URI of a PNG that costs next to nothing to decode."""
    picture = BytesIO()
    Image.new("L", (64, 32), 255).save(picture, "PNG")
    return queue.storage.put("inputs/picture.png", picture.getvalue(), "image/png")


def run_load(crew: Crew, queue: OcrQueue, redis: Redis, jobs: int, delay_s: float) -> Load:
    """Submit the jobs to idle workers and wait for them. Raises RuntimeError unless all succeed at once."""
    images = [tiny_image(queue)] * jobs
    before, begin = _Used.now(crew, redis), time.perf_counter()
    submitted = queue.submit_many(images, engine="null", crops="none", options={"delay_s": delay_s})
    while jobs_left(queue) > 0:
        if time.perf_counter() - begin > TIMEOUT_S:
            raise RuntimeError(f"{jobs_left(queue)} jobs are left after {TIMEOUT_S} s")
        time.sleep(_LOOK_EVERY_S)
    used, taken_s = _Used.now(crew, redis), time.perf_counter() - begin
    ends = []
    for job, status in queue.watch(submitted, timeout=TIMEOUT_S):
        if status.state != "succeeded" or status.attempts != 1 or status.finished_at is None:
            raise RuntimeError(f"job {job.id}: {status.state} after {status.attempts} attempts: {status.error}")
        ends.append(status.finished_at)
    ends.sort()
    queue.storage.delete_prefix("results")
    worker_cpu_s, redis_cpu_s = used.worker_cpu_s - before.worker_cpu_s, used.redis_cpu_s - before.redis_cpu_s
    counted_s = worker_cpu_s + redis_cpu_s + used.own_cpu_s - before.own_cpu_s
    return Load(
        processes=crew.processes,
        workers=len(crew.workers),
        delay_s=delay_s,
        jobs=jobs - crew.processes,
        elapsed_s=(ends[-1] - ends[crew.processes - 1]).total_seconds(),
        worker_cpu_s=worker_cpu_s / jobs,
        redis_cpu_s=redis_cpu_s / jobs,
        redis_bytes=(used.redis_bytes - before.redis_bytes) / jobs,
        other_cores=max(0.0, used.machine_cpu_s - before.machine_cpu_s - counted_s) / taken_s,
    )


@dataclass(frozen=True)
class _Used:
    worker_cpu_s: float
    redis_cpu_s: float
    own_cpu_s: float
    machine_cpu_s: float
    redis_bytes: int

    @classmethod
    def now(cls, crew: Crew, redis: Redis) -> Self:
        return cls(crew.cpu_s(), redis_cpu(redis), time.process_time(), machine_cpu(), redis_memory(redis))
