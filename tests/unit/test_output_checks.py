"""Garbage from an engine is the error of its page, and of no other."""

from __future__ import annotations

import gc
import re
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image

from ocrqueue.document import Crop, EngineInfo, Page
from ocrqueue.errors import EngineFailed, EngineOutOfMemory, ErrorInfo
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Engine, EngineOptions, Reading
from ocrqueue_worker.engines.null import NullEngine
from ocrqueue_worker.engines.null.garbage import Garbage, garbage
from ocrqueue_worker.engines.output_checks import check_results
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.engine_call import as_page, recognise

SIZE = (1000, 1400)


def page_image(number: int) -> PageImage:
    return PageImage(number, Image.new("L", SIZE, 255))


def good_page(number: int, words: int = 12) -> Page:
    engine = NullEngine(load_worker_settings())
    reading = Reading(("eng",), engine.parse_options({"words": words, "confidence": 0.5}))
    (page,) = engine.recognize([page_image(number)], reading)
    assert isinstance(page, Page)
    return page


class Astray(Engine[EngineOptions]):
    """Returns what `results` makes of the good pages."""

    name = "astray"

    def __init__(self, results: Callable[[list[Page]], Any]) -> None:
        super().__init__(load_worker_settings())
        self.results = results

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name=self.name, version="1", model="none")

    def languages(self) -> tuple[str, ...]:
        return ()

    def recognize(self, pages: Sequence[PageImage], reading: Reading[EngineOptions]) -> Any:
        return self.results([good_page(page.number) for page in pages])


class Failing(Astray):
    """Raises over each page, and holds the errors as its results."""

    def recognize(self, pages: Sequence[PageImage], reading: Reading[EngineOptions]) -> Any:
        results = []
        for page in pages:
            try:
                self._read(page)
            except EngineFailed as error:
                results.append(error)
        return results

    @staticmethod
    def _read(page: PageImage) -> None:
        try:
            raise RuntimeError(page.image.size)
        except RuntimeError as error:
            raise EngineFailed("It broke off.") from error


def test_an_image_that_failed_goes_with_its_job() -> None:
    """And not some hundred jobs later, when Python looks for cycles."""
    images = [page_image(1), page_image(2)]
    kept = [weakref.ref(image.image) for image in images]
    gc.disable()
    try:
        found = recognise(Failing(lambda _: None), images, Reading(("eng",), EngineOptions()))
        images.clear()
        assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()
    assert [type(error) for error in found] == [EngineFailed] * 2


def recognised(results: Callable[[list[Page]], Any], pages: int = 3) -> list[Page]:
    images = [page_image(1 + n) for n in range(pages)]
    found = recognise(Astray(results), images, Reading(("eng",), EngineOptions()))
    return [as_page(image, result) for image, result in zip(images, found, strict=True)]


def with_word(page: Page, **change: object) -> Page:
    """`page` with its first word changed, unchecked."""
    (block,) = page.blocks
    (paragraph,) = block.paragraphs
    first, *others = paragraph.lines
    line = first.model_copy(update={"words": (first.words[0].model_copy(update=change), *first.words[1:])})
    changed = block.model_copy(update={"paragraphs": (paragraph.model_copy(update={"lines": (line, *others)}),)})
    return page.model_copy(update={"blocks": (changed,)})


def with_block(page: Page, **change: object) -> Page:
    return page.model_copy(update={"blocks": (page.blocks[0].model_copy(update=change),)})


def test_good_pages_pass_as_they_are() -> None:
    assert recognised(lambda pages: pages) == [good_page(1), good_page(2), good_page(3)]
    assert recognised(tuple, 2) == [good_page(1), good_page(2)]


class Loud(Page):
    """A page that cannot be looked at."""

    def model_dump(self, **_: Any) -> dict[str, Any]:
        raise LookupError("no")


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda page: None, "a NoneType and no Page"),
        (lambda page: page.model_dump(), "a dict and no Page"),
        (lambda page: page.model_copy(update={"number": 3}), "page 3 for page 2"),
        (lambda page: page.model_copy(update={"number": "two"}), "number must be a whole number"),
        (lambda page: page.model_copy(update={"width": 1001}), "a page of 1001 x 1400 pixels for one of 1000 x 1400"),
        (lambda page: page.model_copy(update={"dpi": NAN}), "a resolution or rotation that is no number"),
        (lambda page: page.model_copy(update={"rotation_confidence": INF}), "a resolution or rotation that is no"),
        (lambda page: page.model_copy(update={"rotation": 45}), "rotation must be 0, 90, 180 or 270"),
        (lambda page: page.model_copy(update={"languages": ("\udfff",)}), "a language that is not text"),
        (lambda page: page.model_copy(update={"blocks": None}), "blocks must be a list"),
        (lambda page: page.model_copy(update={"blocks": ["block"]}), "blocks.0 must be"),
        (lambda page: Page.model_construct(), "is missing"),
        (lambda page: Loud(**page.model_dump()), r"a Page that cannot be looked at \(LookupError\)"),
        (lambda page: with_word(page, id="p002-w0002"), "two words p002-w0002"),
        (lambda page: with_word(page, id="p001-w0001"), "the word id 'p001-w0001', which is not as p002-w0001"),
        (lambda page: with_word(page, id="p002-w1"), "the word id 'p002-w1'"),
        (lambda page: with_word(page, id="p002-w0001\n"), r"the word id 'p002-w0001\\n'"),
        (lambda page: with_word(page, id="p002-w\u0661\u0661\u0661\u0661"), "the word id 'p002-w.u0661"),
        (lambda page: with_word(page, id="../../../x"), "the word id '../../../x'"),
        (lambda page: with_word(page, id=1), "id must be text"),
        (lambda page: with_word(page, text=b"bytes\xff"), "text must be Unicode text"),
        (lambda page: with_word(page, text=None), "text must be text"),
        (lambda page: with_word(page, text="a\ud800"), r"word p002-w0001 with an invalid text: 'a\\ud800'"),
        (lambda page: with_word(page, text="a\0"), r"word p002-w0001 with an invalid text: 'a\\x00'"),
        (lambda page: with_word(page, confidence=NAN), "confidence must be at most 1"),
        (lambda page: with_word(page, confidence=-0.1), "confidence must be at least 0"),
        (lambda page: with_word(page, confidence=97), "confidence must be at most 1"),
        (
            lambda page: with_word(page, bbox=(0, 0, NAN, 1)),
            r"word 'p002-w0001' at \(nan, 1\) on a page of 1000",
        ),
        (lambda page: with_word(page, bbox=(0, 0, 1, 9999)), r"word 'p002-w0001' at \(1, 9999\) on a page"),
        (lambda page: with_word(page, bbox=(5, 0, 1, 1)), "word 'p002-w0001' with a box whose right or bottom comes"),
        (lambda page: with_word(page, bbox=(0, 0, 1)), "bbox.3 is missing"),
        (lambda page: with_word(page, polygon=((0, 0), (1, 0), (1, INF), (0, 1))), r"at \(1, inf\)"),
        (lambda page: with_word(page, polygon=((0, 0), (1, 1))), "polygon.2 is missing"),
        (lambda page: with_word(page, polygon=((0, 0), (-500, 0), (1, 1), (0, 1))), r"at \(-500, 0\)"),
        (lambda page: with_word(page, crop=Crop(uri="s3://theirs/x")), "word p002-w0001 with a crop"),
        (lambda page: with_block(page, bbox=(0, 0, 1, 9999)), r"a block at \(1, 9999\)"),
        (lambda page: with_block(page, confidence=2.0), "confidence must be at most 1"),
        (lambda page: with_block(page, paragraphs=({"lines": 3},)), "is missing"),
    ],
)
def test_a_page_that_cannot_be_right_fails_and_its_neighbours_do_not(
    spoil: Callable[[Page], Any], complaint: str
) -> None:
    first, bad, last = recognised(lambda pages: [pages[0], spoil(pages[1]), pages[2]])
    assert (first, last) == (good_page(1), good_page(3))
    assert bad.error is not None
    assert bad.error.code == "engine.failed"
    assert (bad.number, bad.width, bad.height, bad.blocks) == (2, *SIZE, ())
    assert re.search(complaint, bad.error.message), bad.error.message
    assert bad.error.message.startswith("astray returned ")
    assert bad.model_dump_json()


@pytest.mark.parametrize(
    ("results", "complaint"),
    [
        (lambda pages: pages[:2], "2 results for 3 pages"),
        (lambda pages: [*pages, pages[0]], "4 results for 3 pages"),
        (lambda pages: [], "0 results for 3 pages"),
        (lambda pages: None, "a NoneType and no list of results"),
        (lambda pages: "abc", "a str and no list of results"),
        (iter, "a list_iterator and no list of results"),
    ],
)
def test_where_the_number_is_wrong_no_page_can_be_told(results: Callable[[list[Page]], Any], complaint: str) -> None:
    for page in recognised(results):
        assert page.error is not None
        assert (page.error.code, page.error.message) == ("engine.failed", f"astray returned {complaint}.")


def test_a_box_may_hang_over_the_edge_a_little() -> None:
    over = with_word(good_page(1), bbox=(-20.0, -20.0, 1020.0, 1420.0))
    assert check_results([over], [page_image(1)], "any") == [over]


def test_numbers_and_lists_are_taken_as_the_schema_has_them() -> None:
    word = {"bbox": [0, 1, 2, 3], "polygon": [[0, 1], [2, 1], [2, 3], [0, 3]], "confidence": 1}
    (checked,) = check_results([with_word(good_page(1), **word)], [page_image(1)], "any")
    assert isinstance(checked, Page)
    found = next(checked.words())
    assert found.bbox == (0.0, 1.0, 2.0, 3.0)
    assert isinstance(found.confidence, float)
    assert isinstance(found.polygon, tuple)


@pytest.mark.parametrize("error", [EngineFailed("Told to."), EngineOutOfMemory()])
def test_errors_pass(error: EngineFailed | EngineOutOfMemory) -> None:
    assert check_results([error], [page_image(1)], "any") == [error]


def test_the_check_hides_neither_want_of_memory_nor_the_time_limit() -> None:
    def page_that_raises(error: BaseException) -> Page:
        class Raising(Page):
            def model_dump(self, **_: Any) -> dict[str, Any]:
                raise error

        return Raising(number=1, width=SIZE[0], height=SIZE[1])

    (found,) = check_results([page_that_raises(MemoryError())], [page_image(1)], "any")
    assert isinstance(found, EngineOutOfMemory)
    with pytest.raises(SoftTimeLimitExceeded):
        check_results([page_that_raises(SoftTimeLimitExceeded())], [page_image(1)], "any")


def test_an_error_that_the_engine_puts_on_its_page_stays() -> None:
    page = Page(number=1, width=SIZE[0], height=SIZE[1], error=ErrorInfo(code="engine.failed", message="Blank."))
    assert check_results([page], [page_image(1)], "any") == [page]


@pytest.mark.parametrize("kind", get_args(Garbage))
def test_all_that_the_null_engine_calls_garbage_is_found(kind: Garbage) -> None:
    (found,) = check_results(garbage(good_page(1), kind), [page_image(1)], "null")
    assert isinstance(found, EngineFailed)


def test_the_check_takes_a_few_milliseconds_at_most() -> None:
    page, image, fastest = good_page(1, words=500), page_image(1), 1.0
    for _ in range(5):
        begin = time.thread_time()
        check_results([page], [image], "any")
        fastest = min(fastest, time.thread_time() - begin)
    assert fastest < 0.02
