"""Long pages in tiles: every word once, where it is, whichever tiles cut through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from PIL import Image, ImageDraw

from ocrqueue.document import EngineInfo, Page, Word, polygon_of
from ocrqueue.errors import EngineFailed, OcrQueueError
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Engine, EngineOptions, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.layout import inferred_blocks
from ocrqueue_worker.layout.word_ids import word_id
from ocrqueue_worker.pipeline.page_reading import read_pages

SIDE = 1000
READING = Reading(("eng",), EngineOptions())


class FindsBars(Engine[EngineOptions]):
    """Takes what is black between white columns, or between white rows of an upright strip, for a word."""

    name = "bars"
    fails_at: int | None = None

    def __init__(self) -> None:
        super().__init__(load_worker_settings())
        self.sizes: list[tuple[int, int]] = []

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name=self.name, version="1", model="none")

    def languages(self) -> tuple[str, ...]:
        return ()

    def longest_side(self, options: EngineOptions) -> int:
        return SIDE

    def recognize(self, pages: Sequence[PageImage], reading: Reading[EngineOptions]) -> list[Page | OcrQueueError]:
        return [self._page(page) for page in pages]

    def _page(self, page: PageImage) -> Page | OcrQueueError:
        self.sizes.append(page.image.size)
        if self.fails_at == len(self.sizes):
            return EngineFailed()
        width, height = page.image.size
        words = []
        for number, (start, end) in enumerate(bars(page.image), 1):
            box = (start, 0.0, end, height) if width > height else (0.0, start, width, end)
            words.append(Word(id=word_id(1, number), text="bar", confidence=0.9, polygon=polygon_of(box), bbox=box))
        return Page(number=1, width=width, height=height, blocks=inferred_blocks(words, page=1, size=(width, height)))


def bars(image: Image.Image) -> Iterator[tuple[float, float]]:
    strip = image.convert("L")
    size = (strip.width, 1) if strip.width > strip.height else (1, strip.height)
    dark = [level < 128 for level in strip.resize(size, Image.Resampling.BOX).tobytes()]
    edges = [
        place
        for place in range(len(dark) + 1)
        if (dark[place - 1 : place] or [False]) != (dark[place : place + 1] or [False])
    ]
    yield from zip(edges[::2], edges[1::2], strict=True)


def strip(length: int, bar: int, gap: int) -> tuple[Image.Image, list[tuple[int, int]]]:
    image, spans = Image.new("L", (length, 60), 255), []
    for start in range(gap, length - bar, bar + gap):
        ImageDraw.Draw(image).rectangle((start, 0, start + bar - 1, 59), fill=0)
        spans.append((start, start + bar))
    return image, spans


@pytest.mark.parametrize(("bar", "gap"), [(40, 20), (150, 17), (7, 5), (190, 90)])
def test_each_word_is_found_once_and_whole(bar: int, gap: int) -> None:
    image, spans = strip(5210, bar, gap)
    engine = FindsBars()
    (page,) = read_pages(engine, [PageImage(1, image)], READING, "none")
    assert isinstance(page, Page)
    assert [(word.bbox[0], word.bbox[2]) for word in page.words()] == spans
    assert (page.width, page.height) == image.size
    assert page.preparation is not None
    assert page.preparation.tiles == len(engine.sizes) > 5
    assert {width for width, _ in engine.sizes} == {SIDE}
    assert len({word.id for word in page.words()}) == len(spans)


def test_an_upright_strip_is_read_from_top_to_bottom() -> None:
    image, spans = strip(4000, 40, 20)
    (page,) = read_pages(FindsBars(), [PageImage(1, image.transpose(Image.Transpose.TRANSPOSE))], READING, "none")
    assert isinstance(page, Page)
    assert [(word.bbox[1], word.bbox[3]) for word in page.words()] == spans


def test_a_page_that_is_no_strip_is_read_whole() -> None:
    engine = FindsBars()
    (page,) = read_pages(engine, [PageImage(1, strip(1400, 40, 20)[0])], READING, "none")
    assert isinstance(page, Page)
    assert engine.sizes == [(1400, 60)]
    assert page.preparation is None


def test_a_tile_that_fails_fails_the_page() -> None:
    engine = FindsBars()
    engine.fails_at = 3
    (page,) = read_pages(engine, [PageImage(1, strip(5210, 40, 20)[0])], READING, "none")
    assert isinstance(page, EngineFailed)
    assert len(engine.sizes) == 3
