"""Vision workers as an operator starts them, against a server that speaks Google's protocol and counts requests."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.cloud.vision import AnnotateImageRequest
from PIL import Image, ImageDraw

from ocrqueue import OcrQueue
from ocrqueue.client import SubmittedJob
from ocrqueue.core import Registry
from ocrqueue.core.billing import billed_pages
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.engines.vision.rate_limit import Pace
from tests.support.google_vision.answers import SAMPLES, fingerprint
from tests.support.google_vision.server import THROTTLED, GoogleVision, google_vision
from tests.support.pdfs import PdfPage, pdf_of, text_at
from tests.support.pictures import png
from tests.support.processes import RedisServer, as_environment, environment, wait_until, worker
from tests.support.servers import answer, http_server


@dataclass
class System:
    settings: WorkerSettings
    vision: GoogleVision
    queue: OcrQueue
    folder: Path

    def submit(self, image: Image.Image) -> SubmittedJob:
        return self.queue.submit(png(image), engine="vision", crops="none")

    def billed(self) -> int:
        registry = Registry(self.settings)
        try:
            return billed_pages(registry, "vision")
        finally:
            registry.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, redis: RedisServer, folder: Path, **settings: Any) -> System:
    (folder / "storage").mkdir()
    vision = stack.enter_context(google_vision())
    made = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{folder}/storage",
        worker_heartbeat_s=1,
        vision_endpoint=vision.endpoint,
        **settings,
    )
    return System(made, vision, stack.enter_context(OcrQueue(made)), folder)


def pictures(number: int) -> list[Image.Image]:
    """None like another."""
    made = []
    for each in range(number):
        image = Image.new("L", (160, 50), 255)
        ImageDraw.Draw(image).text((10, 20), f"picture {each}", fill=0)
        made.append(image)
    return made


def first_word(job: SubmittedJob) -> str:
    return next(job.result().words()).text


def test_208_images_under_60_requests_a_minute_with_throttling(
    stack: ExitStack, redis: RedisServer, tmp_path: Path
) -> None:
    """And then 16 together, of which Google refuses one."""
    system = start(stack, redis, tmp_path, vision_requests_per_minute=60, vision_gather_s=5)
    system.vision.refuses = lambda number: THROTTLED if number in (3, 11) else None
    images = pictures(225)
    # all of them are there when the worker is: how fast they come is not its doing
    jobs = [system.submit(image) for image in images[:208]]
    stack.enter_context(worker(as_environment(system.settings), tmp_path, "--engine", "vision"))
    statuses = [job.wait(200) for job in jobs]
    assert [status.state for status in statuses] == ["succeeded"] * 208
    assert [first_word(job) for job in jobs] == [f"x{fingerprint(image)}" for image in images[:208]]
    throttled = len(system.vision.asked) - len(system.vision.answered)
    assert throttled / len(system.vision.asked) >= 0.1
    assert len(system.vision.answered) <= 208 / 15
    assert system.vision.most_in(60) <= 60
    # nor was the burst spent that would break the limit in a longer run
    assert system.vision.most_in(5) <= Pace.of(60).size + Pace.of(60).tokens_per_s * (5 + 2)
    # none was asked for twice by the system: the engine itself got over the throttling
    assert {status.attempts for status in statuses} == {1}
    assert system.billed() == 208

    width = 161
    images[208] = Image.new("L", (width, 50), 255)
    ImageDraw.Draw(images[208]).text((10, 20), "refuse me", fill=0)

    def refuse(request: AnnotateImageRequest) -> tuple[int, str] | None:
        return (3, "Bad image data.") if request.image.content[16:20] == width.to_bytes(4, "big") else None

    system.vision.refuses_image = refuse
    before = len(system.vision.asked)
    # all of them are there when the first is taken
    system.queue.pause(engine="vision")
    jobs = [system.submit(image) for image in images[208:224]]
    system.queue.resume(engine="vision")
    refused, *others = [job.wait(60) for job in jobs]
    assert [status.state for status in others] == ["succeeded"] * 15
    assert refused.state == "failed"
    assert refused.error is not None
    assert refused.error.code == "engine.image_refused"
    assert [asked.images for asked in system.vision.asked[before:]] == [16]
    assert system.billed() == 223


@pytest.mark.all
def test_each_of_500_pages_is_billed_once_though_google_throttles_at_random(
    stack: ExitStack, redis: RedisServer, tmp_path: Path
) -> None:
    system = start(stack, redis, tmp_path, vision_requests_per_minute=6000)
    chance = random.Random(500)
    system.vision.refuses = lambda number: THROTTLED if chance.random() < 0.2 else None
    pages = (PdfPage(text_at(20, 40, f"Page {number}"), size=(200, 80)) for number in range(500))
    for number in (1, 2):
        stack.enter_context(worker(as_environment(system.settings), tmp_path, "--engine", "vision", "-n", f"w{number}"))
    job = system.queue.submit(pdf_of(*pages), engine="vision", crops="none", dpi=72)
    assert job.wait(500).state == "succeeded"
    document = job.result()
    assert [page.number for page in document.pages] == list(range(1, 501))
    assert len({next(page.words()).text for page in document.pages}) == 500, "each page has its own text"
    assert any(asked.refused for asked in system.vision.asked)
    assert sum(asked.images for asked in system.vision.answered) == 500
    assert system.billed() == 500


def test_two_workers_stay_under_one_limit_and_one_hands_over(
    stack: ExitStack, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = (SAMPLES / "street-sign.jpg").read_bytes()
    storage = stack.enter_context(http_server({"/storage/v1/b/scans/o/sign.jpg": answer(200, sign)}))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{storage.port}")
    limits = {"vision_requests_per_minute": 480, "vision_gather_s": 0, "vision_batch_size": 1}
    system = start(stack, redis, tmp_path, **limits, shutdown_grace_s=1)
    arguments = as_environment(system.settings), tmp_path, "--engine", "vision", "--concurrency", "4"
    workers = {started.pid: started for started in (stack.enter_context(worker(*arguments)) for _ in range(2))}
    jobs = [system.submit(image) for image in pictures(24)]
    statuses = [job.wait(60) for job in jobs]
    assert {status.state for status in statuses} == {"succeeded"}
    assert len({status.worker for status in statuses}) == 2
    assert len(system.vision.asked) == 24
    times = sorted(asked.at for asked in system.vision.asked)
    # what a single bucket takes for so many, the first one at once; two would take half of it
    whole = 23 / Pace.of(480).tokens_per_s
    assert 0.85 * whole <= times[-1] - times[0]

    # Google fetches what it can fetch itself, and the workers do where there are to be crops
    text = (SAMPLES / "street-sign.txt").read_text().strip()
    system.vision.objects["gs://scans/sign.jpg"] = sign
    referred = system.queue.submit("gs://scans/sign.jpg", engine="vision", crops="none").result(timeout=60)
    assert (referred.text, storage.exchanges) == (text, [])
    fetched = system.queue.submit("gs://scans/sign.jpg", engine="vision", crops="objects").result(timeout=60)
    assert (fetched.text, len(storage.exchanges)) == (text, 1)
    assert all(word.crop is not None for word in fetched.words())

    # a worker that is told to end while Google stalls gives its job to the other
    system.vision.stall_s = 100
    job = system.submit(Image.effect_noise((160, 50), 60))
    wait_until(lambda: len(system.vision.asked) == 27, 60, "the request is under way")
    system.vision.stall_s = 0
    held_by = job.status().worker
    # after a moment without the processor a worker is not among those that live, until its next heartbeat
    wait_until(lambda: len(system.queue.engines()["vision"]) == 2, 60, "both workers are there")
    pids = {info.name: info.pid for info in system.queue.engines()["vision"]}
    leaving = workers[pids[held_by or ""]]
    leaving.process.send_signal(signal.SIGTERM)
    asked_at = time.monotonic()
    leaving.process.wait(90)
    assert time.monotonic() - asked_at < 40, "it does not wait for Google"
    status = job.wait(60)
    assert (status.state, status.attempts) == ("succeeded", 2)
    assert status.worker != held_by


def test_a_worker_without_credentials_refuses_to_start_and_says_why(tmp_path: Path) -> None:
    outside = environment({}) | {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}
    outside.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
    done = subprocess.run(
        [sys.executable, "-m", "ocrqueue_worker", "--engine", "vision"],
        env=outside,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: engine.access_denied")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in done.stderr
