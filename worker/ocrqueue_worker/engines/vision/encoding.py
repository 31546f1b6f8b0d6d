"""A page as bytes that Google takes: lossless if it may be, smaller where it must be.

Google's limits (https://cloud.google.com/vision/quotas and /vision/docs/supported-files): 16 images a request, 20 MB an
image, 75 million pixels, 10 MB for the JSON of a REST request, in which bytes are base64; 41,943,040 bytes for a gRPC
request, by the error that a larger one gets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Literal

from PIL import Image

from ocrqueue.errors import EngineImageRefused

_QUALITY: Final = 92
_LONGEST_JPEG_SIDE_PX: Final = 65_500
"""Of libjpeg."""
_SMALLEST_SCALE: Final = 0.05


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """What Google takes over one transport, with some room for what is not image."""

    image_bytes: int
    request_bytes: int
    image_pixels: int = 75_000_000


LIMITS: Final[dict[Literal["grpc", "rest"], SizeLimits]] = {
    "grpc": SizeLimits(image_bytes=20_000_000, request_bytes=41_900_000),
    "rest": SizeLimits(image_bytes=7_400_000, request_bytes=7_400_000),
}
"""In bytes of images; those over REST grow by a third in base64."""


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """PNG or JPEG, and its size in pixels, which is smaller than the page's where that was too large."""

    content: bytes
    size: tuple[int, int]


def encode(image: Image.Image, limits: SizeLimits) -> EncodedPage:
    """Nothing of the file's metadata goes along. Raises EngineImageRefused for what cannot be made small enough."""
    scale = min(1.0, math.sqrt(limits.image_pixels / (image.width * image.height)))
    if scale == 1.0 and len(content := _png(image)) <= limits.image_bytes:
        return EncodedPage(content, image.size)
    scale = min(scale, _LONGEST_JPEG_SIDE_PX / max(image.size))
    while scale >= _SMALLEST_SCALE:
        smaller = image if scale == 1.0 else image.resize(_scaled(image.size, scale), Image.Resampling.LANCZOS)
        if len(content := _jpeg(smaller)) <= limits.image_bytes:
            return EncodedPage(content, smaller.size)
        scale *= 0.75
    raise EngineImageRefused(f"A page of {image.width} x {image.height} pixels cannot be made small enough for Google.")


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return (max(1, math.floor(size[0] * scale)), max(1, math.floor(size[1] * scale)))


def _png(image: Image.Image) -> bytes:
    taken = BytesIO()
    # the lowest level takes half of the usual one's time or less, for files up to a sixth larger
    image.save(taken, "PNG", compress_level=1, icc_profile=None)
    return taken.getvalue()


def _jpeg(image: Image.Image) -> bytes:
    taken = BytesIO()
    image.save(taken, "JPEG", quality=_QUALITY, subsampling=0, icc_profile=None)
    return taken.getvalue()
