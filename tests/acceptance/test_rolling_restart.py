"""Workers replaced in turn while pages keep coming: none is lost and none is read to its end twice."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png, text_picture
from tests.support.processes import Worker, as_environment, wait_until, worker

WORKERS = 2
PAUSE_S = 0.2


def ended(logs: list[Path]) -> Iterator[str]:
    """The job id of each `job ended` line."""
    for log in logs:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (entry := json.loads(line)).get("event") == "job ended":
                yield entry["job_id"]


def test_a_rolling_restart_under_load(settings: WorkerSettings, tmp_path: Path) -> None:
    environment, arguments = as_environment(settings), ("--engine", "tesseract", "-c", "1")
    submitted: list[SubmittedJob] = []
    enough = threading.Event()

    def load(queue: OcrQueue) -> None:
        while not enough.wait(PAUSE_S):
            page = png(text_picture(f"Page {len(submitted)} of many"))
            submitted.append(queue.submit(page, cache=False))

    with ExitStack() as stack, OcrQueue(settings) as queue:
        running = [stack.enter_context(worker(environment, tmp_path, *arguments)) for _ in range(WORKERS)]
        logs = [each.log for each in running]
        loading = threading.Thread(target=load, args=(queue,))
        loading.start()
        stack.callback(enough.set)
        for old in running:
            replaced(old)
            new = stack.enter_context(worker(environment, tmp_path, *arguments))
            logs.append(new.log)
        # where workers start quickly, few have come by now
        wait_until(lambda: len(submitted) > 10, 60, "there is load")
        enough.set()
        loading.join()
        statuses = dict(queue.watch(submitted, timeout=200))
        assert Counter(status.state for status in statuses.values()) == {"succeeded": len(submitted)}
        wait_until(lambda: len(list(ended(logs))) >= len(submitted), 60, "the workers have logged it")
    times = Counter(ended(logs))
    assert set(times) == {job.id for job in submitted}
    assert set(times.values()) == {1}


def replaced(old: Worker) -> None:
    """The worker is asked to end while it reads, and does so without being killed."""
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(60) == 0
