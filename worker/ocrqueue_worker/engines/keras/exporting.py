"""A model with ONNX files, made of one without, and checked against TensorFlow."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ocrqueue.errors import EngineModelInvalid, EngineUnavailable
from ocrqueue_worker.engines.cpu_threads import threads_of_child
from ocrqueue_worker.engines.keras.devices import CPU
from ocrqueue_worker.engines.keras.manifest import Manifest, ModelFile
from ocrqueue_worker.engines.keras.models import MANIFEST, Model
from ocrqueue_worker.engines.keras.networks import Pictures
from ocrqueue_worker.engines.keras.tensorflow_start import start_tensorflow

OPSET: Final = 17
"""Version of ONNX's operators: any ONNX Runtime since 1.12 computes them."""

LARGEST_DIFFERENCE: Final = 1e-4
"""Of a value of a map, or of a probability, to TensorFlow's. Rounding alone makes 5e-6."""

_PAGE_SIZES: Final = ((1, 64, 64), (1, 96, 224), (2, 160, 128), (1, 320, 480))
"""Pages, height, width."""
_CROPS: Final = (1, 3, 16)


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest absolute difference between ONNX Runtime and TensorFlow."""

    detector: float
    recognizer: float


def export_model(model: Model, folder: Path) -> Parity:
    """Write a model directory to `folder`: the weights and the manifest of `model`, and both networks as ONNX.

    `folder` must not exist, or be empty; it is there when all of it is. Takes a minute for keras-ocr's own networks.
    Raises EngineUnavailable, and EngineModelInvalid where the two runtimes differ by more than LARGEST_DIFFERENCE.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise EngineModelInvalid(f"{folder} is not empty.", remedy="Name a folder that does not exist yet.")
    partial = folder.absolute().with_name(f".{folder.absolute().name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        parity = _export(model, partial)
        partial.rename(folder)
    except OSError as error:
        raise EngineModelInvalid(
            f"{folder} cannot be written: {error.strerror or error}.", remedy="Name a folder on a disk with space."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return parity


def _export(model: Model, folder: Path) -> Parity:
    convert = _converter()
    from ocrqueue_worker.engines.keras.onnx_networks import OnnxNetworks
    from ocrqueue_worker.engines.keras.tensorflow_networks import TensorFlowNetworks

    threads = threads_of_child(0, children=1)
    reference = TensorFlowNetworks(model, CPU, threads)
    detector, recognizer = folder / "detector.onnx", folder / "recognizer.onnx"
    convert(reference.detection_graph, detector)
    convert(reference.recognition_graph, recognizer)
    converted = OnnxNetworks(
        Model(model.manifest, folder, "onnx", detector=detector, recognizer=recognizer), CPU, threads
    )
    parity = Parity(
        _difference(reference.text_maps, converted.text_maps, [_page(*size) for size in _PAGE_SIZES]),
        _difference(
            reference.character_probabilities,
            converted.character_probabilities,
            [_crops(model.manifest, number) for number in _CROPS],
        ),
    )
    for part, difference in (("detector", parity.detector), ("recogniser", parity.recognizer)):
        if not difference <= LARGEST_DIFFERENCE:  # NaN is no better
            raise EngineModelInvalid(
                f"As ONNX the {part} of {model.manifest.name} differs from TensorFlow by {difference:.1e}.",
                remedy="Use it with OCRQUEUE_KERAS_RUNTIME=tensorflow, or another version of tf2onnx.",
            )
    for file, path in model.files:
        shutil.copyfile(path, folder / file.file)
    manifest = _manifest_with(model.manifest, detector, recognizer)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2, exclude_none=True) + "\n", "utf-8")
    return parity


def _converter() -> Callable[[Any, Path], None]:
    """From a tf.function to an ONNX file."""
    # tf2onnx imports TensorFlow, which wants to be prepared
    start_tensorflow(CPU, threads_of_child(0, children=1))
    try:
        import tf2onnx
    except ImportError as error:
        raise EngineUnavailable(
            f"tf2onnx cannot be imported: {error}.", remedy="pip install 'ocrqueue-worker[keras-export]'."
        ) from error

    def convert(graph: Any, path: Path) -> None:
        tf2onnx.convert.from_function(graph, input_signature=graph.input_signature, opset=OPSET, output_path=str(path))

    return convert


def _difference(
    reference: Callable[[Pictures], NDArray[np.float32]],
    converted: Callable[[Pictures], NDArray[np.float32]],
    inputs: list[Pictures],
) -> float:
    """The largest, NaN included."""
    return float(np.max([np.abs(reference(pictures) - converted(pictures)).max() for pictures in inputs]))


def _page(number: int, height: int, width: int) -> Pictures:
    """Words on paper with some noise."""
    pages = np.random.default_rng(1).integers(200, 256, (number, height, width, 3), np.uint8)
    for page in pages:
        for y in range(20, height, 40):
            cv2.putText(page, "Words to 5ead", (4, y), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (30, 20, 60), 2)
    return pages


def _crops(manifest: Manifest, number: int) -> Pictures:
    build = manifest.recognizer.build
    crops = np.random.default_rng(1).integers(180, 256, (number, build.height, build.width, 3), np.uint8)
    for crop, word in zip(crops, ("word", "Another", "12.50") * number, strict=False):
        cv2.putText(crop, word, (4, build.height - 8), cv2.FONT_HERSHEY_SIMPLEX, build.height / 40, (30, 20, 60), 2)
    return crops if build.color else crops[..., :1].copy()


def _manifest_with(manifest: Manifest, detector: Path, recognizer: Path) -> Manifest:
    return manifest.model_copy(
        update={
            "detector": manifest.detector.model_copy(update={"onnx": _described(detector)}),
            "recognizer": manifest.recognizer.model_copy(update={"onnx": _described(recognizer)}),
        }
    )


def _described(path: Path) -> ModelFile:
    with path.open("rb") as content:
        return ModelFile(file=path.name, sha256=hashlib.file_digest(content, "sha256").hexdigest())
