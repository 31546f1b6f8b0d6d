"""The rapid engine's networks on OpenVINO, against the same on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ocrqueue.document import Page
from ocrqueue.errors import EngineModelInvalid
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.rapid import RapidEngine, runtimes
from ocrqueue_worker.engines.rapid.models import find_models
from ocrqueue_worker.images.page import PageImage
from tests.support.accuracy import score_words
from tests.support.documentation import ROOT

RECEIPT = ROOT / "samples" / "receipt.jpg"


def read(runtime: str) -> Page:
    engine = RapidEngine(load_worker_settings(rapid_runtime=runtime))
    engine.load()
    with Image.open(RECEIPT) as image:
        pages = [PageImage(1, image.convert("RGB"))]
    (page,) = engine.recognize(pages, Reading(("eng",), engine.parse_options({})))
    assert isinstance(page, Page)
    return page


def test_in_float32_both_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "multiplies_bfloat16", lambda: False)
    first, second = read("onnxruntime"), read("openvino")
    assert second.text == first.text
    for one, other in zip(first.words(), second.words(), strict=True):
        assert max(abs(a - b) for a, b in zip(one.bbox, other.bbox, strict=True)) <= 1
        assert (one.confidence or 0) == pytest.approx(other.confidence or 0, abs=0.01)


def test_as_precisely_as_this_cpu_computes_fast_next_to_all_words_are_the_same() -> None:
    assert score_words([(read("onnxruntime").text, read("openvino").text)]).f1 >= 0.95


def test_an_output_stands_when_the_next_is_computed() -> None:
    network = runtimes.openvino_network(find_models().detector, 1)
    chance = np.random.default_rng(1)
    batches = [chance.random((1, 3, 64, 32 * width), np.float32) for width in (2, 2, 3)]
    outputs = [network(batch) for batch in batches]
    assert [output.shape for output in outputs] == [(1, 1, 64, 64), (1, 1, 64, 64), (1, 1, 64, 96)]
    assert np.array_equal(outputs[0], network(batches[0]))
    assert not np.array_equal(outputs[0], outputs[1])


@pytest.mark.parametrize("runtime", ["onnx_session", "openvino_network"])
@pytest.mark.parametrize("content", [b"", b"no model", bytes(1000)])
def test_what_is_no_model_is_an_error(runtime: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(EngineModelInvalid, match=r"model\.onnx is not a model for"):
        getattr(runtimes, runtime)(tmp_path / "model.onnx", 1)
