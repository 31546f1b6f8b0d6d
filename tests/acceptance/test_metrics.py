"""What workers and `ocrqueue metrics` tell Prometheus, by what was really done."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from celery import Celery
from pydantic import JsonValue, SecretStr

from ocrqueue import OcrQueue
from ocrqueue.job import Job, engine_queues
from ocrqueue.job.names import Priority
from ocrqueue.settings import WorkerSettings
from tests.support.metrics import by_label, check_with_promtool, scrape, served
from tests.support.pictures import png, text_picture
from tests.support.processes import Worker, as_environment, environment, free_port, wait_until, worker

HELLO = png(text_picture("Hello 42"))
JOBS = 500
CHILD_LIFE = 50
"""Jobs after which a child is replaced."""
PLAIN = ("-A", "ocrqueue_worker.app", "worker", "-c", "2", "--without-mingle")
LANES: tuple[Priority, ...] = ("high", "normal")
"""One for each worker: both take part, however late one of them is."""


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue


def test_counters_equal_the_jobs_really_run_though_children_are_replaced(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    image = queue.storage.put("inputs/hello.png", HELLO, "image/png")
    kinds: list[dict[str, JsonValue]] = [{"words": 3}] * 7 + [{"fault": "error"}] * 3
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        started = []
        for name, port, lane in zip(("a", "b"), ports, engine_queues("null")[:2], strict=True):
            given = as_environment(settings) | {"metrics_port": port, "metrics_host": "127.0.0.1"}
            arguments = (*PLAIN, "-Q", lane, "-n", f"{name}@test", f"--max-tasks-per-child={CHILD_LIFE}")
            started.append(stack.enter_context(worker(given, tmp_path, *arguments, command=("-m", "celery"))))
        asked = [
            Job(
                image=image,
                engine="null",
                options=kinds[number % len(kinds)],
                crops="none",
                priority=LANES[number // len(kinds) % len(LANES)],
            )
            for number in range(JOBS)
        ]
        jobs = queue.submit_many(asked)
        statuses = [status for _, status in queue.watch(jobs, timeout=400)]
        # the record of the last job is closed before it is counted
        wait_until(lambda: sum(scrape(p).total("ocrqueue_jobs_total") for p in ports) >= JOBS, 60, "all are counted")
        scrapes = [scrape(port) for port in ports]

        ended: Counter[tuple[str, str]] = Counter((s.state, s.error.code if s.error else "") for s in statuses)
        assert ended == {("succeeded", ""): 350, ("failed", "engine.failed"): 150}
        for (state, error), jobs_ended in ended.items():
            counted = [each.total("ocrqueue_jobs_total", engine="null", state=state, error=error) for each in scrapes]
            assert sum(counted) == jobs_ended
            assert min(counted) > 0, "both workers took part"
        by_worker = Counter(status.worker for status in statuses)
        for name, each in zip(("a", "b"), scrapes, strict=True):
            own = by_worker[f"{name}@test"]
            assert each.total("ocrqueue_jobs_total") == own
            assert each.total("ocrqueue_queue_wait_seconds_count", engine="null") == own
            assert each.total("ocrqueue_job_deliveries_sum", engine="null") == own
            assert each.total("ocrqueue_image_bytes_total", engine="null") == own * len(HELLO)
            # the two of the beginning, and one for each full life of a child; two may be about to be replaced
            assert 2 + own // CHILD_LIFE - 2 <= each.total("ocrqueue_worker_children_started_total")
            assert each.total("ocrqueue_worker_children_started_total") > 2, "children were replaced"
        assert sum(each.total("ocrqueue_pages_total") for each in scrapes) == 350
        assert sum(each.total("ocrqueue_words_total") for each in scrapes) == 3 * 350
        waited = sum((s.started_at - s.queued_at).total_seconds() for s in statuses if s.started_at)
        assert sum(each.total("ocrqueue_queue_wait_seconds_sum") for each in scrapes) == pytest.approx(waited, abs=0.01)
        for port, running in zip(ports, started, strict=True):
            # a child that has just had its last job has no memory until another is in its place
            wait_until(partial(shows_each_process, port), 60, "each process shows its memory")
            wait_until(partial(has_no_files_of_the_dead, port, running), 60, "no files of the dead are left")
            assert scrape(port).total("ocrqueue_worker_resident_memory_bytes", process="main") > 10 << 20
        text = "".join(each.text for each in scrapes[:1])
        folders = [metrics_folder(running.pid) for running in started]
    assert not any(folder.exists() for folder in folders)
    check_with_promtool(text)


def shows_each_process(port: int) -> bool:
    return set(by_label(scrape(port), "ocrqueue_worker_resident_memory_bytes", "process")) == {"main", "0", "1"}


def has_no_files_of_the_dead(port: int, running: Worker) -> bool:
    """They are added into one when metrics are asked for."""
    scrape(port)
    alive = {"gone", str(running.pid), *map(str, running.children())}
    return {path.stem.rpartition("_")[2] for path in metrics_folder(running.pid).glob("*.db")} <= alive


def metrics_folder(pid: int) -> Path:
    """Of a worker, whose main process has a file in it mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(Path(line.split()[-1]).parent for line in maps if "/ocrqueue-metrics-" in line)


def test_a_killed_child_and_a_busy_port_cost_no_metrics(
    settings: WorkerSettings, queue: OcrQueue, tmp_path: Path
) -> None:
    port = free_port()
    given = as_environment(settings) | {"metrics_port": port, "metrics_host": "127.0.0.1"}
    # a job that lowers the soft limit has the hard one a second later
    limits = {"soft_time_limit_s": 100, "hard_time_limit_s": 101}
    with worker(given | limits, tmp_path, "--engine", "null", "-c", "1"):
        assert queue.submit(HELLO, engine="null").wait(60).state == "succeeded"
        # its child is killed, and the main process ends it
        hung = queue.submit(HELLO, engine="null", options={"fault": "hang"}, time_limit_s=1)
        assert hung.wait(60).state == "failed"
        # another worker with the same port works all the same
        with worker(given, tmp_path, "--engine", "null", "-c", "1") as second:
            wait_until(lambda: "cannot serve the metrics" in second.log_text(), 60, "it says so")
        wait_until(lambda: scrape(port).total("ocrqueue_jobs_total") == 2, 60, "both are counted")
        found = scrape(port)
        assert found.total("ocrqueue_jobs_total", state="succeeded", error="") == 1
        assert found.total("ocrqueue_jobs_total", state="failed", error="engine.timeout") == 1
        assert found.total("ocrqueue_queue_wait_seconds_count") == 2


def send_by_name(settings: WorkerSettings, engine: str) -> None:
    with Celery("theirs", broker=settings.redis_url.get_secret_value(), set_as_current=False) as theirs:
        theirs.conf.broker_transport_options = {"global_keyprefix": settings.key_prefix}
        job = {"image": "s3://bucket/page.png", "engine": engine}
        theirs.send_task("ocrqueue.recognize", kwargs={"job": job}, queue=f"ocr.{engine}")


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def test_without_redis_a_scaler_is_told_nothing(settings: WorkerSettings) -> None:
    port = free_port()
    gone = settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{free_port()}/0")})
    with exporter(gone, port):
        assert scrape(port).total("ocrqueue_up") == 0
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(f"http://127.0.0.1:{port}/queues")
        with refused.value as answer:
            assert answer.code == 503
            assert json.loads(answer.read())["error"]["code"] == "broker.unavailable"


@contextmanager
def exporter(settings: WorkerSettings, port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ocrqueue.cli", "metrics", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment(as_environment(settings)), stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: process.poll() is not None or served(port), 60, "it serves")
        yield process
    finally:
        process.terminate()
        process.wait(60)
        if process.stderr is not None:
            process.stderr.close()


def test_one_exporter_tells_of_the_queues(settings: WorkerSettings, queue: OcrQueue) -> None:
    began = time.monotonic()
    queue.submit_many([HELLO] * 3, engine="null", priority="high", tenant="acme")
    queue.submit_many([HELLO] * 8, engine="tesseract")
    for engine in ("tesseract", "auto"):
        send_by_name(settings, engine)
    port = free_port()
    with exporter(settings, port) as process:
        found = scrape(port)
        passed_s = time.monotonic() - began
        assert found.total("ocrqueue_up") == 1
        assert found.total("ocrqueue_queue_jobs", engine="null", lane="high") == 3
        assert found.total("ocrqueue_queue_jobs", engine="tesseract", lane="normal") == 8
        assert found.total("ocrqueue_queue_jobs") == 11
        assert found.total("ocrqueue_queue_messages", engine="tesseract", lane="normal") == 1
        assert found.total("ocrqueue_queue_messages") == 2
        assert by_label(found, "ocrqueue_tenant_jobs", "tenant") == {"acme": 3, "": 8}
        assert 0 < found.total("ocrqueue_queue_oldest_age_seconds", engine="null", lane="high") < passed_s + 1
        assert found.total("ocrqueue_workers") == 0
        waits = json.loads(fetch(f"http://127.0.0.1:{port}/queues"))
        assert waits["null"] == {"high": 3, "normal": 0, "low": 0}
        assert waits["tesseract"] == {"high": 0, "normal": 9, "low": 0}, "what came by name wakes an engine too"
        assert waits["auto"]["normal"] == 1
        assert waits["keras"] == {"high": 0, "normal": 0, "low": 0}, "a scaler finds what it asks for"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    check_with_promtool(found.text)
