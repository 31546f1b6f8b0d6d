"""The keras engine in this process, on both runtimes, against keras-ocr's own Pipeline with the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ocrqueue.document import Page, Word
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.keras import KerasEngine
from ocrqueue_worker.engines.keras.options import KerasOptions
from ocrqueue_worker.images.page import PageImage
from tests.support.page_makers import blurred_words, made_page

pytestmark = pytest.mark.filterwarnings("default")
"""TensorFlow and what keras-ocr builds on warn of their own future."""

Quad = NDArray[np.float32]


@pytest.fixture(scope="module")
def tensorflow_engine() -> KerasEngine:
    return loaded("tensorflow")


@pytest.fixture(scope="module", params=["tensorflow", "onnx"])
def engine(request: pytest.FixtureRequest) -> KerasEngine:
    if request.param == "tensorflow":
        tensorflow: KerasEngine = request.getfixturevalue("tensorflow_engine")
        return tensorflow
    return loaded("onnx")


def loaded(runtime: str) -> KerasEngine:
    made = KerasEngine(load_worker_settings(keras_runtime=runtime, keras_device="cpu"))
    made.load()
    return made


@pytest.fixture(scope="module")
def pipeline(tensorflow_engine: KerasEngine) -> Any:
    """keras-ocr's own, with the weights of the engine."""
    import keras_ocr

    from ocrqueue_worker.engines.keras.architectures import build_detector

    model = tensorflow_engine.model
    parts = model.manifest.detector, model.manifest.recognizer
    detector = keras_ocr.detection.Detector.__new__(keras_ocr.detection.Detector)
    detector.model = build_detector(parts[0].backbone, parts[0].channel_divisor)
    detector.model.load_weights(model.detector)
    recognizer = keras_ocr.recognition.Recognizer(
        alphabet=parts[1].alphabet, weights=None, build_params=parts[1].build.model_dump()
    )
    recognizer.model.load_weights(model.recognizer)
    return keras_ocr.pipeline.Pipeline(detector=detector, recognizer=recognizer)


def read(engine: KerasEngine, images: Sequence[Image.Image], **options: Any) -> list[Page]:
    pages = [PageImage(number, image) for number, image in enumerate(images, 1)]
    results = engine.recognize(pages, Reading(("eng",), KerasOptions(**options)))
    assert all(isinstance(result, Page) for result in results), results
    return [result for result in results if isinstance(result, Page)]


def test_words_and_boxes_are_those_of_keras_ocr(engine: KerasEngine, pipeline: Any) -> None:
    random = Random(20)
    images = [made_page(random, (random.randint(200, 700), random.randint(150, 500)))[0] for _ in range(20)]
    same = total = 0
    for image, page in zip(images, read(engine, images), strict=True):
        stock = pipeline.recognize([np.asarray(image)], {"verbose": 0}, {"verbose": 0})[0]
        stock = [(text, box) for text, box in stock if text]
        words = list(page.words())
        total += max(len(stock), len(words))
        for text, box in stock:
            nearest = min(words, key=lambda word: distance(word, box))
            same += nearest.text == text and distance(nearest, box) <= 2
    assert total > 300
    assert same / total >= 0.99


def distance(word: Word, box: Quad) -> float:
    """The largest distance in pixels between a corner of one quadrilateral and the nearest one of the other."""
    corners = np.array(word.polygon)
    gaps = np.linalg.norm(corners[:, None] - box[None], axis=2)
    return float(max(gaps.min(axis=0).max(), gaps.min(axis=1).max()))


def test_pages_read_together_are_read_as_one_by_one(tensorflow_engine: KerasEngine) -> None:
    random = Random(4)
    images = [made_page(random, size)[0] for size in ((320, 240), (500, 90), (320, 240), (64, 300))]
    together = read(tensorflow_engine, images)
    for image, page in zip(images, together, strict=True):
        (alone,) = read(tensorflow_engine, [image])
        assert page.text == alone.text


def test_confidence_falls_with_accuracy(tensorflow_engine: KerasEngine) -> None:
    """200 words with rising blur, in 20 steps: where fewer are read right, the mean confidence is lower."""
    words = blurred_words(200, most_px=4)
    pages = read(tensorflow_engine, [image for _, _, image in words])
    confidences, accuracies = [], []
    for start in range(0, 200, 10):
        step = list(zip(words[start : start + 10], pages[start : start + 10], strict=True))
        accuracies.append(sum(page.text.casefold() == true.casefold() for (true, _, _), page in step) / 10)
        known = [word.confidence or 0.0 for _, page in step for word in page.words()]
        confidences.append(sum(known) / len(known) if known else 0.0)
    assert accuracies[0] >= 0.9
    assert accuracies[-1] <= 0.3
    assert rank_correlation(confidences, accuracies) >= 0.6


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's, ties sharing their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)


@pytest.mark.parametrize("picture", ["L", "white", "black", "noise", "narrow", "tall"])
def test_pictures_without_words_or_of_odd_shapes_are_pages_too(tensorflow_engine: KerasEngine, picture: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 130, 3), np.uint8)
    images = {
        "L": Image.new("L", (50, 40), 128),
        "white": Image.new("RGB", (300, 200), "white"),
        "black": Image.new("RGB", (300, 200), "black"),
        "noise": Image.fromarray(noise),
        "narrow": Image.new("RGB", (3, 900), "white"),
        "tall": Image.new("RGB", (9000, 3), "white"),
    }
    (page,) = read(tensorflow_engine, [images[picture]])
    assert (page.width, page.height) == images[picture].size
    assert page.layout == "inferred"


def test_the_scale_is_the_users(tensorflow_engine: KerasEngine) -> None:
    image, words = made_page(Random(9), (400, 300), text_px=36)
    (large,) = read(tensorflow_engine, [image], scale=1)
    found = {word.text.casefold() for word in large.words()}
    assert len(found & {word.text.casefold() for word in words}) >= 0.6 * len({word.text.casefold() for word in words})
    (none,) = read(tensorflow_engine, [image], detection_threshold=0.999)
    assert len(list(none.words())) < len(list(large.words()))
