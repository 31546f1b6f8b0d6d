"""Metrics: what is counted under which labels, and that they are named as Prometheus wants it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict

from ocrqueue.core import Registry
from ocrqueue.monitoring.exporter import collector_registry
from ocrqueue.monitoring.installation_metrics import METRICS as INSTALLATION_METRICS
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.lifecycle.metrics_server import GAUGES
from ocrqueue_worker.telemetry import metrics
from ocrqueue_worker.telemetry.metrics_files import CountedByProcesses
from tests.support.metrics import Scrape, check_with_promtool

COUNT = """
import sys
from pathlib import Path
from prometheus_client import CollectorRegistry, generate_latest
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import Job
from ocrqueue.core import Outcome, Start
from ocrqueue.job.route import Route, Step
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.telemetry import metrics

folder = Path(sys.argv[1])
settings = load_worker_settings(engine_page_cost="0,vision=150")
metrics.job_ended(Job(image="s3://b/k"), Outcome(job_id="1", state="failed"), 1)  # counts nothing yet
metrics.start(folder, settings, {"null", "vision"}, ["null"])


def job(engine, trail=(), mode="fallback", engines=("null", "vision")):
    route = Route(asked="null", mode=mode, engines=engines, reason="", trail=trail) if trail or mode != "none" else None
    return Job(image="s3://b/k", engine=engine, route=route)


plain = Job(image="s3://b/k", engine="null")
metrics.job_begun(plain, Start("run", 1, 2.0))
metrics.job_begun(plain, Start("run", 2, 2.0))
metrics.job_retried(plain, ErrorInfo(code="storage.unavailable", message=""))
metrics.job_ended(plain, Outcome(job_id="1", state="succeeded", pages=3, words=20), 2)
metrics.job_ended(plain, Outcome(job_id="1", state="succeeded", pages=3, words=20, cached=True), 1)
for number in range(100):
    hostile = Job(image="s3://b/k", engine=f"made-up-{number}")
    error = ErrorInfo(code=f"made.up_{number}", message="")
    metrics.job_ended(hostile, Outcome(job_id="1", state="failed", error=error), 0)
for step, mode in (
    (Step(engine="null", attempt=1), "fallback"),
    (Step(engine="null", attempt=1), "compare"),
    (Step(engine="null", error="engine.failed"), "fallback"),
):
    metrics.job_sent_on(plain, job("vision", (step,), mode), 2)
metrics.job_sent_on(job("null"), job("null"), 0)
metrics.image_fetched("null", 1000)
metrics.attempt_made("null", {"fetch_s": 0.02, "ocr_s": 0.3, "unheard_of_s": 1.0})
metrics.engine_loaded("null", 7.0)
metrics.service_asked("vision", 16, None)
metrics.service_asked("vision", 0, "engine.throttled")
metrics.child_started()

from ocrqueue_worker.telemetry.metrics_files import CountedByProcesses
registry = CollectorRegistry()
registry.register(CountedByProcesses(folder))
print(generate_latest(registry).decode())
metrics.close()
assert not folder.exists()
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Scrape:
    """In a process of its own: prometheus_client decides when it is imported where it counts."""
    folder = tmp_path_factory.mktemp("metrics")
    done = subprocess.run([sys.executable, "-c", COUNT, folder], check=True, capture_output=True, text=True)
    return Scrape(done.stdout)


def test_jobs_are_counted_by_how_they_ended(counted: Scrape) -> None:
    assert counted.total("ocrqueue_jobs_total", engine="null", state="succeeded", error="") == 2
    assert counted.total("ocrqueue_cache_hits_total", engine="null") == 1
    assert counted.total("ocrqueue_pages_total", engine="null") == 3 + 3 * 2, "one time each, where they were read"
    assert counted.total("ocrqueue_words_total", engine="null") == 20
    assert counted.total("ocrqueue_job_deliveries_sum", engine="null") == 3
    assert counted.total("ocrqueue_job_deliveries_count", engine="null") == 2
    assert counted.total("ocrqueue_job_retries_total", engine="null", error="storage.unavailable") == 1


def test_what_a_message_names_makes_no_series_of_its_own(counted: Scrape) -> None:
    assert counted.total("ocrqueue_jobs_total", engine="other", state="failed", error="other") == 100
    assert "made-up" not in counted.text
    assert "made.up" not in counted.text


def test_times_are_in_the_histograms_of_their_steps(counted: Scrape) -> None:
    assert counted.total("ocrqueue_queue_wait_seconds_sum", engine="null") == 2.0
    assert counted.total("ocrqueue_queue_wait_seconds_count", engine="null") == 1, "at the first start only"
    assert counted.total("ocrqueue_fetch_seconds_bucket", engine="null", le="0.025") == 1
    assert counted.total("ocrqueue_fetch_seconds_bucket", engine="null", le="0.01") == 0
    assert counted.total("ocrqueue_ocr_seconds_sum", engine="null") == 0.3
    assert counted.total("ocrqueue_engine_load_seconds_bucket", engine="null", le="10.0") == 1


def test_fallbacks_say_where_to_and_why(counted: Scrape) -> None:
    for reason, to in (
        ("confidence", "vision"),
        ("comparison", "vision"),
        ("engine.failed", "vision"),
        ("routing", "null"),
    ):
        assert counted.total("ocrqueue_job_fallbacks_total", engine="null", to=to, reason=reason) == 1


def test_what_a_service_costs_is_counted(counted: Scrape) -> None:
    assert counted.total("ocrqueue_service_requests_total", engine="vision", error="") == 1
    assert counted.total("ocrqueue_service_requests_total", engine="vision", error="engine.throttled") == 1
    assert counted.total("ocrqueue_service_billed_images_total", engine="vision") == 16
    assert counted.total("ocrqueue_service_billed_cost_total", engine="vision") == pytest.approx(0.024)


def test_every_declared_metric_is_served_and_named_well(counted: Scrape) -> None:
    assert counted.names() == {metric.name for metric in metrics.METRICS}
    check_with_promtool(counted.text)


def test_without_redis_there_is_up_and_nothing_else() -> None:
    registry = Registry(load_worker_settings(redis_url="redis://127.0.0.1:1/0", redis_timeout_s=0.3))
    text = generate_latest(collector_registry(registry)).decode()
    registry.close()
    assert Scrape(text).names() == {"ocrqueue_up"}
    assert Scrape(text).total("ocrqueue_up") == 0


def test_names_are_not_used_twice() -> None:
    names = [metric.name for metric in (*metrics.METRICS, *GAUGES, *INSTALLATION_METRICS)]
    assert len(set(names)) == len(names)


def test_files_of_processes_that_are_gone_become_one(tmp_path: Path) -> None:
    """And what they counted stays."""
    gone = [process_that_ended() for _ in range(3)]
    for process in (os.getpid(), *gone):
        file = MmapedDict(str(tmp_path / f"counter_{process}.db"))
        file.write_value('["ocrqueue_x", "ocrqueue_x_total", {}, "help"]', 5.0, 0.0)
        file.close()
    collector, registry = CountedByProcesses(tmp_path), CollectorRegistry()
    registry.register(collector)
    for _ in range(2):
        assert Scrape(generate_latest(registry).decode()).total("ocrqueue_x_total") == 20
        assert {path.name for path in tmp_path.glob("*")} == {f"counter_{os.getpid()}.db", "counter_gone.db"}
    late = process_that_ended()
    (tmp_path / f"counter_{os.getpid()}.db").rename(tmp_path / f"counter_{late}.db")
    collector.add_up()
    assert Scrape(generate_latest(registry).decode()).total("ocrqueue_x_total") == 20


def process_that_ended() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_a_file_that_a_process_has_just_made_is_no_error(tmp_path: Path) -> None:
    """A child is started while Prometheus asks, or was killed at that moment."""
    collector = CountedByProcesses(tmp_path)
    file = MmapedDict(str(tmp_path / "counter_1.db"))
    file.write_value('["jobs", "jobs_total", {}, "Jobs."]', 3.0, 0.0)
    file.close()
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    starting, left = tmp_path / f"counter_{os.getpid()}.db", tmp_path / f"counter_{gone.pid}.db"
    starting.touch()
    left.touch()
    assert [(metric.name, metric.samples[0].value) for metric in collector.collect()] == [("jobs", 3.0)]
    assert starting.exists()
    assert not left.exists()


def test_a_full_disk_turns_counting_off_and_ends_nothing(tmp_path: Path) -> None:
    code = """
import errno, os, sys
from pathlib import Path
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.telemetry import metrics
def full(*_): raise OSError(errno.ENOSPC, "No space left on device")
os.posix_fallocate = full
metrics.start(Path(sys.argv[1]), load_worker_settings(), {"null"}, ["null"])
metrics.engine_loaded("null", 1.0)
metrics.child_started()
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True, text=True)
    assert "no space for this process's metrics" in done.stdout
