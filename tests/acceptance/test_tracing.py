"""One trace from submission to result, as a collector gets it from the command line and a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.gates import PLUGINS
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import RedisServer, as_environment, environment, wait_until, worker
from tests.support.traces import Collector, SpanTaken, collector

HELLO = png(text_picture("Hello 42"))
PAGES = tiff(text_picture("one"), text_picture("two"))
STEPS = {"fetch", "decode", "recognise", "crop", "upload"}


@dataclass(frozen=True)
class Place:
    queue: OcrQueue
    collector: Collector
    given: dict[str, object]

    def submit(self, data: bytes, *arguments: str) -> str:
        """By the command line, which sends its spans when it ends; returns the job's id."""
        image = self.queue.storage.put("inputs/image", data, "application/octet-stream")
        done = subprocess.run(
            [sys.executable, "-m", "ocrqueue.cli", "submit", "--json", "-e", "null", *arguments, image],
            env=environment(self.given),
            check=True,
            capture_output=True,
            text=True,
        )
        job_id: str = json.loads(done.stdout)["id"]
        self.queue.job(job_id).wait(60)
        return job_id

    def read_together(self, engine: str, count: int) -> list[str]:
        """So many jobs of one submission, of which none is taken before all wait."""
        image = self.queue.storage.put("inputs/hello.png", HELLO, "image/png")
        command = [sys.executable, "-m", "ocrqueue.cli", "submit", "-e", engine, "--crops", "none", *[image] * count]
        self.queue.pause(engine=engine)
        done = subprocess.run(command, env=environment(self.given), check=True, capture_output=True, text=True)
        self.queue.resume(engine=engine)
        ids = done.stdout.split()
        for job_id in ids:
            self.queue.job(job_id).wait(60)
        return ids

    def trace_of(self, job_id: str, attempts: int = 1) -> list[SpanTaken]:
        """The spans of the job's trace, once its attempts are told."""

        def own() -> list[SpanTaken]:
            return [span for span in self.collector.named("recognize") if span.of_job(job_id)]

        def is_sent() -> bool:
            return len(own()) >= attempts and own()[0].parent in {span.id for span in self.collector.named("submit")}

        wait_until(is_sent, 60, "the trace is sent")
        trace = own()[0].trace
        return [span for span in list(self.collector.spans) if span.trace == trace]


@pytest.fixture(scope="module")
def place(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tracing")
    (folder / "storage").mkdir()
    settings = load_worker_settings(
        redis_url=redis.url, key_prefix="traced:", storage=f"file://{folder}/storage", worker_heartbeat_s=1
    )
    given = as_environment(settings) | {"tracing": "otlp", "retry_backoff_s": 0.1, "retry_limit": 1}
    given["engines"] = "null,batched"
    with collector() as taken, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", taken.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        # however slow the machine
        patch.setenv("SHORT_JOBS_S", "100")
        patch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        with OcrQueue(settings) as queue, worker(given, folder, "--engine", "null", "--engine", "batched", "-c", "1"):
            yield Place(queue, taken, given)


def test_one_trace_from_submission_to_result(place: Place) -> None:
    job_id = place.submit(PAGES, "-o", "delay_s=0.1", "-o", "words=2")
    spans = place.trace_of(job_id)
    by_name = {span.name: span for span in spans}
    submit, recognize, wait = by_name["submit"], by_name["recognize"], by_name["wait in queue"]
    assert set(by_name) == {"submit", "wait in queue", "recognize"} | STEPS
    assert (submit.service, recognize.service) == ("ocrqueue", "ocrqueue-worker")
    assert (submit.kind, recognize.kind) == (4, 5), "producer and consumer"
    assert (submit.parent, recognize.parent, wait.parent) == ("", submit.id, submit.id)
    assert {span.parent for span in spans if span.name in STEPS} == {recognize.id}
    assert all(span.attributes["ocrqueue.job.id"] == job_id for span in spans if span.name in STEPS)
    assert sum(span.name == "recognise" for span in spans) == 2, "one a page"
    steps_s = sum(span.end_s - span.begin_s for span in spans if span.name in STEPS)
    assert by_name["recognise"].end_s - by_name["recognise"].begin_s >= 0.1
    assert steps_s <= recognize.end_s - recognize.begin_s, "one after the other"
    assert wait.end_s <= recognize.begin_s + 0.01
    assert all(recognize.begin_s - 0.05 <= span.begin_s <= recognize.end_s for span in spans if span.name in STEPS)
    status = place.queue.job(job_id).status()
    assert wait.end_s - wait.begin_s == pytest.approx(status.timings.queue_wait_s, abs=0.005)
    assert recognize.attributes["ocrqueue.attempt"] == 1
    (ended,) = recognize.events
    assert (ended["ocrqueue.state"], ended["ocrqueue.pages"], ended["ocrqueue.words"]) == ("succeeded", 2, 4)
    assert recognize.error == ""
    assert not any("inputs/image" in str(span) for span in spans), "references can hold a secret"


def test_a_retry_is_in_the_trace_of_its_submission(place: Place) -> None:
    job_id = place.submit(HELLO, "-o", "fault=retryable")
    attempts = sorted(
        (span for span in place.trace_of(job_id, attempts=2) if span.name == "recognize"), key=lambda span: span.begin_s
    )
    assert [span.attributes["ocrqueue.attempt"] for span in attempts] == [1, 2]
    (submit,) = [span for span in place.trace_of(job_id, attempts=2) if span.name == "submit"]
    assert [span.parent for span in attempts] == [submit.id] * 2
    assert [span.error for span in attempts] == ["source.unavailable"] * 2


@pytest.mark.parametrize(("engine", "count"), [("batched", 2), ("null", 8)])
def test_jobs_that_are_read_together_have_a_span_each(place: Place, engine: str, count: int) -> None:
    if engine == "null":
        # until its worker knows them as short
        for _ in range(2):
            place.read_together(engine, 16)
    ids = place.read_together(engine, count)
    for job_id in ids:
        spans = place.trace_of(job_id)
        (recognize,) = [span for span in spans if span.name == "recognize" and span.of_job(job_id)]
        (submit,) = [span for span in spans if span.name == "submit"]
        assert recognize.parent == submit.id
        assert recognize.attributes["messaging.batch.message_count"] == count
        assert [event["ocrqueue.state"] for event in recognize.events] == ["succeeded"]
        steps = [span for span in spans if span.name in STEPS and span.of_job(job_id)]
        assert {span.parent for span in steps} == {recognize.id}
        assert {"fetch", "decode", "recognise"} < {span.name for span in steps}


def test_without_a_collector_jobs_are_done_all_the_same(
    settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    given = as_environment(settings) | {"tracing": "otlp"}
    with OcrQueue(settings) as queue, worker(given, tmp_path, "--engine", "null", "-c", "1"):
        assert queue.submit(HELLO, engine="null").wait(60).state == "succeeded"
