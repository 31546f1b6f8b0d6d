"""The keras engine in real workers: jobs from the queue to crops, a killed child, neighbours, missing weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import Document, Job, JobStatus, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.document.formats.overlay import draw_overlay
from ocrqueue.errors import LanguageUnsupported
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.engines.keras.models import SHIPPED
from tests.support.accuracy import overlap
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, Worker, as_environment, environment, wait_until, worker

SAMPLES = Path(__file__).parents[2] / "samples"
PAGE = SAMPLES / "english-page.png"


@dataclass
class System:
    settings: WorkerSettings
    queue: OcrQueue
    keras: Worker
    tesseract: Worker


@pytest.fixture(scope="module")
def system(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A worker of each engine. TensorFlow takes long to load: one worker for all tests here."""
    folder = tmp_path_factory.mktemp("keras")
    (folder / "storage").mkdir()
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{folder}/storage",
        worker_heartbeat_s=1,
    )
    with ExitStack() as stack:
        queue = stack.enter_context(OcrQueue(settings))
        tesseract = stack.enter_context(worker(as_environment(settings), folder, "--engine", "tesseract", "-c", "1"))
        keras = stack.enter_context(worker(as_environment(settings), folder, "--engine", "keras"))
        yield System(settings, queue, keras, tesseract)


@pytest.fixture(scope="module")
def page(system: System) -> Document:
    """A clean printed page as the engine read it."""
    return system.queue.submit(PAGE, engine="keras", crops="objects").result(timeout=400)


def test_clean_print_is_found_and_read(page: Document) -> None:
    true = json.loads(PAGE.with_suffix(".json").read_text())["words"]
    read = list(page.words())
    found = right = 0
    for word in true:
        best = max(read, key=lambda candidate: overlap(candidate.polygon, word["polygon"]))
        if overlap(best.polygon, word["polygon"]) >= 0.5:
            found += 1
            right += best.text.casefold() == word["text"].casefold()
    assert found / len(true) >= 0.9
    assert right / found >= 0.9


def test_the_document_says_how_it_came_about(page: Document, system: System) -> None:
    assert page.engine.name == "keras"
    assert page.engine.model.startswith("small 1 ")
    assert page.engine.device == "cpu"
    assert [p.layout for p in page.pages] == ["inferred"]
    assert [p.text_case for p in page.pages] == ["kept"]
    assert system.queue.job(page.job_id).status().device == "cpu"
    (keras,) = (offer for info in system.queue.engines()["keras"] for offer in info.engines)
    assert (keras.device, keras.languages) == ("cpu", ("eng",))


def test_lines_are_in_reading_order(page: Document) -> None:
    assert page.text.splitlines()[0].casefold().startswith("the clock above")
    true = PAGE.with_suffix(".txt").read_text().casefold().split()
    read = page.text.casefold().split()
    places = [true.index(word) for word in read if true.count(word) == 1]
    in_order = sum(one < other for one, other in pairwise(places))
    assert in_order / (len(places) - 1) > 0.97


def test_every_word_has_a_crop_and_the_page_an_overlay(page: Document, tmp_path: Path) -> None:
    words = list(page.words())
    assert all(0 <= (word.confidence or -1) <= 1 and 0 <= (word.detection_confidence or -1) <= 1 for word in words)
    for word in words[:20]:
        assert word.crop is not None
        left, top, right, bottom = word.bbox
        width, height = word.crop.image().size
        assert abs(width - (right - left)) <= 6
        assert abs(height - (bottom - top)) <= 6
    with Image.open(PAGE) as image:
        overlay = draw_overlay(page, image, 1)
    assert overlay.size[0] == 2 * image.width
    colours = overlay.crop((0, 0, *image.size)).getcolors(maxcolors=1 << 24)
    assert colours is not None
    assert sum(count for count, (red, green, _) in colours if green > red + 60) > 5_000


def test_engines_have_queues_and_workers_of_their_own(system: System) -> None:
    one = system.queue.submit(png(text_picture("harbour")), engine="keras")
    other = system.queue.submit(png(text_picture("harbour")), engine="tesseract")
    assert one.result(200).text.casefold() == other.result(200).text.casefold() == "harbour"
    statuses = [job.status() for job in (one, other)]
    assert [status.queue for status in statuses] == ["ocr.keras", "ocr.tesseract"]
    assert statuses[0].worker != statuses[1].worker


def test_a_killed_child_loads_again_and_reads_the_next_job(system: System) -> None:
    (child,) = system.keras.running_children()
    os.kill(child, signal.SIGKILL)
    job = system.queue.submit(png(text_picture("replaced")), engine="keras")
    beside = system.queue.submit(png(text_picture("undisturbed")), engine="tesseract")
    assert beside.result(200).text == "undisturbed"
    assert job.result(400).text.casefold() == "replaced"
    assert job.status().attempts == 1
    assert len(system.keras.running_children()) == 1


def test_a_language_that_the_model_does_not_name_is_refused(system: System) -> None:
    (announced,) = (offer for info in system.queue.engines()["keras"] for offer in info.engines)
    assert announced.fixed_languages
    with pytest.raises(LanguageUnsupported, match="keras reads eng, and not 'kor'"):
        system.queue.submit(PAGE, engine="keras", languages=["kor"])
    # what nobody has checked, the worker refuses
    unchecked = Job(image="file:///nowhere.png", engine="keras", languages=("kor",))
    (job_id,) = registry_of(system.queue).submit([unchecked])
    status = system.queue.job(job_id).wait(200)
    assert status.error is not None
    assert status.error.code == "language.unsupported"
    assert "eng" in status.error.message


def refused(settings: WorkerSettings, **changes: object) -> str:
    """What a worker that does not start says."""
    started = subprocess.run(
        [sys.executable, "-m", "ocrqueue_worker", "--engine", "keras"],
        env=environment(as_environment(settings) | changes),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert started.returncode == 2, started
    return started.stderr


def test_without_weights_a_worker_says_how_to_mount_them(settings: WorkerSettings, tmp_path: Path) -> None:
    said = refused(settings, keras_model="stock", keras_weights_dir=tmp_path)
    assert "engine.weights_missing" in said
    assert "ocrqueue-worker keras fetch stock" in said
    assert "OCRQUEUE_KERAS_WEIGHTS_DIR" in said
    assert "Traceback" not in said
    status = failed(settings, tmp_path, keras_model="stock", keras_weights_dir=tmp_path)
    assert status.error is not None
    assert status.error.code == "engine.weights_missing"
    assert "ocrqueue-worker keras fetch stock" in status.error.remedy


def test_a_gpu_that_is_not_there_is_refused(settings: WorkerSettings) -> None:
    said = refused(settings, keras_device="gpu:7")
    assert "engine.device_missing" in said
    assert "Traceback" not in said


def test_corrupt_weights_are_never_read_with(settings: WorkerSettings, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(SHIPPED / "small", model)
    damaged = bytearray((model / "recognizer.h5").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (model / "recognizer.h5").write_bytes(damaged)
    assert "engine.weights_corrupt" in refused(settings, keras_model=model)
    status = failed(settings, tmp_path, keras_model=str(model))
    assert status.error is not None
    assert status.error.code == "engine.weights_corrupt"
    assert "recognizer.h5" in status.error.message


def failed(settings: WorkerSettings, folder: Path, **changes: object) -> JobStatus:
    """A job on a worker of plain Celery, which starts whether its engine works or not."""
    arguments = ("-A", "ocrqueue_worker.app", "worker", "-Q", "ocr.keras,ocr.null", "-c", "1")
    environment = as_environment(settings) | {"worker_heartbeat_s": 0.5, "lost_after_s": 2} | changes
    with worker(environment, folder, *arguments, command=("-m", "celery")) as broken, OcrQueue(settings) as queue:
        status = queue.submit(png(text_picture("hello")), engine="keras").wait(200)
        assert queue.submit(png(text_picture("hello")), engine="null").wait(200).state == "succeeded"
        assert broken.alive()
    return status


def test_killing_the_keras_worker_leaves_tesseracts_queue_alone(system: System) -> None:
    """The last test: the worker is not started again."""
    os.killpg(system.keras.pid, signal.SIGKILL)
    system.keras.process.wait()
    waiting = system.queue.submit(png(text_picture("waits")), engine="keras")
    assert system.queue.submit(png(text_picture("goes on")), engine="tesseract").result(200).text == "goes on"
    assert waiting.status().state == "queued"
    wait_until(lambda: not system.queue.engines()["keras"], 100, "the killed worker counts as gone")
