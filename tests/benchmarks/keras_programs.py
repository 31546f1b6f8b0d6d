"""keras-ocr's own Pipeline with a model of the keras engine, and the engine itself, for benchmarks of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

CROP_WIDTH: Final = 416
"""Of a word for a recogniser of lines, 64 pixels high: as much longer than high as keras-ocr's crops, 200 by 31."""


def make_engine(runtime: str, threads: int, model: str) -> Any:
    from ocrqueue.settings import load_worker_settings
    from ocrqueue_worker.engines.keras import KerasEngine

    engine = KerasEngine(
        load_worker_settings(keras_runtime=runtime, keras_device="cpu", keras_threads=threads, keras_model=model)
    )
    engine.load()
    return engine


def read_pages(engine: Any, images: Sequence[Any], **options: Any) -> Any:
    from ocrqueue_worker.engines.engine import Reading
    from ocrqueue_worker.engines.keras.options import KerasOptions
    from ocrqueue_worker.images.page import PageImage

    pages = [PageImage(number, image) for number, image in enumerate(images, 1)]
    return engine.recognize(pages, Reading(("eng",), KerasOptions(**options)))


def keras_ocr_pipeline(engine: Any) -> Any:
    """keras-ocr's own, with the weights of the engine, and as many threads: they are the process's."""
    import keras_ocr

    from ocrqueue_worker.engines.keras.manifest import LineRecognizerBuild
    from ocrqueue_worker.engines.keras.tensorflow_networks import keras_networks

    detector = keras_ocr.detection.Detector.__new__(keras_ocr.detection.Detector)
    detector.model, network = keras_networks(engine.model)
    part = engine.model.manifest.recognizer
    if isinstance(part.build, LineRecognizerBuild):
        recognizer = _recognizer_of_lines(network)
        recognizer.alphabet, recognizer.blank_label_idx = part.alphabet, len(part.alphabet)
    else:
        recognizer = keras_ocr.recognition.Recognizer(
            alphabet=part.alphabet, weights=None, build_params=part.build.model_dump()
        )
        recognizer.model.load_weights(engine.model.recognizer)
    return keras_ocr.pipeline.Pipeline(detector=detector, recognizer=recognizer)


def _recognizer_of_lines(network: Any) -> Any:
    """keras-ocr's Recognizer around a network of any width, which it gives crops of one."""
    import keras_ocr
    from tensorflow import keras

    height = network.input_shape[1]
    recognizer = keras_ocr.recognition.Recognizer.__new__(keras_ocr.recognition.Recognizer)
    inputs = keras.layers.Input((height, CROP_WIDTH, 1))
    outputs = network(inputs)
    recognizer.model = keras.Model(inputs, outputs)
    recognizer.prediction_model = keras.Model(inputs, keras_ocr.recognition.CTCDecoder()(outputs))
    return recognizer


def read_by_pipeline(pipeline: Any, image: Any) -> Any:
    import numpy as np

    return pipeline.recognize([np.asarray(image)], {"verbose": 0}, {"verbose": 0})
