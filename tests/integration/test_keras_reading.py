"""Boxes, crops and texts against keras-ocr's own functions, and what those fail at."""

from __future__ import annotations

import itertools
import time
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocrqueue_worker.engines.keras.ctc_decoding import decode
from ocrqueue_worker.engines.keras.devices import CPU
from ocrqueue_worker.engines.keras.tensorflow_start import start_tensorflow
from ocrqueue_worker.engines.keras.text_boxes import find_boxes
from ocrqueue_worker.engines.keras.word_crops import crop_words, reading_order

pytestmark = pytest.mark.filterwarnings("default")
"""TensorFlow and what keras-ocr builds on warn of their own future."""

Floats = NDArray[np.float32]

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def tensorflow() -> Any:
    return start_tensorflow(CPU, 1)


@pytest.fixture(scope="module")
def keras_ocr(tensorflow: Any) -> ModuleType:
    import keras_ocr

    return keras_ocr  # type: ignore[no-any-return]  # it has no types


def drawn_maps(seed: int, height: int = 300, width: int = 400, words: int = 40) -> Floats:
    """Words in all directions as CRAFT shows them: a hill for each character, and between two of them another."""
    random = np.random.default_rng(seed)
    maps = np.zeros((height, width, 2), np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(words):
        size, angle = random.uniform(3, 9), random.choice([0, random.uniform(-3.2, 3.2)])
        step = size * random.uniform(0.7, 1.3) * np.array([np.cos(angle), np.sin(angle)])
        place = random.uniform(0, (width, height))
        for number in range(random.integers(1, 12)):
            for channel, shift in ((0, 0.0), (1, 0.5)):
                center = place + (number + shift) * step
                hill = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * (size / 2.5) ** 2))
                maps[..., channel] = np.maximum(maps[..., channel], hill * random.uniform(0.4, 1.1))
    return maps


def noise(seed: int, height: int = 90, width: int = 120, blur: float = 1.5) -> Floats:
    maps = np.random.default_rng(seed).random((height, width, 2), np.float32)
    maps = np.dstack([cv2.GaussianBlur(np.ascontiguousarray(maps[..., channel]), (0, 0), blur) for channel in (0, 1)])
    return ((maps - maps.mean()) / maps.std() * 0.3 + 0.4).astype(np.float32)


THRESHOLDS: list[dict[str, Any]] = [
    {},
    {"detection_threshold": 0.3, "text_threshold": 0.2, "link_threshold": 0.3, "size_threshold": 1},
    {"detection_threshold": 0.5, "text_threshold": 0.6, "link_threshold": 0.7, "size_threshold": 3},
]


@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_boxes_are_those_of_keras_ocr_to_the_bit(keras_ocr: ModuleType, thresholds: dict[str, Any]) -> None:
    found = 0
    for maps in [*map(drawn_maps, range(4)), *map(noise, range(20))]:
        try:
            (expected,) = keras_ocr.detection.getBoxes([maps], **thresholds)
        except IndexError:  # see the next test
            continue
        boxes = find_boxes(maps, **thresholds)
        assert np.array_equal(boxes.quads, expected.reshape(-1, 4, 2))
        assert boxes.quads.dtype == np.float32
        assert ((boxes.scores >= 0) & (boxes.scores <= 1)).all()
        found += len(boxes)
    assert found > 100


def test_a_word_of_which_nothing_is_left_costs_no_other(keras_ocr: ModuleType) -> None:
    maps = np.zeros((60, 60, 2), np.float32)
    maps[5:15, 5:45, 0] = 0.8
    maps[30:40, 5:45] = 0.9  # all of it text and link
    maps[45:55, 5:25, 0] = 1.3
    with pytest.raises(IndexError):
        keras_ocr.detection.getBoxes([maps])
    boxes = find_boxes(maps)
    assert boxes.scores.tolist() == pytest.approx([0.8, 1.0])
    assert [quad[0].tolist() for quad in boxes.quads] == [[4, 4], [4, 84]]


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf, -np.inf])
def test_maps_of_one_value_have_no_words(value: float) -> None:
    assert len(find_boxes(np.full((256, 256, 2), value, np.float32))) == 0


def test_a_word_with_a_value_that_is_no_number_is_found_by_its_others() -> None:
    maps = np.zeros((40, 60, 2), np.float32)
    maps[10:20, 10:50, 0] = 0.9
    maps[15, 30, 0] = np.nan
    (score,) = find_boxes(maps).scores
    assert score == np.float32(0.9)


def test_noise_ends_with_the_largest_words() -> None:
    maps = np.zeros((512, 512, 2), np.float32)
    maps[::2, ::2, 0] = 0.9
    maps[400:410, 100:200, 0] = 1.0
    boxes = find_boxes(maps, size_threshold=1, most=50)
    assert len(boxes) == 50
    assert boxes.scores.max() == 1.0
    assert (np.diff(boxes.quads[:-1, 0, 1]) >= 0).all()


def test_a_dense_page_is_many_times_as_fast(keras_ocr: ModuleType) -> None:
    maps = np.zeros((512, 512, 2), np.float32)
    for top, left in itertools.product(range(2, 500, 10), range(2, 480, 24)):
        maps[top : top + 6, left : left + 18, 0] = 0.9
    start = time.process_time()
    (expected,) = keras_ocr.detection.getBoxes([maps])
    middle = time.process_time()
    boxes = find_boxes(maps)
    end = time.process_time()
    assert np.array_equal(boxes.quads, expected)
    assert len(boxes) == 1000
    assert (middle - start) / (end - middle) > 5


def rectangles(seed: int, count: int) -> Floats:
    """Upright ones of whole pixels, and turned ones of any size; some hang over the picture's edge."""
    random = np.random.default_rng(seed)
    center = random.uniform(0, 500, (count, 1, 2))
    width, height, angle = random.uniform(4, 250, count), random.uniform(4, 60, count), random.uniform(-3.2, 3.2, count)
    upright = np.arange(count) % 2 == 0
    center[upright] = center[upright].round()
    width[upright], height[upright] = (2 * side[upright].round() for side in (width, height))
    along = np.where(upright, [[1.0], [0.0]], [np.cos(angle), np.sin(angle)]).T
    right, down = along * width[:, None] / 2, along[:, ::-1] * (-1, 1) * height[:, None] / 2
    corners = np.stack([-right - down, right - down, right + down, down - right], axis=1) + center
    return corners.astype(np.float32)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(("height", "width"), [(31, 200), (64, 128)])
def test_crops_are_those_of_keras_ocr_to_the_bit(keras_ocr: ModuleType, height: int, width: int, color: bool) -> None:
    image = np.random.default_rng(1).integers(0, 256, (500, 520, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    quads = np.concatenate([find_boxes(drawn_maps(5)).quads, rectangles(2, 100)])
    source = image if color else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    expected = np.array([keras_ocr.tools.warpBox(source, quad, height, width) for quad in quads])
    crops = crop_words(image, quads, height, width, color)
    assert crops.dtype == np.uint8
    assert crops.shape == (len(quads), height, width, 3 if color else 1)
    assert np.array_equal(crops, expected.reshape(crops.shape))


DEGENERATE = [
    [(5, 5), (5, 5), (5, 5), (5, 5)],
    [(5, 5), (45, 5), (45, 5), (5, 5)],
    [(5, 5), (45, 5), (45, 5.9), (5, 5.9)],
    [(5, 5), (5, 45), (5, 45), (5, 5)],
    [(5, 5), (45, 45), (45, 45), (5, 5)],
]


@pytest.mark.parametrize("quad", DEGENERATE)
def test_a_box_without_area_gives_a_black_crop(keras_ocr: ModuleType, quad: list[tuple[float, float]]) -> None:
    image = np.full((60, 60, 3), 200, np.uint8)
    quads = np.array([quad, [(10, 10), (50, 10), (50, 30), (10, 30)]], np.float32)
    with pytest.raises(ZeroDivisionError), np.errstate(all="ignore"):
        keras_ocr.tools.warpBox(image, quads[0], 31, 200)
    crops = crop_words(image, quads, 31, 200, False)
    assert not crops[0].any()
    assert crops[1].any()


def test_a_box_that_would_be_less_than_a_pixel_wide_gives_a_black_crop(keras_ocr: ModuleType) -> None:
    image = np.full((400, 60, 3), 200, np.uint8)
    quads = np.array([[(5, 5), (13, 5), (13, 390), (5, 390)]], np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        keras_ocr.tools.warpBox(image, quads[0], 31, 200)
    assert not crop_words(image, quads, 31, 200, False).any()


def test_no_boxes_give_no_crops() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    assert crop_words(image, np.zeros((0, 4, 2), np.float32), 31, 200, True).shape == (0, 31, 200, 3)


def test_corners_come_in_the_order_of_keras_ocr(keras_ocr: ModuleType) -> None:
    quads = np.concatenate([rectangles(3, 400), *(find_boxes(drawn_maps(seed)).quads for seed in range(3))])
    quads = np.array([np.roll(quad, turn % 4, axis=0) for turn, quad in enumerate(quads)])
    expected = np.array([keras_ocr.tools.get_rotated_box(quad)[0] for quad in quads])
    assert reading_order(quads) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(points=st.lists(st.tuples(*[st.floats(0, 2000, width=32)] * 2), min_size=4, max_size=4))
def test_the_rectangle_holds_all_four_points(points: list[tuple[float, float]]) -> None:
    quad = np.array(points, np.float32)
    assume(cv2.contourArea(cv2.convexHull(quad)) > 1)
    (box,) = reading_order(quad[None]).astype(np.float64)
    right, down = box[1] - box[0], box[3] - box[0]
    for side in (right, down):
        if (length := float(np.linalg.norm(side))) > 0.1:
            along = (quad - box[0]) @ side / length
            assert along.min() > -0.1
            assert along.max() < length + 0.1


def softmax(seed: int, count: int, steps: int = 48, classes: int = len(ALPHABET) + 1) -> Floats:
    """From sure to hardly so; runs of a class, and blanks."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (count, steps // 3, classes)).repeat(3, axis=1)
    scores[..., -1] += 2
    scores *= random.uniform(0.5, 6, (count, 1, 1))
    exponentials = np.exp(scores + random.normal(0, 0.3, scores.shape))
    return (exponentials / exponentials.sum(axis=2, keepdims=True)).astype(np.float32)


def test_texts_are_those_of_keras_ocr(tensorflow: Any, keras_ocr: ModuleType) -> None:
    probabilities = softmax(1, 300)
    with tensorflow.device("CPU"):
        labels = keras_ocr.recognition.CTCDecoder()(tensorflow.constant(probabilities)).numpy()
    expected = ["".join(ALPHABET[label] for label in row if label not in (-1, len(ALPHABET))) for row in labels]
    assert [text for text, _ in decode(probabilities, ALPHABET)] == expected
    assert len({len(text) for text in expected}) > 8


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.integers(1, 6))
def test_the_confidence_is_the_sum_over_all_ways_to_read_the_text(seed: int, steps: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet([0.5] * 3, (4, steps)).astype(np.float32)
    for steps_of_word, (text, confidence) in zip(probabilities, decode(probabilities, "ab"), strict=True):
        total = 0.0
        for path in itertools.product(range(3), repeat=steps):
            if "".join("ab"[label] for label, _ in itertools.groupby(path) if label < 2) == text:
                total += float(np.prod(steps_of_word[np.arange(steps), path]))
        assert confidence == (pytest.approx(total, abs=1e-4) if text else None)


def test_doubled_letters_need_a_blank_between() -> None:
    sure = np.full((1, 5, 3), 0.01, np.float32)
    sure[0, range(5), (0, 0, 2, 0, 1)] = 0.98
    ((text, confidence),) = decode(sure, "ab")
    assert text == "aab"
    assert confidence is not None
    assert 0.98**5 <= confidence < 1


def test_long_words_are_not_sure_words_and_sure_ones_have_one() -> None:
    sure = np.zeros((2, 20, 3), np.float32)
    sure[0, :, 2] = 1
    sure[0, 4, :] = (1, 0, 0)
    sure[1, ::2, 0] = sure[1, 1::2, 1] = 1
    assert decode(sure, "ab") == [("a", 1.0), ("ab" * 10, 1.0)]


@pytest.mark.parametrize("value", [np.nan, 0.0, 1 / 3])
def test_a_softmax_that_tells_nothing_gives_no_confidence_that_is_none(value: float) -> None:
    for text, confidence in decode(np.full((3, 8, 3), value, np.float32), "ab"):
        assert confidence is None if not text else 0 <= float(confidence or 0) < 0.2


def test_no_words_give_no_texts() -> None:
    assert decode(np.zeros((0, 48, 37), np.float32), ALPHABET) == []
