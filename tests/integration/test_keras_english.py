"""The model `english`: its weights come by way of pip, compute what they compute in PyTorch, and read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Page, Word
from ocrqueue.errors import EngineModelInvalid, EngineWeightsMissing
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.keras import KerasEngine
from ocrqueue_worker.engines.keras.fetching import fetch_model
from ocrqueue_worker.engines.keras.models import find_model
from ocrqueue_worker.engines.keras.networks import Networks
from ocrqueue_worker.engines.keras.options import KerasOptions
from ocrqueue_worker.images.page import PageImage

pytestmark = pytest.mark.filterwarnings("default")
"""TensorFlow and what keras-ocr builds on warn of their own future."""

PARITY = Path(__file__).parent.parent / "support/english_parity.npz"
"""What PyTorch 2.14 computes with EasyOCR 1.7.2's classes: maps of `page`, logits of `crop`, the blank first."""
WITHIN = 1e-4
FONT = "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"


@pytest.fixture(scope="module")
def settings() -> WorkerSettings:
    """With the weights, which stay beside the packages for the next run."""
    found = load_worker_settings(
        keras_model="english", keras_weights_dir=Path(sys.prefix) / "keras-weights", keras_device="cpu"
    )
    try:
        files = [fetched.path.name for fetched in fetch_model(found)]
    except EngineWeightsMissing as error:
        pytest.skip(f"the weights cannot be had: {error.message}")
    assert files == ["craft_mlt_25k.pth", "english_g2.pth"]
    return found


@pytest.fixture(scope="module")
def engine(settings: WorkerSettings) -> Iterator[KerasEngine]:
    made = KerasEngine(settings)
    made.check()
    made.load()
    yield made
    made.close()


@pytest.fixture(scope="module")
def networks(engine: KerasEngine) -> Networks:
    return engine._loaded


def test_both_networks_compute_what_they_compute_in_pytorch(networks: Networks) -> None:
    stored = np.load(PARITY)
    assert np.abs(networks.text_maps(stored["page"]) - stored["maps"]).max() < WITHIN
    logits = stored["logits"] - stored["logits"].max(axis=2, keepdims=True)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    blank_last = np.roll(softmax, -1, axis=2)
    assert np.abs(networks.character_probabilities(stored["crop"]) - blank_last).max() < WITHIN


def test_lines_become_words_at_their_places(engine: KerasEngine) -> None:
    image = Image.new("RGB", (520, 150), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, 26)
    truth = {"Total": (20, 20), "amount:": (95, 20), "12.50": (400, 20), "Thank": (20, 90), "you": (110, 90)}
    for text, place in truth.items():
        draw.text(place, text, "black", font)
    (page,) = engine.recognize([PageImage(1, image)], Reading(("eng",), KerasOptions()))
    assert isinstance(page, Page)
    words = {word.text: word for word in page.words()}
    assert set(words) == set(truth)
    assert page.text.split() == list(truth)
    assert page.text_case == "kept"
    for text, place in truth.items():
        assert_at(words[text], draw.textbbox(place, text, font))
        assert (words[text].confidence or 0) > 0.3


def assert_at(word: Word, box: tuple[float, float, float, float]) -> None:
    """Left and right at the ink within 3 pixels; above and below the detector's boxes have some paper."""
    left, top, right, bottom = box
    x, y = [x for x, _ in word.polygon], [y for _, y in word.polygon]
    assert (min(x), max(x)) == pytest.approx((left, right), abs=3), word.text
    assert min(y) <= top + 3
    assert max(y) >= bottom - 3


def test_a_page_without_words_is_a_page(engine: KerasEngine) -> None:
    pages = [PageImage(1, Image.new("RGB", (200, 100), "white")), PageImage(2, Image.new("L", (40, 300), 0))]
    results = engine.recognize(pages, Reading(("eng",), KerasOptions()))
    assert [page.text for page in results if isinstance(page, Page)] == ["", ""]


def test_weights_of_another_network_are_refused(settings: WorkerSettings) -> None:
    from ocrqueue_worker.engines.keras.tensorflow_networks import keras_networks

    model = find_model(settings)
    swapped = type(model)(model.manifest, model.folder, model.runtime, model.recognizer, model.detector)
    with pytest.raises(EngineModelInvalid, match=r"does not fit the detector .* there is no tensor basenet"):
        keras_networks(swapped)
