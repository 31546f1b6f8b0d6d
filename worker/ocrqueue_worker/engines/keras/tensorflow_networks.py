"""The networks on TensorFlow, as keras-ocr builds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from ocrqueue.errors import EngineModelInvalid, EngineOutOfMemory
from ocrqueue_worker.engines.keras.devices import Device
from ocrqueue_worker.engines.keras.manifest import LineRecognizerBuild, RecognizerPart
from ocrqueue_worker.engines.keras.models import Model
from ocrqueue_worker.engines.keras.networks import DEVIATION, MEAN, Maps, Networks, Pictures
from ocrqueue_worker.engines.keras.tensorflow_start import start_tensorflow
from ocrqueue_worker.engines.keras.torch_weights import state_tensors

_OUT_OF_MEMORY: Final = ("out of memory", "out_of_memory", "alloc_failed", "failed to alloc", "dst tensor is not init")
"""What CUDA's libraries say, in TensorFlow's InternalError and UnknownError."""


class TensorFlowNetworks(Networks):
    """One graph for each network, whatever shape comes."""

    def __init__(self, model: Model, device: Device, threads: int, *, bfloat16: bool = False) -> None:
        """`bfloat16`: compute the detector in it.

        Raises EngineUnavailable, EngineDeviceMissing, EngineModelInvalid: weights that do not fit the manifest.
        """
        self.device = str(device)
        self._tf = start_tensorflow(device, threads)
        detector, recognizer = _inference_networks(model, bfloat16)
        self.detection_graph, self.recognition_graph = _detection_graph(detector), _recognition_graph(recognizer)
        if device.gpu is not None:
            self.use_gpu(device.memory_mib)

    def text_maps(self, pages: Pictures) -> Maps:
        return self._run(self.detection_graph, pages)

    def character_probabilities(self, crops: Pictures) -> Maps:
        return self._run(self.recognition_graph, crops)

    def _run(self, network: Callable[[Any], Any], batch: Pictures) -> Maps:
        try:
            return np.asarray(network(batch).numpy(), np.float32)
        except self._tf.errors.ResourceExhaustedError as error:
            raise EngineOutOfMemory from error
        except self._tf.errors.OpError as error:
            said = str(error).lower()
            if any(words in said for words in _OUT_OF_MEMORY):
                raise EngineOutOfMemory from error
            raise


def _inference_networks(model: Model, bfloat16: bool) -> tuple[Any, Any]:
    from ocrqueue_worker.engines.keras.inference_models import fold_batch_normalization, in_bfloat16

    detector, recognizer = keras_networks(model)
    detector = fold_batch_normalization(detector)
    return in_bfloat16(detector) if bfloat16 else detector, recognizer


def keras_networks(model: Model) -> tuple[Any, Any]:
    """Detector and recogniser, with the model's weights. Raises EngineModelInvalid.

    TensorFlow has been started.
    """
    from ocrqueue_worker.engines.keras.architectures import build_detector

    manifest = model.manifest
    detector = build_detector(manifest.detector.backbone, manifest.detector.channel_divisor)
    recognizer = _recognizer(manifest.recognizer)
    _load_weights(detector, model.detector, "detector")
    _load_weights(recognizer, model.recognizer, "recognizer")
    return detector, recognizer


def _recognizer(part: RecognizerPart) -> Any:
    """As keras-ocr builds it, or one of lines; with random weights."""
    build = part.build
    if isinstance(build, LineRecognizerBuild):
        from ocrqueue_worker.engines.keras.line_recognizer import build_line_recognizer

        return build_line_recognizer(build.height, build.channels, build.units, len(part.alphabet))
    from keras_ocr.recognition import Recognizer

    return Recognizer(alphabet=part.alphabet, weights=None, build_params=build.model_dump()).model


def _detection_graph(detector: Any) -> Any:
    """A tf.function from n x H x W x 3 bytes to n x H/2 x W/2 x 2."""
    import tensorflow as tf

    mean, deviation = (255 * np.array(values, np.float32) for values in (MEAN, DEVIATION))

    def detect(pages: Any) -> Any:
        return tf.cast(detector((tf.cast(pages, tf.float32) - mean) / deviation, training=False), tf.float32)

    return tf.function(detect, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)], autograph=False)


def _recognition_graph(recognizer: Any) -> Any:
    """A tf.function from n x height x width x channels bytes to n x steps x (alphabet + 1)."""
    import tensorflow as tf

    def recognize(crops: Any) -> Any:
        return recognizer(tf.cast(crops, tf.float32) / 255, training=False)

    return tf.function(recognize, input_signature=[tf.TensorSpec(recognizer.input_shape, tf.uint8)], autograph=False)


def _load_weights(network: Any, path: Path, part: str) -> None:
    if path.suffix not in {".h5", ".hdf5", ".pth"}:
        # Keras takes a file of another name for a TensorFlow checkpoint
        raise EngineModelInvalid(f"{path.name} must be an HDF5 file named *.h5, or PyTorch's, named *.pth.")
    from ocrqueue_worker.engines.keras.torch_loading import set_torch_weights

    try:
        if path.suffix == ".pth":
            set_torch_weights(network, state_tensors(path))
        else:
            network.load_weights(path)
    except EngineModelInvalid:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise anything that h5py, NumPy or Keras know
        raise EngineModelInvalid(
            f"{path} does not fit the {part} that the manifest describes: {' '.join(str(error).split())[:300]}"
        ) from error
