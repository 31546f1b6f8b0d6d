"""Pages enlarged and put together into what networks compute at once, and their maps taken apart again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ocrqueue.errors import EngineOutOfMemory
from ocrqueue_worker.engines.keras.batching import character_probabilities, text_maps
from ocrqueue_worker.engines.keras.networks import Maps, Networks, Pictures
from ocrqueue_worker.engines.keras.page_sizes import EnlargedPage, enlarge, padded_size


class Mirror(Networks):
    """Its text map is every second pixel's red, its probabilities each crop's first column; remembers the shapes."""

    device = "cpu"

    def __init__(self, pixels: float = float("inf"), crops: float = float("inf"), error: type[Exception] = MemoryError):
        """Runs out of memory, by `error`, above so many pixels of pages or so many crops."""
        self.shapes: list[tuple[int, ...]] = []
        self._pixels, self._crops, self._error = pixels, crops, error

    def text_maps(self, pages: Pictures) -> Maps:
        self._note(pages, pages[..., 0].size > self._pixels)
        maps = pages[:, : pages.shape[1] // 2 * 2 : 2, : pages.shape[2] // 2 * 2 : 2, :2].astype(np.float32)
        return maps / 255

    def character_probabilities(self, crops: Pictures) -> Maps:
        self._note(crops, len(crops) > self._crops)
        return crops[:, :, :1, 0].astype(np.float32) / 255

    def _note(self, batch: Pictures, too_much: bool) -> None:
        self.shapes.append(batch.shape)
        if too_much:
            raise self._error


def page(height: int, width: int, value: int = 0) -> EnlargedPage:
    return EnlargedPage(np.full((height, width, 3), value, np.uint8), 1.0)


def crops(number: int) -> NDArray[np.uint8]:
    """Crop i is all of i."""
    return np.broadcast_to(np.arange(number, dtype=np.uint8)[:, None, None, None], (number, 4, 8, 1)).copy()


def assert_in_order(probabilities: Maps, number: int) -> None:
    assert (probabilities[:, 0, 0] * 255).round().astype(int).tolist() == list(range(number))


def test_pages_are_enlarged_up_to_a_size() -> None:
    rows = np.zeros((100, 50, 3), np.uint8)
    assert (enlarge(rows, 2.0, 2048).pixels.shape, enlarge(rows, 2.0, 2048).scale) == ((200, 100, 3), 2.0)
    limited = enlarge(rows, 4.0, 150)
    assert (limited.pixels.shape, limited.scale) == ((150, 75, 3), 1.5)
    assert enlarge(rows, 0.25, 2048).pixels.shape == (25, 12, 3)
    # a strip of a few pixels, which keras-ocr breaks off on
    assert enlarge(np.zeros((3, 9000, 3), np.uint8), 2.0, 2048).pixels.shape == (1, 2048, 3)


def test_few_sizes_where_each_costs() -> None:
    assert padded_size(1, 4096, few=True) == (32, 4096)
    lengths = range(1, 4097)
    padded = [padded_size(length, length, few=True)[0] for length in lengths]
    assert all(length <= size for length, size in zip(lengths, padded, strict=True))
    assert all(size <= max(length + 32, length * 1.125) for length, size in zip(lengths, padded, strict=True))
    assert len(set(padded)) <= 48
    assert all(size % 32 == 0 for size in padded)


@pytest.mark.parametrize("few_shapes", [False, True])
def test_each_page_gets_its_own_maps_whatever_it_is_computed_with(few_shapes: bool) -> None:
    networks = Mirror()
    networks.few_shapes = few_shapes
    sizes = [(40, 60), (60, 40), (40, 60), (61, 43), (40, 60), (20, 500), (40, 60)]
    pages = [page(*size, value=index * 10) for index, size in enumerate(sizes)]
    maps = text_maps(networks, pages)
    for index, (result, (height, width)) in enumerate(zip(maps, sizes, strict=True)):
        assert result.shape == (height // 2, width // 2, 2)
        assert (result == np.float32(index * 10) / 255).all()
    if not few_shapes:
        assert (4, 40, 60, 3) in networks.shapes


def test_the_margin_is_white() -> None:
    networks = Mirror()
    networks.few_shapes = True
    seen: list[Pictures] = []
    compute = networks.text_maps
    networks.text_maps = lambda pages: (seen.append(pages.copy()), compute(pages))[1]  # type: ignore[method-assign]
    text_maps(networks, [page(50, 70)])
    assert seen[0].shape == (1, 64, 96, 3)
    assert not seen[0][0, :50, :70].any()
    assert (seen[0][0, 50:] == 255).all()
    assert (seen[0][0, :, 70:] == 255).all()


def test_pages_go_together_as_far_as_the_limit_of_pixels() -> None:
    networks = Mirror()
    networks.pixels_per_batch = 4 * 64 * 64
    text_maps(networks, [page(64, 64) for _ in range(7)] + [page(640, 640)])
    assert networks.shapes == [(4, 64, 64, 3), (2, 64, 64, 3), (1, 64, 64, 3), (1, 640, 640, 3)]


@pytest.mark.parametrize("error", [MemoryError, EngineOutOfMemory])
def test_pages_that_do_not_fit_go_by_halves_from_then_on(error: type[Exception]) -> None:
    networks = Mirror(pixels=2 * 64 * 64, error=error)
    pages = [page(64, 64, index) for index in range(8)]
    maps = text_maps(networks, pages)
    assert [round(float(result[0, 0, 0]) * 255) for result in maps] == list(range(8))
    assert [shape[0] for shape in networks.shapes] == [8, 4, 2, 2, 2, 2]
    text_maps(networks, pages)
    assert [shape[0] for shape in networks.shapes[6:]] == [2, 2, 2, 2]


def test_a_page_for_which_there_is_no_memory_is_an_error() -> None:
    networks = Mirror(pixels=1100)
    with pytest.raises(EngineOutOfMemory, match="max_size"):
        text_maps(networks, [page(64, 64)])
    # what fits is computed afterwards as before
    assert len(text_maps(networks, [page(32, 30)])) == 1


@pytest.mark.parametrize(
    ("number", "batches"),
    [(1, [1]), (2, [2]), (3, [2, 1]), (7, [8]), (9, [8, 1]), (15, [16]), (31, [32]), (50, [32, 16, 2]), (64, [32, 32])],
)
def test_crops_go_in_few_sizes_of_batches(number: int, batches: Sequence[int]) -> None:
    networks = Mirror()
    assert_in_order(character_probabilities(networks, crops(number)), number)
    assert [shape[0] for shape in networks.shapes] == list(batches)


@pytest.mark.parametrize(("number", "batches"), [(1, [8]), (9, [32]), (100, [128]), (200, [256])])
def test_crops_go_in_fewer_sizes_yet_where_each_costs(number: int, batches: Sequence[int]) -> None:
    networks = Mirror()
    networks.few_shapes, networks.crops_per_batch = True, 256
    assert_in_order(character_probabilities(networks, crops(number)), number)
    assert [shape[0] for shape in networks.shapes] == list(batches)


@pytest.mark.parametrize("few_shapes", [False, True])
@pytest.mark.parametrize("fit", [1, 5, 13])
def test_crops_that_do_not_fit_go_by_halves_from_then_on(fit: int, few_shapes: bool) -> None:
    networks = Mirror(crops=fit)
    networks.few_shapes = few_shapes
    assert_in_order(character_probabilities(networks, crops(60)), 60)
    before = len(networks.shapes)
    character_probabilities(networks, crops(60))
    assert all(shape[0] <= fit for shape in networks.shapes[before:])


def test_a_crop_for_which_there_is_no_memory_is_an_error() -> None:
    with pytest.raises(EngineOutOfMemory):
        character_probabilities(Mirror(crops=0), crops(3))
