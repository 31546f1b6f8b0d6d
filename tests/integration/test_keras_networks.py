"""The networks on TensorFlow and on ONNX Runtime against keras-ocr's own, with weights of no meaning.

TensorFlow takes ten seconds to import: what needs it stands in few files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ocrqueue.errors import EngineDeviceMissing, EngineModelInvalid, EngineOutOfMemory, EngineUnavailable
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.keras import exporting
from ocrqueue_worker.engines.keras.devices import CPU, Device
from ocrqueue_worker.engines.keras.exporting import export_model
from ocrqueue_worker.engines.keras.loading import make_networks
from ocrqueue_worker.engines.keras.manifest import RecognizerBuild
from ocrqueue_worker.engines.keras.models import Model, find_model
from ocrqueue_worker.engines.keras.networks import Networks, Pictures
from ocrqueue_worker.engines.keras.onnx_networks import OnnxNetworks
from ocrqueue_worker.engines.keras.page_sizes import enlarge
from ocrqueue_worker.engines.keras.tensorflow_networks import TensorFlowNetworks, keras_networks
from ocrqueue_worker.engines.keras.tensorflow_start import start_tensorflow
from ocrqueue_worker.limits.memory_limit import data_limit

pytestmark = pytest.mark.filterwarnings("default")
"""TensorFlow and what keras-ocr builds on warn of their own future."""

GPU = Device(gpu=0, uuid="GPU-1", name="NVIDIA L4")
BUILD: dict[str, Any] = {"height": 31, "width": 64, "filters": [8, 8, 8, 8, 8, 8, 8], "rnn_units": [8, 8], "stn": True}
PAGE_SHAPES = [(1, 64, 64, 3), (2, 61, 93, 3), (1, 32, 47, 3), (3, 120, 40, 3)]
SIZES = ((50, 71, 2.0, 2048), (333, 217, 2.0, 500), (101, 67, 0.7, 2048), (9, 400, 3.0, 900))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Random weights, and statistics for batch normalisation that are not those of a new network."""
    folder = tmp_path_factory.mktemp("model")
    tf = start_tensorflow(CPU, 1)
    from keras_ocr.recognition import Recognizer

    from ocrqueue_worker.engines.keras.architectures import build_detector

    tf.keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    networks = {
        "detector": build_detector("vgg", 32),
        "recognizer": Recognizer(
            alphabet="abc",
            weights=None,
            build_params=RecognizerBuild(**BUILD).model_dump(),
        ).model,
    }
    parts: dict[str, Any] = {}
    for name, network in networks.items():
        for layer in network.layers:
            if isinstance(layer, tf.keras.layers.BatchNormalization):
                layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        network.save_weights(folder / f"{name}.h5")
        digest = hashlib.sha256((folder / f"{name}.h5").read_bytes()).hexdigest()
        parts[name] = {"weights": {"file": f"{name}.h5", "sha256": digest}}
    parts["detector"]["channel_divisor"] = 32
    parts["recognizer"] |= {"alphabet": "abc", "build": BUILD}
    manifest = {"name": "made", "version": "1", "licence": "Apache-2.0", "languages": ["eng"], **parts}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return find_model(load_worker_settings(keras_model=str(folder)))


@pytest.fixture(scope="module")
def tensorflow(model: Model) -> TensorFlowNetworks:
    return TensorFlowNetworks(model, CPU, 1)


@pytest.fixture(scope="module")
def exported(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    parity = export_model(model, folder)
    assert 0 < parity.detector < 1e-5
    assert 0 < parity.recognizer < 1e-5
    return find_model(load_worker_settings(keras_model=str(folder), keras_runtime="onnx"))


def pictures(*shape: int) -> Pictures:
    return np.random.default_rng(2).integers(0, 256, shape, np.uint8)


def largest_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    assert one.shape == other.shape
    assert one.dtype == other.dtype == np.float32
    return float(np.abs(one - other).max())


# --- against keras-ocr --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["tensorflow", "onnx"])
def test_maps_and_probabilities_are_those_of_keras_ocr(
    model: Model, runtime: str, request: pytest.FixtureRequest
) -> None:
    from keras_ocr.detection import compute_input

    detector, recognizer = keras_networks(model)
    networks: Networks = (
        request.getfixturevalue("tensorflow")
        if runtime == "tensorflow"
        else OnnxNetworks(request.getfixturevalue("exported"), CPU, 1)
    )
    spread = 0.0
    for shape in PAGE_SHAPES:
        pages = pictures(*shape)
        stock = detector.predict(np.array([compute_input(page) for page in pages]), verbose=0)
        assert stock.shape == (shape[0], shape[1] // 2, shape[2] // 2, 2)
        spread = max(spread, float(np.ptp(stock)))
        assert largest_difference(networks.text_maps(pages), stock) < 1e-5 * spread
    for number in (1, 5):
        crops = pictures(number, 31, 64, 1)
        stock = recognizer.predict(crops.astype(np.float32) / 255, verbose=0)
        assert largest_difference(networks.character_probabilities(crops), stock) < 1e-5


def test_pages_are_enlarged_to_the_pixels_that_keras_ocr_has() -> None:
    from keras_ocr.tools import resize_image

    for height, width, scale, largest in SIZES:
        page = pictures(height, width, 3)
        stock, stock_scale = resize_image(page, scale, largest)
        made = enlarge(page, scale, largest)
        assert made.scale == stock_scale
        assert np.array_equal(made.pixels, stock)


def test_one_graph_serves_all_shapes(tensorflow: TensorFlowNetworks) -> None:
    for height in range(40, 60):
        tensorflow.text_maps(pictures(1 + height % 3, height, 100 - height, 3))
        tensorflow.character_probabilities(pictures(height, 31, 64, 1))
    assert tensorflow.detection_graph.experimental_get_tracing_count() == 1
    assert tensorflow.recognition_graph.experimental_get_tracing_count() == 1


def with_weights(model: Model, folder: Path, name: str, content: bytes) -> Model:
    """The model with another detector."""
    path = folder / name
    path.write_bytes(content)
    return Model(model.manifest, folder, model.runtime, path, model.recognizer)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(200), b"<html>not found</html>"])
def test_weights_that_are_no_hdf5_are_refused(model: Model, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(EngineModelInvalid, match="does not fit the detector"):
        keras_networks(with_weights(model, tmp_path, "detector.h5", content))


def test_weights_cut_short_or_of_another_network_are_refused(model: Model, tmp_path: Path) -> None:
    whole = model.detector.read_bytes()
    for content in (whole[: len(whole) // 2], model.recognizer.read_bytes()):
        with pytest.raises(EngineModelInvalid, match="does not fit the detector"):
            keras_networks(with_weights(model, tmp_path, "detector.h5", content))


def test_weights_must_be_named_as_hdf5(model: Model, tmp_path: Path) -> None:
    with pytest.raises(EngineModelInvalid, match=r"named \*\.h5"):
        keras_networks(with_weights(model, tmp_path, "detector.bin", model.detector.read_bytes()))


def test_weights_of_other_channels_are_refused(model: Model) -> None:
    wider = model.manifest.detector.model_copy(update={"channel_divisor": 16})
    other = Model(
        model.manifest.model_copy(update={"detector": wider}),
        model.folder,
        "tensorflow",
        model.detector,
        model.recognizer,
    )
    with pytest.raises(EngineModelInvalid, match="does not fit the detector"):
        keras_networks(other)


def test_weights_that_compute_no_numbers_are_refused(model: Model, tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "detector.h5"
    shutil.copyfile(model.detector, path)
    with h5py.File(path, "r+") as weights:
        weights["conv_cls.8/conv_cls.8/bias:0"][:] = np.nan
    broken = Model(model.manifest, tmp_path, "tensorflow", path, model.recognizer)
    with pytest.raises(EngineModelInvalid, match="does not compute text and link maps"):
        make_networks(broken, load_worker_settings(), CPU)


def test_a_gpu_that_only_the_driver_sees_names_the_package(model: Model, exported: Model) -> None:
    with pytest.raises(EngineDeviceMissing, match=r"gpu:0 NVIDIA L4.*ocrqueue-worker\[keras-gpu\]"):
        TensorFlowNetworks(model, GPU, 1)
    with pytest.raises(EngineDeviceMissing, match=r"gpu:0 NVIDIA L4.*onnxruntime-gpu"):
        OnnxNetworks(exported, GPU, 1)


def test_memory_that_runs_out_is_told_from_other_failures(model: Model) -> None:
    networks = TensorFlowNetworks(model, CPU, 1)
    errors = start_tensorflow(CPU, 1).errors

    def fails(error: Exception) -> None:
        def graph(_: Any) -> Any:
            raise error

        networks.detection_graph = graph
        networks.text_maps(pictures(1, 32, 32, 3))

    for error in (
        errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[1,64,2048,2048]"),
        errors.InternalError(None, None, "Failed call to cudaMalloc: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        errors.InternalError(None, None, "Dst tensor is not initialized."),
    ):
        with pytest.raises(EngineOutOfMemory):
            fails(error)
    with pytest.raises(errors.InternalError):
        fails(errors.InternalError(None, None, "CUDNN_STATUS_EXECUTION_FAILED"))


# --- ONNX ---------------------------------------------------------------------------------------------------------


def test_onnx_needs_no_tensorflow(exported: Model) -> None:
    """And loads within the time that TensorFlow alone takes to be imported."""
    script = """
import sys
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.keras.devices import CPU
from ocrqueue_worker.engines.keras.loading import make_networks
from ocrqueue_worker.engines.keras.manifest import RecognizerBuild
from ocrqueue_worker.engines.keras.models import find_model
settings = load_worker_settings(keras_model=sys.argv[1], keras_runtime="onnx")
networks = make_networks(find_model(settings), settings, CPU)
heavy = {"tensorflow", "keras_ocr", "tf_keras", "imgaug", "scipy"} & set(sys.modules)
print(networks.device, sorted(heavy))
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(exported.folder)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "cpu []\n"), run.stderr


def test_an_exported_model_is_whole(model: Model, exported: Model) -> None:
    assert sorted(path.name for path in exported.folder.iterdir()) == [
        "detector.h5", "detector.onnx", "manifest.json", "recognizer.h5", "recognizer.onnx"
    ]  # fmt: skip
    assert list(exported.folder.parent.iterdir()) == [exported.folder]
    assert find_model(load_worker_settings(keras_model=str(exported.folder))).manifest == exported.manifest
    for part in ("detector", "recognizer"):
        assert (exported.folder / f"{part}.h5").read_bytes() == (model.folder / f"{part}.h5").read_bytes()
    for file, path in exported.files:
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_conversion_that_computes_something_else_leaves_nothing(
    model: Model, exported: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the conversion itself takes seconds
    monkeypatch.setattr(
        exporting, "_converter", lambda: lambda graph, path: shutil.copyfile(exported.folder / path.name, path)
    )
    monkeypatch.setattr(exporting, "LARGEST_DIFFERENCE", 0.0)
    with pytest.raises(EngineModelInvalid, match="detector of made differs from TensorFlow by"):
        export_model(model, tmp_path / "bad")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_has_something_or_cannot_be_made_is_refused(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineModelInvalid, match="is not empty"):
        export_model(model, tmp_path)
    with pytest.raises(EngineModelInvalid, match="cannot be written"):
        export_model(model, tmp_path / "file" / "under")


def test_without_tf2onnx_the_remedy_is_the_extra(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(EngineUnavailable, match=r"ocrqueue-worker\[keras-export\]"):
        export_model(model, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_such_onnx_are_refused(exported: Model, tmp_path: Path) -> None:
    with pytest.raises(EngineModelInvalid, match="is not a model for ONNX Runtime"):
        OnnxNetworks(with_weights(exported, tmp_path, "detector.onnx", b"no protobuf"), CPU, 1)
    with pytest.raises(EngineModelInvalid, match="does not turn pictures"):
        OnnxNetworks(with_weights(exported, tmp_path, "detector.onnx", exported.recognizer.read_bytes()), CPU, 1)
    twice = Model(exported.manifest, exported.folder, "onnx", exported.detector, exported.detector)
    with pytest.raises(EngineModelInvalid, match="does not turn pictures"):
        OnnxNetworks(twice, CPU, 1)


def test_without_onnx_runtime_the_remedy_is_the_extra(exported: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineUnavailable, match=r"ocrqueue-worker\[keras-onnx\]"):
        OnnxNetworks(exported, CPU, 1)


def test_onnx_without_memory_is_an_error_and_goes_on(exported: Model) -> None:
    networks = OnnxNetworks(exported, CPU, 1)
    with data_limit(60), pytest.raises((EngineOutOfMemory, MemoryError)):
        networks.text_maps(pictures(1, 2000, 2000, 3))
    assert networks.text_maps(pictures(1, 64, 64, 3)).shape == (1, 32, 32, 2)
