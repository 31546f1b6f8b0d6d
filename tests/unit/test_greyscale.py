"""Grey pages that come as RGB."""

from __future__ import annotations

import pytest
from PIL import Image

from ocrqueue_worker.images.greyscale import without_empty_color


def gradient(height: int) -> Image.Image:
    return Image.linear_gradient("L").resize((40, height))


@pytest.mark.parametrize("height", [1, 255, 256, 257, 700])
def test_grey_as_rgb_becomes_grey(height: int) -> None:
    grey = gradient(height)
    made = without_empty_color(grey.convert("RGB"))
    assert made.mode == "L"
    assert made.tobytes() == grey.tobytes()


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("row", [0, 255, 256, 299])
def test_one_colored_pixel_is_kept(channel: int, row: int) -> None:
    image = gradient(300).convert("RGB")
    pixel = list(image.getpixel((39, row)))
    pixel[channel] ^= 1
    image.putpixel((39, row), tuple(pixel))
    assert without_empty_color(image) is image


def test_grey_is_left_alone() -> None:
    image = gradient(300)
    assert without_empty_color(image) is image
