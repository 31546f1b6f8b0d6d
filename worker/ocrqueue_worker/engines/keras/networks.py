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

_BYTES_PER_PIXEL: Final = 1536
"""What CRAFT takes for a pixel of a page, at its largest."""
_USUAL_GPU_MIB: Final = 8192


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

    def use_gpu(self, memory_mib: int | None) -> None:
        """Set the limits for a GPU of so much memory; half of it is left to cuDNN and to what else runs there."""
        self.few_shapes = True
        self.pixels_per_batch = (memory_mib or _USUAL_GPU_MIB) * 1024 * 1024 // 2 // _BYTES_PER_PIXEL
        self.crops_per_batch = 256

    def close(self) -> None:  # noqa: B027  # most have nothing to free
        """Free the memory of a device."""
