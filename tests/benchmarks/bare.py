"""Starting the bare Celery worker, and giving it work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from celery import Celery

from tests.benchmarks.stage import CORES, REPOSITORY
from tests.support.processes import RedisServer, wait_until

TIMEOUT_S = 1800


def bare_app(redis: RedisServer, database: int, results: bool) -> Celery:
    url = _url(redis, database)
    return Celery("bare", broker=url, backend=url if results else None, set_as_current=False)


def _url(redis: RedisServer, database: int) -> str:
    return f"{redis.url.removesuffix('/0')}/{database}"


@contextmanager
def bare_worker(
    redis: RedisServer, database: int, results: bool, folder: Path, one_thread: bool = False, children: int = CORES
) -> Iterator[int]:
    """`celery worker -c CHILDREN` with default settings; yields the pid of its main process once it answers.

    `one_thread` sets OMP_THREAD_LIMIT=1, without which each of the two Tesseracts starts a thread a core.
    """
    environment = {name: value for name, value in os.environ.items() if name != "OMP_THREAD_LIMIT"}
    if one_thread:
        environment["OMP_THREAD_LIMIT"] = "1"
    environment["CELERY_BROKER_URL"] = _url(redis, database)
    if results:
        environment["CELERY_RESULT_BACKEND"] = _url(redis, database)
    command = (sys.executable, "-m", "celery", "--quiet", "-A", "tests.benchmarks.bare_app", "worker")
    log = folder / f"bare-{database}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*command, "-c", str(children), "-n", f"bare{database}@localhost"],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            start_new_session=True,
        )
    try:
        control = bare_app(redis, database, results).control
        wait_until(lambda: process.poll() is not None or control.ping(timeout=0.5), 40, "the bare worker answers")
        if process.poll() is not None:
            raise RuntimeError(log.read_text(errors="replace"))
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def bare_rate(app: Celery, task: str, images: Sequence[str]) -> float:
    """Images a second, from the first task sent to the last result there. Raises what a task raised."""
    begin = time.perf_counter()
    sent = []
    for image in images:
        bucket, _, key = image.removeprefix("s3://").partition("/")
        sent.append(app.send_task(f"tests.benchmarks.bare_app.{task}", (bucket, key, f"results/{uuid4()}")))
    for result in sent:
        result.get(timeout=TIMEOUT_S)
    return len(images) / (time.perf_counter() - begin)
