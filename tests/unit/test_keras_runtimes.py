"""Which library computes a model, by what the machine has; and that a reading tells it."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from ocrqueue.document import EngineInfo
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.engines.keras import KerasEngine, runtimes
from ocrqueue_worker.engines.keras.devices import CPU, Device
from ocrqueue_worker.engines.keras.manifest import Manifest
from ocrqueue_worker.engines.keras.models import SHIPPED, read_manifest
from ocrqueue_worker.engines.keras.runtimes import chosen_runtime
from tests.support.keras_models import manifest, write_files, write_manifest

WIDE = read_manifest(SHIPPED / "english")
NARROW = read_manifest(SHIPPED / "small")
WITHOUT_ONNX = read_manifest(SHIPPED / "stock")


class Machine:
    """One with both libraries, whose CPU has no units for bfloat16."""

    packages: frozenset[str] = frozenset({"tensorflow", "onnxruntime"})
    gpus: tuple[Device, ...] = ()
    has_units: bool = False


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(runtimes, "find_spec", lambda name: ModuleSpec(name, None) if name in made.packages else None)
    monkeypatch.setattr(runtimes, "installed_gpus", lambda: made.gpus)
    monkeypatch.setattr(runtimes, "multiplies_bfloat16", lambda: made.has_units)
    return made


def chosen(model: Manifest, **settings: object) -> str:
    return chosen_runtime(load_worker_settings(**settings), model)


def test_on_a_cpu_without_bfloat16_it_is_onnx_runtime_for_wide_detectors(machine: Machine) -> None:
    assert (chosen(WIDE), chosen(NARROW), chosen(WITHOUT_ONNX)) == ("onnx", "tensorflow", "tensorflow")
    machine.has_units = True
    assert chosen(WIDE) == "tensorflow"
    exact = WIDE.model_copy(update={"detector": WIDE.detector.model_copy(update={"bfloat16": False})})
    assert chosen(exact) == "onnx"


def test_on_a_gpu_it_is_tensorflow(machine: Machine) -> None:
    machine.gpus = (Device(0, "GPU-1"),)
    assert chosen(WIDE) == chosen(WIDE, keras_device="gpu:0") == "tensorflow"
    assert chosen(WIDE, keras_device="cpu") == "onnx"


def test_it_is_the_one_that_is_installed(machine: Machine) -> None:
    machine.packages = frozenset({"onnxruntime"})
    assert (chosen(WIDE), chosen(NARROW), chosen(WITHOUT_ONNX)) == ("onnx", "onnx", "tensorflow")
    machine.packages = frozenset({"tensorflow"})
    assert (chosen(WIDE), chosen(NARROW)) == ("tensorflow", "tensorflow")


def test_what_the_setting_names_it_is(machine: Machine) -> None:
    machine.packages = frozenset()
    assert chosen(WIDE, keras_runtime="tensorflow") == "tensorflow"
    assert chosen(WITHOUT_ONNX, keras_runtime="onnx") == "onnx"


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    """Of a model that may be computed in bfloat16."""
    content = manifest(onnx=True)
    content["detector"] |= {"bfloat16": True}
    folder = write_manifest(tmp_path / "mine", content)
    write_files(folder, "detector.h5", "recognizer.h5", "detector.onnx", "recognizer.onnx")
    return load_worker_settings(keras_model=str(folder), keras_device="cpu")


def test_the_precision_is_part_of_what_a_reading_is_remembered_under(
    machine: Machine, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def info(runtime: str) -> EngineInfo:
        return KerasEngine(settings.model_copy(update={"keras_runtime": runtime})).info(("eng",))

    exact = info("tensorflow")
    machine.has_units = True
    rounded = info("tensorflow")
    assert rounded.version == exact.version.replace(")", ", the detector in bfloat16)")
    assert (rounded.model, rounded.device) == (exact.model, exact.device)
    # ONNX Runtime computes in float32 whatever the CPU has
    onnx = info("onnx")
    assert "onnxruntime" in onnx.version
    assert "bfloat16" not in onnx.version
    # and so does TensorFlow on a GPU
    engine = KerasEngine(settings.model_copy(update={"keras_runtime": "tensorflow"}))
    monkeypatch.setattr(engine, "_devices", (Device(0, "GPU-1"),))
    assert engine.info(("eng",)).version == exact.version
    assert engine._devices != (CPU,)
