"""The model `english`: its weights come by way of pip, compute what they compute in PyTorch, and read."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from structlog.testing import capture_logs
from training.english.__main__ import write

from ocrqueue.document import Page, Word
from ocrqueue.errors import EngineModelInvalid, EngineWeightsMissing
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.keras import KerasEngine, loading, runtimes
from ocrqueue_worker.engines.keras.devices import CPU
from ocrqueue_worker.engines.keras.fetching import fetch_model
from ocrqueue_worker.engines.keras.models import MANIFEST, SHIPPED, Model, find_model
from ocrqueue_worker.engines.keras.networks import Networks
from ocrqueue_worker.engines.keras.onnx_networks import OnnxNetworks
from ocrqueue_worker.engines.keras.options import KerasOptions
from ocrqueue_worker.engines.keras.tensorflow_networks import TensorFlowNetworks
from ocrqueue_worker.engines.keras.text_boxes import find_boxes
from ocrqueue_worker.images.page import PageImage

pytestmark = pytest.mark.filterwarnings("default")
"""TensorFlow and what keras-ocr builds on warn of their own future."""

PARITY = Path(__file__).parent.parent / "support/english_parity.npz"
"""What PyTorch 2.14 computes with EasyOCR 1.7.2's classes: maps of `page`, logits of `crop`, the blank first."""
WITHIN = 1e-4
WITHIN_BFLOAT16 = 0.1
"""Of maps from 0 to 1."""
MOST_PX = 4
"""By which a corner may move: two pixels of a map."""
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


@pytest.fixture(scope="module", params=["tensorflow", "onnx"])
def engine(request: pytest.FixtureRequest, settings: WorkerSettings) -> Iterator[KerasEngine]:
    made = KerasEngine(settings.model_copy(update={"keras_runtime": request.param}))
    made.check()
    made.load()
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(settings: WorkerSettings) -> Model:
    """For TensorFlow."""
    return find_model(settings.model_copy(update={"keras_runtime": "tensorflow"}))


@pytest.fixture(scope="module")
def networks(model: Model) -> Networks:
    """In float32, whatever the CPU has."""
    return TensorFlowNetworks(model, CPU, 1)


@pytest.fixture(scope="module")
def onnx_networks(settings: WorkerSettings) -> Networks:
    return OnnxNetworks(find_model(settings.model_copy(update={"keras_runtime": "onnx"})), CPU, 1)


@pytest.mark.parametrize("runtime", ["networks", "onnx_networks"])
def test_both_networks_compute_what_they_compute_in_pytorch(runtime: str, request: pytest.FixtureRequest) -> None:
    networks: Networks = request.getfixturevalue(runtime)
    stored = np.load(PARITY)
    assert np.abs(networks.text_maps(stored["page"]) - stored["maps"]).max() < WITHIN
    logits = stored["logits"] - stored["logits"].max(axis=2, keepdims=True)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    blank_last = np.roll(softmax, -1, axis=2)
    assert np.abs(networks.character_probabilities(stored["crop"]) - blank_last).max() < WITHIN


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 33, 47), (3, 65, 130), (1, 40, 611), (2, 305, 71)])
def test_onnx_runtime_computes_the_same_in_pictures_of_any_size(
    shape: tuple[int, int, int], networks: Networks, onnx_networks: Networks
) -> None:
    pages = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    exact = networks.text_maps(pages)
    assert exact.shape == (shape[0], shape[1] // 2, shape[2] // 2, 2)
    assert np.abs(onnx_networks.text_maps(pages) - exact).max() < WITHIN
    crops = np.random.default_rng(2).integers(0, 256, (shape[0], 64, shape[2] + 1, 1), np.uint8)
    exact = networks.character_probabilities(crops)
    assert np.abs(onnx_networks.character_probabilities(crops) - exact).max() < WITHIN


def test_the_graphs_are_those_that_the_program_writes(tmp_path: Path) -> None:
    shutil.copyfile(SHIPPED / "english" / MANIFEST, tmp_path / MANIFEST)
    write(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (SHIPPED / "english" / path.name).read_bytes(), path.name


def test_in_bfloat16_the_detector_finds_the_same_words(model: Model, networks: Networks) -> None:
    image = Image.new("RGB", (320, 96), "white")
    ImageDraw.Draw(image).text((20, 30), "Total amount 105.00", "black", ImageFont.truetype(FONT, 24))
    page = np.asarray(image)[None]
    bfloat16 = TensorFlowNetworks(model, CPU, 1, bfloat16=True)
    exact, rounded = networks.text_maps(page)[0], bfloat16.text_maps(page)[0]
    # it has 8 bits for what float32 has 24 for
    assert 1e-4 < np.abs(rounded - exact).max() < WITHIN_BFLOAT16
    # "105." and "00" fall apart in both
    assert len(find_boxes(exact)) == len(find_boxes(rounded)) == 4
    assert np.abs(find_boxes(rounded).quads - find_boxes(exact).quads).max() <= MOST_PX


@pytest.mark.parametrize("has_units", [True, False])
def test_the_detector_is_computed_in_bfloat16_where_the_cpu_has_units_for_it(
    model: Model, settings: WorkerSettings, networks: Networks, monkeypatch: pytest.MonkeyPatch, *, has_units: bool
) -> None:
    monkeypatch.setattr(runtimes, "multiplies_bfloat16", lambda: has_units)
    page = np.load(PARITY)["page"]
    with capture_logs() as logs:
        maps = loading.make_networks(model, settings, CPU).text_maps(page)
    hints = [log["remedy"] for log in logs if "ONNX Runtime would take less time" in log["event"]]
    assert hints == ([] if has_units else ["pip install 'onnxruntime>=1.20,<2'"])
    assert bool(np.abs(maps - networks.text_maps(page)).max() > 1e-4) is has_units


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


def test_weights_of_another_network_are_refused(model: Model) -> None:
    from ocrqueue_worker.engines.keras.tensorflow_networks import keras_networks

    swapped = type(model)(model.manifest, model.folder, model.runtime, model.recognizer, model.detector)
    with pytest.raises(EngineModelInvalid, match=r"does not fit the detector .* there is no tensor basenet"):
        keras_networks(swapped)
