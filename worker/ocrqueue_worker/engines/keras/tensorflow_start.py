"""All that has to be said to TensorFlow before it is imported, and importing it. In worker children only."""

from __future__ import annotations

import os
import sys
from typing import Any

from ocrqueue.errors import EngineDeviceMissing, EngineUnavailable
from ocrqueue_worker.engines.keras.devices import Device


def start_tensorflow(device: Device, threads: int) -> Any:
    """The module `tensorflow`, with Keras 2, on this device alone and with so many threads.

    The first call in a process decides on device and threads. Raises EngineUnavailable where TensorFlow cannot be
    imported, EngineDeviceMissing where it does not see the GPU.
    """
    if "tensorflow" not in sys.modules:
        _prepare(device, threads)
    try:
        import cv2
        import tensorflow as tf

        keras = tf.keras.Model.__module__.partition(".")[0]
    except ImportError as error:
        raise EngineUnavailable(
            f"TensorFlow cannot be imported: {error}.",
            remedy="pip install 'ocrqueue-worker[keras]'; see docs/engines.md.",
        ) from error
    if keras != "tf_keras":
        raise EngineUnavailable(
            "keras-ocr needs Keras 2, and TensorFlow was imported with Keras 3.",
            remedy="Import nothing in the worker that imports TensorFlow, or set TF_USE_LEGACY_KERAS=1 for it.",
        )
    # OpenCV counts the machine's cores, not the container's: https://github.com/faustomorales/keras-ocr/issues/55
    cv2.setNumThreads(threads)
    tf.get_logger().setLevel("ERROR")
    if device.gpu is not None and not tf.config.list_physical_devices("GPU"):
        raise EngineDeviceMissing(
            f"The driver lists {device}, but TensorFlow cannot use it: it is built without CUDA, or CUDA's libraries "
            "are missing.",
            remedy="pip install 'ocrqueue-worker[keras-gpu]', or set OCRQUEUE_KERAS_DEVICE=cpu.",
        )
    return tf


def _prepare(device: Device, threads: int) -> None:
    """https://www.tensorflow.org/guide/gpu; TF_NUM_* are read when TensorFlow makes its thread pools."""
    os.environ.update(
        TF_USE_LEGACY_KERAS="1",
        TF_FORCE_GPU_ALLOW_GROWTH="true",
        # by UUID: CUDA numbers GPUs by speed, nvidia-smi by place
        CUDA_VISIBLE_DEVICES="-1" if device.gpu is None else device.uuid,
        TF_NUM_INTRAOP_THREADS=str(threads),
        # both networks are chains
        TF_NUM_INTEROP_THREADS="1",
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
