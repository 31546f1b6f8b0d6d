"""Tesseract: in-process through tesserocr, or one process a call through pytesseract; the same Document from both."""

from ocrqueue_worker.engines.tesseract.engine import TesseractEngine
from ocrqueue_worker.engines.tesseract.options import TesseractOptions

__all__ = ["TesseractEngine", "TesseractOptions"]
