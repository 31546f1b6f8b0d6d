"""The rapid engine in a real worker under its default limits: jobs from the queue to crops."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import Document, OcrQueue
from ocrqueue.errors import LanguageUnsupported
from ocrqueue.settings import load_worker_settings
from tests.support.accuracy import score_words
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, Worker, as_environment, worker

SAMPLES = Path(__file__).parents[2] / "samples"


@dataclass
class System:
    queue: OcrQueue
    rapid: Worker


@pytest.fixture(scope="module")
def system(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("rapid")
    (folder / "storage").mkdir()
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{folder}/storage",
        worker_heartbeat_s=1,
    )
    with worker(as_environment(settings), folder, "--engine", "rapid") as rapid, OcrQueue(settings) as queue:
        yield System(queue, rapid)


@pytest.fixture(scope="module")
def documents(system: System) -> dict[str, Document]:
    images = {name: SAMPLES / name for name in ("receipt.jpg", "street-sign.jpg")}
    jobs = {name: system.queue.submit(path, engine="rapid", crops="objects") for name, path in images.items()}
    # the largest page that the limits on images and the defaults let through takes most memory
    jobs["white"] = system.queue.submit(png(Image.new("L", (4000, 4000), 255)), engine="rapid")
    return {name: job.result(timeout=400) for name, job in jobs.items()}


def test_the_samples_are_read(documents: dict[str, Document]) -> None:
    for name in ("receipt", "street-sign"):
        true_text = (SAMPLES / f"{name}.txt").read_text("utf-8")
        assert score_words([(true_text, documents[f"{name}.jpg"].text)]).f1 >= 0.95
    assert documents["white"].text == ""


def test_every_word_has_polygon_scores_and_crop(documents: dict[str, Document]) -> None:
    words = list(documents["receipt.jpg"].words())
    assert len({word.id for word in words}) == len(words) >= 45
    for word in words:
        assert 0 < (word.confidence or 0) <= 1
        assert 0 < (word.detection_confidence or 0) <= 1
    for word in words[:10]:
        assert word.crop is not None
        width, height = word.crop.image().size
        assert abs(width - (word.bbox[2] - word.bbox[0])) <= 6
        assert abs(height - (word.bbox[3] - word.bbox[1])) <= 6


def test_the_document_says_how_it_came_about(documents: dict[str, Document], system: System) -> None:
    info = documents["receipt.jpg"].engine
    assert info.name == "rapid"
    assert info.model.startswith("PP-OCRv6 small ")
    assert info.version.startswith("3.")
    (announced,) = (offer for worker in system.queue.engines()["rapid"] for offer in worker.engines)
    assert {"eng", "jpn", "chi_sim"} <= set(announced.languages)


def test_a_worker_has_one_child_a_core_and_logs_only_json(documents: dict[str, Document], system: System) -> None:
    assert len(system.rapid.running_children()) == len(os.sched_getaffinity(0))
    # celery warns of root before the log is set up
    lines = list(dropwhile(lambda line: not line.startswith("{"), system.rapid.log.read_text().splitlines()))
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_a_language_beyond_its_characters_is_refused(system: System) -> None:
    with pytest.raises(LanguageUnsupported, match="kor"):
        system.queue.submit(png(text_picture("word")), engine="rapid", languages=["kor"]).result(timeout=100)
