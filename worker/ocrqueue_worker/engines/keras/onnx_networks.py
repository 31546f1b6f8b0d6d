"""The networks on ONNX Runtime, as `ocrqueue-worker keras export` converts them. Needs no TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ocrqueue.errors import EngineDeviceMissing, EngineModelInvalid, EngineUnavailable
from ocrqueue_worker.engines.keras.devices import Device
from ocrqueue_worker.engines.keras.models import Model
from ocrqueue_worker.engines.keras.networks import Maps, Networks, Pictures
from ocrqueue_worker.engines.keras.torch_weights import state_tensors
from ocrqueue_worker.engines.onnx_runtime import memory_errors, session_options


class OnnxNetworks(Networks):
    """Both networks as ONNX graphs, from bytes to maps."""

    def __init__(self, model: Model, device: Device, threads: int) -> None:
        """Raises EngineUnavailable, EngineDeviceMissing, EngineModelInvalid."""
        try:
            import onnxruntime
        except ImportError as error:
            raise EngineUnavailable(
                f"ONNX Runtime cannot be imported: {error}.",
                remedy="pip install 'ocrqueue-worker[keras-onnx]', or set OCRQUEUE_KERAS_RUNTIME=tensorflow.",
            ) from error
        cv2.setNumThreads(threads)
        self.device = str(device)
        # sessions may go on using the memory of what they are given
        self._weights = [_weights(onnxruntime, path) for path in model.tensors]
        self._detector = _session(onnxruntime, model.detector, self._weights[0], device, threads, rank=4)
        self._recognizer = _session(onnxruntime, model.recognizer, self._weights[1], device, threads, rank=3)
        if device.gpu is not None:
            self.use_gpu(device.memory_mib)

    def text_maps(self, pages: Pictures) -> Maps:
        return _run(self._detector, pages)

    def character_probabilities(self, crops: Pictures) -> Maps:
        return _run(self._recognizer, crops)


def _run(session: Any, batch: Pictures) -> Maps:
    with memory_errors():
        return np.asarray(session.run(None, {session.get_inputs()[0].name: batch})[0], np.float32)


def _weights(onnxruntime: Any, path: Path | None) -> dict[str, Any]:
    """The tensors of a file of PyTorch's, by name, as ONNX Runtime has them. Raises EngineModelInvalid."""
    if path is None:
        return {}
    return {name: onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for name, tensor in state_tensors(path).items()}


def _session(onnxruntime: Any, path: Path, weights: dict[str, Any], device: Device, threads: int, rank: int) -> Any:
    """`weights`: for tensors that the graph names and does not have."""
    options = session_options(onnxruntime, threads)
    if weights:
        options.add_external_initializers(list(weights), list(weights.values()))
    providers = ["CPUExecutionProvider"] if device.gpu is None else [_cuda(onnxruntime, device), "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's own have no common class but this
        raise EngineModelInvalid(
            f"{path} is not a model for ONNX Runtime: {' '.join(str(error).split())[:300]}"
        ) from error
    if device.gpu is not None and session.get_providers()[0] != "CUDAExecutionProvider":
        raise _no_cuda(device, "CUDA's libraries are missing")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if [(value.type, len(value.shape)) for value in (*inputs, *outputs)] != [
        ("tensor(uint8)", 4),
        ("tensor(float)", rank),
    ]:
        raise EngineModelInvalid(
            f"{path} does not turn pictures of bytes into maps.",
            remedy="Convert it with `ocrqueue-worker keras export`.",
        )
    return session


def _cuda(onnxruntime: Any, device: Device) -> tuple[str, dict[str, str]]:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise _no_cuda(device, "it is built without CUDA")
    os.environ["CUDA_VISIBLE_DEVICES"] = device.uuid
    if hasattr(onnxruntime, "preload_dlls"):
        # CUDA's libraries as pip installs them
        onnxruntime.preload_dlls()
    # to try all algorithms for each new shape takes longer than it saves
    return "CUDAExecutionProvider", {"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def _no_cuda(device: Device, why: str) -> EngineDeviceMissing:
    return EngineDeviceMissing(
        f"The driver lists {device}, but ONNX Runtime cannot use it: {why}.",
        remedy="Replace the package onnxruntime: pip install 'onnxruntime-gpu[cuda,cudnn]'. Or set "
        "OCRQUEUE_KERAS_DEVICE=cpu.",
    )
