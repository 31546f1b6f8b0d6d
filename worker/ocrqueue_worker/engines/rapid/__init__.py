"""RapidOCR: PP-OCR's networks on ONNX Runtime, with the models of its wheel. Imported in worker children only."""

from ocrqueue_worker.engines.rapid.engine import RapidEngine
from ocrqueue_worker.engines.rapid.options import RapidOptions

__all__ = ["RapidEngine", "RapidOptions"]
