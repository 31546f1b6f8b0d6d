"""The networks of a model on the runtime and the device that the settings name."""

from __future__ import annotations

import numpy as np
import structlog

from ocrqueue.errors import EngineModelInvalid
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.cpu_threads import children_of_worker, threads_of_child
from ocrqueue_worker.engines.keras.devices import Device
from ocrqueue_worker.engines.keras.models import Model
from ocrqueue_worker.engines.keras.networks import Networks
from ocrqueue_worker.engines.keras.runtimes import onnx_is_faster

_log = structlog.get_logger(__name__)


def make_networks(model: Model, settings: WorkerSettings, device: Device, children: int = 1) -> Networks:
    """Loaded and warm: their first call is not slower than others. In worker children only.

    The worker has at least so many `children`, who share the cores. Raises EngineUnavailable, EngineDeviceMissing,
    EngineModelInvalid.
    """
    threads = threads_of_child(settings.keras_threads, max(children, children_of_worker()))
    if model.runtime == "tensorflow" and settings.keras_runtime == "auto" and onnx_is_faster(settings, model.manifest):
        _log.info("ONNX Runtime would take less time on this CPU", remedy=_remedy(model))
    networks = _loaded(model, device, threads)
    _warm_up(networks, model)
    return networks


def _loaded(model: Model, device: Device, threads: int) -> Networks:
    if model.runtime == "onnx":
        from ocrqueue_worker.engines.keras.onnx_networks import OnnxNetworks

        return OnnxNetworks(model, device, threads)
    from ocrqueue_worker.engines.keras.tensorflow_networks import TensorFlowNetworks

    return TensorFlowNetworks(model, device, threads, bfloat16=model.detects_in_bfloat16(device))


def _remedy(model: Model) -> str:
    if model.manifest.has_onnx:
        # not the extra keras-onnx: it has another package of OpenCV, which writes into the folder of that of keras
        return "pip install 'onnxruntime>=1.20,<2'"
    return "ocrqueue-worker keras export; see docs/keras-models.md"


def _warm_up(networks: Networks, model: Model) -> None:
    """Raises EngineModelInvalid where the networks compute something else than the manifest says."""
    recognizer = model.manifest.recognizer
    build = recognizer.build
    maps = networks.text_maps(np.full((1, 64, 96, 3), 255, np.uint8))
    steps = networks.character_probabilities(
        np.zeros((1, build.height, build.width, 3 if build.color else 1), np.uint8)
    )
    if maps.shape != (1, 32, 48, 2) or not np.isfinite(maps).all():
        raise EngineModelInvalid(f"The detector of {model.manifest.name} does not compute text and link maps.")
    if steps.ndim != 3 or steps.shape[2] != len(recognizer.alphabet) + 1 or not np.isfinite(steps).all():
        raise EngineModelInvalid(
            f"The recogniser of {model.manifest.name} computes no probabilities of {len(recognizer.alphabet)} "
            "characters and the blank."
        )
