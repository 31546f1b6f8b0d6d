"""Jobs that a worker takes together, and what its log says of them. Workers need the plug-in of tests.support.gates."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ocrqueue import JobStatus, OcrQueue, SubmittedJob
from ocrqueue.settings import load_worker_settings
from tests.support.gates import BATCHED, PLUGINS, with_gated
from tests.support.processes import RedisServer, Worker, as_environment, wait_until, worker


@dataclass(frozen=True)
class Installation:
    """A worker, and the client that shares its storage and key prefix."""

    queue: OcrQueue
    worker: Worker


@contextmanager
def installed(
    redis: RedisServer,
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Installation]:
    """For the tests of a module that leave it as it was. `arguments` are those of the worker, which knows gates."""
    (folder / "storage").mkdir()
    given = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{folder}/storage",
        worker_heartbeat_s=1,
        **settings,
    )
    gated = with_gated(given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with worker(as_environment(gated), folder, *arguments) as started, OcrQueue(gated) as queue:
            yield Installation(queue, started)


def submit_batch(
    queue: OcrQueue, images: list[bytes], *, time_limit_s: int | None = None, crops: str = "none", **options: Any
) -> list[SubmittedJob]:
    """Six at most are taken at once."""
    return submitted_at_once(queue, images, options=options, crops=crops, time_limit_s=time_limit_s)


def submitted_at_once(queue: OcrQueue, images: list[bytes], **fields: Any) -> list[SubmittedJob]:
    """None is taken before all are in their lane: on a busy machine the first ones would be sent before the others."""
    queue.pause(engine=BATCHED)
    try:
        return queue.submit_many(images, **{"engine": BATCHED, **fields})
    finally:
        queue.resume(engine=BATCHED)


def ends(queue: OcrQueue, jobs: list[SubmittedJob], seconds: float = 100) -> list[JobStatus]:
    found = {job.id: status for job, status in queue.watch(jobs, seconds)}
    return [found[job.id] for job in jobs]


def states(found: list[JobStatus]) -> list[str]:
    return [status.error.code if status.error else status.state for status in found]


def running(jobs: list[SubmittedJob]) -> list[int]:
    """The positions of those that run."""
    return [position for position, job in enumerate(jobs) if job.status().state == "running"]


def log_lines(worker: Worker, **wanted: object) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in worker.log_text().splitlines() if line.startswith("{")]
    return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]


def batches_of(worker: Worker, job: SubmittedJob) -> list[str | None]:
    """Of each attempt at the job the batch that it was made in; None for one that was made alone."""
    return [line.get("task_id") for line in log_lines(worker, event="job started", job_id=job.id)]


def told_of_batch(worker: Worker, job: SubmittedJob) -> dict[str, int]:
    """What the log says at the end of the batch in which the job was first begun."""
    batch = batches_of(worker, job)[0]
    assert batch is not None, "it was begun alone"
    ended: list[dict[str, Any]] = []

    def is_logged() -> bool:
        ended.extend(log_lines(worker, event="batch ended", task_id=batch))
        return bool(ended)

    wait_until(is_logged, 60, "the end of the batch is logged")
    return {name: ended[0][name] for name in ("jobs", "pages", "calls", "given_back")}
