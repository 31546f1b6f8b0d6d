"""Words of a page between the networks: where the detector found some, and what the recogniser read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.engines.keras.text_boxes import TextBoxes


@dataclass(frozen=True, slots=True)
class FoundWords:
    """Of one page, on the page as the detector saw it."""

    pixels: NDArray[np.uint8]
    """H x W x 3 RGB."""
    boxes: TextBoxes


@dataclass(frozen=True, slots=True)
class ReadWord:
    """What stands at a place."""

    text: str
    """Never empty."""
    confidence: float | None
    quad: NDArray[np.float32]
    """4 x 2: top left, top right, bottom right, bottom left as read, in pixels of the page as the detector saw it."""
    detection_score: float
