"""Pages read by an engine, prepared where that helps; in the file's own pixels, whatever was done to them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from ocrqueue.document import Page
from ocrqueue.errors import EngineOutOfMemory, EngineUnavailable
from ocrqueue.job import PREPARATION_STEPS, PreparationStep, Prepare
from ocrqueue_worker.calibration import calibrated_page, calibration_of
from ocrqueue_worker.engines.asking import longest_side, may_prepare
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.engine_call import Result, as_in_file, recognise
from ocrqueue_worker.pipeline.invented_words import doubted
from ocrqueue_worker.pipeline.tiled_reading import is_long_strip, may_be_tiled, read_in_tiles
from ocrqueue_worker.pipeline.ways_up import read_right_way, read_turned_back
from ocrqueue_worker.preparation.picture import Picture
from ocrqueue_worker.preparation.quality import (
    confidence,
    is_better,
    is_sure,
    is_written,
    may_be_upside_down,
    misses_pale_print,
    reads_badly,
    reads_more,
)

_TIME: Final = 3.0
"""So many times what the first reading took must be left for another."""
_MOST_PIXELS: Final = 40_000_000
"""Of a page that is enlarged."""


def read_pages(
    engine: Engine[Any], pages: Sequence[PageImage], reading: Reading[Any], prepare: Prepare
) -> list[Result]:
    """A Page for each, in order, or the error in its stead, as recognise() has it. `prepare` is the job's.

    Pages are in the file's own pixels. What the file itself says of a page is not read. Confidences are calibrated when
    the reading stands: whether a page reads badly is told by the engine's own.
    """
    if any(page.known is not None for page in pages):
        read = iter(read_pages(engine, [page for page in pages if page.known is None], reading, prepare))
        return [page.known or next(read) for page in pages]
    if not pages:
        return []
    if prepare in {"auto", "none"}:
        begun = time.monotonic()
        results = _recognise(engine, pages, reading)
        if prepare == "auto" and may_prepare(engine, reading.options):
            seconds = (time.monotonic() - begun) / len(pages)
            results = [
                _reread(engine, page, result, reading, seconds) for page, result in zip(pages, results, strict=True)
            ]
    else:
        steps = prepare if isinstance(prepare, tuple) else PREPARATION_STEPS
        results = [_read_prepared(engine, page, Picture.of(page.image), steps, reading) for page in pages]
    curve = calibration_of(engine, reading.languages)
    return [
        as_in_file(doubted(calibrated_page(result, curve), reading.languages), page)
        if isinstance(result, Page)
        else result
        for page, result in zip(pages, results, strict=True)
    ]


def _reread(engine: Engine[Any], image: PageImage, first: Result, reading: Reading[Any], seconds: float) -> Result:
    """The better of `first` and of what is read once the page is turned back and prepared."""
    picture = Picture.of(image.image)
    if isinstance(first, Page) and reading.seconds_left() >= _TIME * seconds:
        picture, first = read_turned_back(picture, first, lambda turned: _read(engine, image, turned, reading))
    if not isinstance(first, Page) or reading.seconds_left() < _TIME * seconds:
        return first
    if not reads_badly(first, image.image):
        return _read_with_even_ink(engine, image, picture, first, reading) if engine.reads_in_black_and_white else first
    side = longest_side(engine, reading.options)
    if side is not None and may_be_tiled(image, side):
        tiled = read_in_tiles(engine, replace(image, image=picture.image, file_size=None), side, reading)
        if isinstance(tiled, Page) and picture.steps:
            tiled = picture.on_page(tiled)
        if isinstance(tiled, Page) and is_better(tiled, first):
            first = tiled
            if not reads_badly(tiled, image.image):
                return tiled
    second = _read_prepared(engine, image, picture, PREPARATION_STEPS, reading, known=first)
    return second if isinstance(second, Page) and is_better(second, first) else first


def _read_prepared(
    engine: Engine[Any],
    image: PageImage,
    picture: Picture,
    steps: Collection[PreparationStep],
    reading: Reading[Any],
    known: Page | None = None,
) -> Result:
    """As it reads with these steps, those that it needs; another way up where no sense can be made of it.

    `picture`: the page, which may be turned. `known`: what it reads as without any step.
    """
    try:
        # NumPy is not for those that need no preparation
        from ocrqueue_worker.preparation.steps import prepared
    except ImportError as error:
        return known or EngineUnavailable(f"Pages cannot be prepared here: {error}.", remedy="pip install numpy.")

    try:
        ready = prepared(picture, steps, _MOST_PIXELS)
    except MemoryError:
        return known or EngineOutOfMemory()
    result: Result = known if known and ready is picture else _read(engine, image, ready, reading)
    if isinstance(result, Page) and "rotate" in steps and result is not known:
        ready, result = read_turned_back(ready, result, lambda turned: _read(engine, image, turned, reading))
    if isinstance(result, Page) and "contrast" in steps:
        result = _read_with_even_ink(engine, image, ready, result, reading)
    if not isinstance(result, Page) or is_sure(result):
        return result
    has_words = any(result.words())
    if has_words and may_be_upside_down(result):
        right = read_right_way(ready, result, steps, lambda picture: _read(engine, image, picture, reading))
        if right is not result:
            return right
    if "strokes" not in steps or (has_words and confidence(result) is None):
        return result
    return _read_with_thick_strokes(engine, image, ready, result, reading)


def _read_with_even_ink(
    engine: Engine[Any], image: PageImage, ready: Picture, result: Page, reading: Reading[Any]
) -> Page:
    """Or `result`, as which it reads without, where no pale print is missing from that, or none is found."""
    if not misses_pale_print(result, image.image):
        return result
    from ocrqueue_worker.preparation.repainting import with_even_ink

    try:
        dark = ready.repainted("contrast", with_even_ink(ready.image.convert("L")))
    except MemoryError:
        return result
    other = _read(engine, image, dark, reading)
    return other if isinstance(other, Page) and reads_more(other, result) else result


def _read_with_thick_strokes(
    engine: Engine[Any], image: PageImage, ready: Picture, result: Page, reading: Reading[Any]
) -> Result:
    """Or `result`, as which it reads without, if that is better.

    Where nothing was found before, there may be no letters at all: what is found then is to be sure, and some letters.
    """
    from ocrqueue_worker.preparation.repainting import with_thick_strokes

    try:
        thick = ready.repainted("strokes", with_thick_strokes(ready.image.convert("L")))
    except MemoryError:
        return result
    other = _read(engine, image, thick, reading)
    if not isinstance(other, Page) or not is_better(other, result):
        return result
    return other if any(result.words()) or (is_sure(other) and is_written(other)) else result


def _read(engine: Engine[Any], image: PageImage, ready: Picture, reading: Reading[Any]) -> Result:
    (result,) = _recognise(engine, [replace(image, image=ready.image, file_size=None)], reading)
    return ready.on_page(result) if isinstance(result, Page) and ready.steps else result


def _recognise(engine: Engine[Any], pages: Sequence[PageImage], reading: Reading[Any]) -> list[Result]:
    """As recognise() has it; long strips in tiles."""
    side = longest_side(engine, reading.options)
    if side is None or not any(is_long_strip(page, side) for page in pages):
        return recognise(engine, pages, reading)
    return [
        read_in_tiles(engine, page, side, reading)
        if is_long_strip(page, side)
        else recognise(engine, [page], reading)[0]
        for page in pages
    ]
