"""How the rapid engine scales pages: as RapidOCR does, and no strip becomes a page of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rapidocr.utils.process_img import apply_vertical_padding, resize_image_within_bounds

from ocrqueue_worker.engines.rapid.scaling import scaled


@pytest.mark.parametrize("size", [(640, 480), (2500, 1800), (1240, 3100), (1000, 90), (4000, 300)])
def test_usual_pages_and_wide_strips_are_scaled_as_by_rapidocr(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8))
    theirs, _, _ = resize_image_within_bounds(np.asarray(image)[:, :, ::-1], 30, 2000)
    theirs, _ = apply_vertical_padding(theirs, {}, 8, 30)
    assert np.array_equal(scaled(image, 2000).pixels, theirs)


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(1, 6000), st.integers(1, 6000)), st.sampled_from([320, 2000]))
def test_any_page_comes_within_bounds_and_its_points_back(size: tuple[int, int], most: int) -> None:
    page = scaled(Image.new("L", size), most)
    height, width = page.pixels.shape[:2]
    assert max(height, width) <= max(most, 60)
    assert max(height, width) <= 8 * min(height, width)
    left, top = page.margin
    corners = np.array([(left, top), (width - left, height - top)], np.float64)
    assert page.on_page(corners) == pytest.approx(np.array([(0, 0), size]), abs=max(size) / 16)
    assert page.on_page(np.array([(-9.0, 1e6)])) == pytest.approx(np.array([(0, size[1])]))
