"""`python -m tests.faults.fuzzing`: malformed images and messages through a real queue and real workers.

Each must end with an error's code in its record, or dropped with a log line; the workers' processes must be the same
after it as before, but for children that met their time limit, and no larger; and what comes after must be read.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from unittest.mock import patch

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.faults.corpus import image_case
from tests.faults.feeding import Feeding
from tests.faults.fuzzing_report import FuzzingReport
from tests.faults.memory import MemoryWatch
from tests.faults.messages import message_case
from tests.support.processes import Worker, as_environment, redis_server, worker

_WORKERS: Final = 2
_MEMORY_CHECKED_FROM: Final = 1000
"""Cases. In a shorter run the second quarter is still warming up."""


def run_fuzzing(seed: int, cases: int, folder: Path) -> FuzzingReport:
    """`cases` malformed images and messages, in an installation of its own in `folder`: three of five are images.

    Images that can be read all the same come on top of `cases`. Takes about 30 ms a case on two cores.
    """
    with ExitStack() as stack:
        # a job whose worker has none would wait for them
        stack.enter_context(patch.dict(os.environ, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test"))
        redis = stack.enter_context(redis_server(folder))
        settings = _settings(redis.url, folder)
        arguments = ("--engine", "null", "--engine", "tesseract", "-c", "1")
        workers = [
            stack.enter_context(worker(as_environment(settings), folder, *arguments, "-n", f"fuzzed{number}@%h"))
            for number in range(_WORKERS)
        ]
        queue = stack.enter_context(OcrQueue(settings))
        feeding = Feeding(seed, cases, queue, lambda: all(each.alive() for each in workers))
        feeding.warm_up()
        with MemoryWatch(workers, lambda: feeding.ended) as memory:
            before, started = _processes(workers), [len(each.log_text()) for each in workers]
            seconds = feeding.run()
        feeding.check_good_jobs()
        feeding.check_leftovers()
        after = _processes(workers)
        # an engine that looks at no clock in the middle of a page is ended with its child
        timeouts = sum(case.code == "engine.timeout" for case in feeding.done)
        return FuzzingReport(
            seed=seed,
            seconds=seconds,
            cases=tuple(feeding.done),
            problems=(
                *feeding.problems(),
                *feeding.problems_in_logs(
                    [each.log_text()[start:] for each, start in zip(workers, started, strict=True)]
                ),
                *(
                    []
                    if _are_the_same(before, after, replaced=timeouts)
                    else [f"processes: {before} before, {after} after, {timeouts} timeouts"]
                ),
                *(memory.problems() if cases >= _MEMORY_CHECKED_FROM else ()),
            ),
            memory=memory.quarters(),
        )


def _processes(workers: Sequence[Worker]) -> dict[int, list[int]]:
    """The children of each worker's main process that is alive."""
    return {each.pid: each.children() for each in workers if each.alive()}


def _are_the_same(before: dict[int, list[int]], after: dict[int, list[int]], *, replaced: int) -> bool:
    """But for as many children as may have been replaced."""
    new = sum(len(set(after.get(pid, [])) - set(children)) for pid, children in before.items())
    return before.keys() == after.keys() and new <= replaced and all(map(len, after.values()))


def _settings(redis_url: str, folder: Path) -> WorkerSettings:
    """No retries and short limits, so that nothing is waited for."""
    (folder / "storage").mkdir(parents=True)
    return load_worker_settings(
        redis_url=redis_url,
        key_prefix="fuzzed:",
        storage=f"file://{folder}/storage",
        worker_heartbeat_s=1,
        retry_limit=0,
        soft_time_limit_s=20,
        hard_time_limit_s=30,
        pdf_page_timeout_s=5,
        shutdown_grace_s=2,
        source_timeout_s=5,
        s3_endpoint="http://127.0.0.1:9",
        s3_attempts=1,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all ended as it must, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzzing", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="the same seed, the same cases")
    parser.add_argument("--cases", type=int, default=2000, help="default: %(default)s")
    parser.add_argument(
        "--case", metavar="image-K|message-K", help="write this one case of --seed to a file here, and run nothing"
    )
    given = parser.parse_args(arguments)
    if given.case:
        return _write_case(given.seed, given.case)
    print(f"seed {given.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="ocrqueue-fuzzing-"))
    report = run_fuzzing(given.seed, given.cases, folder)
    print(report.text())
    if report.problems:
        print(f"logs: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _write_case(seed: int, name: str) -> int:
    kind, _, number = name.partition("-")
    if kind == "image":
        image = image_case(seed, int(number))
        what, data = image.kind, image.data
    else:
        message = message_case(seed, int(number))
        what, data = message.kind, message.entry
    path = Path(f"fuzz-{seed}-{name}.bin")
    path.write_bytes(data)
    print(f"{path}: {what}, {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
