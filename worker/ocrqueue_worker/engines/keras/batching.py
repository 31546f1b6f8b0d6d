"""Pages and word crops through the networks in batches, smaller ones where memory does not do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import structlog

from ocrqueue.errors import EngineOutOfMemory
from ocrqueue_worker.engines.keras.networks import Maps, Networks, Pictures
from ocrqueue_worker.engines.keras.page_sizes import EnlargedPage, cut, padded_size, stack

_log = structlog.get_logger(__name__)

_CROP_BATCHES: Final = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""The numbers of crops that are computed together: runtimes keep what they worked out for each number."""
_FEW_CROP_BATCHES: Final = (8, 32, 128, 256)
_WASTE: Final = 1 / 8
"""The share of a batch that may be empty crops before two smaller batches are less work."""


def text_maps(networks: Networks, pages: Sequence[EnlargedPage]) -> list[Maps]:
    """The maps of each page, in order: its height / 2 x width / 2 x 2. Pages of like size go together.

    Raises EngineOutOfMemory where there is not memory enough for one page alone.
    """
    alike: dict[tuple[int, int], list[int]] = {}
    for index, page in enumerate(pages):
        alike.setdefault(padded_size(*page.pixels.shape[:2], few=networks.few_shapes), []).append(index)
    maps: dict[int, Maps] = {}
    for (height, width), indices in alike.items():
        done = 0
        while done < len(indices):
            number = _power_of_two(min(len(indices) - done, networks.pixels_per_batch // (height * width)))
            batch = indices[done : done + number]
            try:
                computed = networks.text_maps(stack([pages[index].pixels for index in batch], height, width))
            except (EngineOutOfMemory, MemoryError) as error:
                networks.pixels_per_batch = _half(number, "pages", error) * height * width
                continue
            for index, page_maps in zip(batch, computed, strict=True):
                # a copy, so that the margins and the neighbours are not kept
                maps[index] = cut(page_maps, *pages[index].pixels.shape[:2]).copy()
            done += number
    return [maps[index] for index in range(len(pages))]


def character_probabilities(networks: Networks, crops: Pictures) -> Maps:
    """n x steps x (alphabet + 1) for n x height x width x channels; n is 1 or more.

    Raises EngineOutOfMemory where there is not memory enough for one crop alone.
    """
    parts: list[Maps] = []
    done = 0
    while done < len(crops):
        size = _crop_batch(len(crops) - done, networks)
        batch = np.zeros((size, *crops.shape[1:]), np.uint8)
        taken = crops[done : done + size]
        batch[: len(taken)] = taken
        try:
            parts.append(networks.character_probabilities(batch)[: len(taken)])
        except (EngineOutOfMemory, MemoryError) as error:
            networks.crops_per_batch = _half(size, "crops", error)
            continue
        done += len(taken)
    return np.concatenate(parts)


def _crop_batch(waiting: int, networks: Networks) -> int:
    """How many crops to compute now, empty ones included."""
    most = networks.crops_per_batch
    sizes = [size for size in (_FEW_CROP_BATCHES if networks.few_shapes else _CROP_BATCHES) if size <= most] or [most]
    if waiting >= sizes[-1]:
        return sizes[-1]
    if networks.few_shapes or waiting < sizes[0]:
        return next(size for size in sizes if size >= waiting)
    below, above = next(pair for pair in pairwise(sizes) if pair[0] <= waiting < pair[1])
    return above if above - waiting <= above * _WASTE else below


def _half(number: int, what: str, error: Exception) -> int:
    """Half of a batch that was too large. Raises EngineOutOfMemory where there is nothing to halve."""
    if number == 1:
        raise EngineOutOfMemory(
            "The memory of the engine's device is too small for one page.",
            remedy="Scale the image down, lower the option max_size or scale, or use a device with more memory.",
        ) from error
    _log.warning("out of memory: smaller batches", were=number, of=what)
    return number // 2


def _power_of_two(number: int) -> int:
    """The largest up to `number`, at least 1: few sizes of batches."""
    return 1 << max(0, number.bit_length() - 1)
