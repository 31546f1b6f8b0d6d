"""The keras-ocr engine: CRAFT finds words, a CRNN reads them. TensorFlow is imported in worker children only."""

from ocrqueue_worker.engines.keras.engine import KerasEngine

__all__ = ["KerasEngine"]
