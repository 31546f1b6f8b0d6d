"""The two networks as the engine sees them, whatever computes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Maps = NDArray[np.float32]

MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)
"""Of ImageNet's colours in [0, 1], by which `keras_ocr.detection.compute_input` normalises pages."""


class Networks(ABC):
    """A loaded detector and recogniser.

    Both calls raise EngineOutOfMemory, or MemoryError, where memory runs out, a GPU's too.
    """

    device: str
    """Where they run, as shown to users: "cpu" or "gpu:0 NVIDIA H100"."""
    few_shapes: bool = False
    """Whether each new shape costs so much that larger margins are worth it."""
    pixels_per_batch: int = 1024 * 1024
    """Of pages that go through the detector together; a larger page goes alone. Lowered where memory runs out."""
    crops_per_batch: int = 32
    """That go through the recogniser together. Lowered where memory runs out."""

    @abstractmethod
    def text_maps(self, pages: Pictures) -> Maps:
        """n x H x W x 3 RGB (H and W at least 32) to n x H/2 x W/2 x 2: text and link map, about 0 to 1.

        Pages are normalised within, as `keras_ocr.detection.compute_input` does.
        """

    @abstractmethod
    def character_probabilities(self, crops: Pictures) -> Maps:
        """n x height x width x channels (1 grey or 3) to n x steps x (alphabet + 1): softmax, the blank last.

        Crops are divided by 255 within.
        """

    def close(self) -> None:  # noqa: B027  # most have nothing to free
        """Free the memory of a device."""
