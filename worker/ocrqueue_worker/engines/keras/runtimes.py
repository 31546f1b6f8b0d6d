"""Which library computes the networks of a model here, and how precisely. Neither is imported for that."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.bfloat16 import multiplies_bfloat16
from ocrqueue_worker.engines.keras.devices import installed_gpus
from ocrqueue_worker.engines.keras.manifest import Manifest

Runtime = Literal["tensorflow", "onnx"]


def chosen_runtime(settings: WorkerSettings, manifest: Manifest) -> Runtime:
    """What OCRQUEUE_KERAS_RUNTIME names, or, of `auto`, what takes less time.

    That is TensorFlow on a GPU, for narrow detectors, and for those that it computes in bfloat16. Of two runtimes of
    which one cannot be had, it is the other.
    """
    if settings.keras_runtime != "auto":
        return settings.keras_runtime
    if not manifest.has_onnx or find_spec("onnxruntime") is None:
        return "tensorflow"
    return "onnx" if find_spec("tensorflow") is None or onnx_is_faster(settings, manifest) else "tensorflow"


def onnx_is_faster(settings: WorkerSettings, manifest: Manifest) -> bool:
    """Whether ONNX Runtime takes less time than TensorFlow here, if the model has ONNX files."""
    if manifest.detector.channel_divisor != 1 or bfloat16_is_faster(manifest):
        return False
    return settings.keras_device == "cpu" or (settings.keras_device == "auto" and not installed_gpus())


def bfloat16_is_faster(manifest: Manifest) -> bool:
    """Whether TensorFlow computes the detector in bfloat16 on this machine's CPU."""
    return manifest.detector.bfloat16 and multiplies_bfloat16()
