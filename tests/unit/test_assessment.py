"""Whether a page goes on to the next engine, what is made of two readings, and how far engines agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from ocrqueue.document import Crop, Document, EngineInfo, InputInfo, Line, Page, Word, box_of
from ocrqueue.errors import EngineFailed
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.routes.assessment import Thresholds, assess, mean_of, thresholds, uncertain_lines
from ocrqueue_worker.routes.comparison import compared
from ocrqueue_worker.routes.merging import settled, with_lines, without_crops
from ocrqueue_worker.routes.parts import doubtful_parts, put_together
from tests.support.documents import block_of, line_of, page_of, paragraph_of, word

LIMITS = Thresholds(page_below=0.75, low_word=0.6, low_share=0.5, line_below=0.8)


def page_with(*confidences: Sequence[float | None]) -> Page:
    """A line for each, of words with these confidences."""
    lines = []
    for row, line in enumerate(confidences):
        boxes = [(60.0 * column, 30.0 * row, 60.0 * column + 50, 30.0 * row + 20) for column in range(len(line))]
        words = [word(f"w{row}{place}", box, each) for place, (box, each) in enumerate(zip(boxes, line, strict=True))]
        named = [one.model_copy(update={"id": f"p001-w{row}{place}"}) for place, one in enumerate(words)]
        lines.append(line_of(named))
    return Page(number=1, width=400, height=300, blocks=(block_of([paragraph_of(lines)]),) if lines else ())


@pytest.mark.parametrize(
    ("page", "verdict", "reason"),
    [
        (page_with(), "page sent on", "no words found"),
        (page_with((0.9, 0.9), (0.8, 0.8)), "kept", "mean confidence 0.85"),
        (page_with((0.9, 0.5), (0.9, 0.6)), "page sent on", "mean confidence 0.72 is below 0.75"),
        (page_with((1.0, 1.0), (0.59, 0.59, 0.59)), "page sent on", "60% of the words are below 0.60"),
        (page_with((1.0, 1.0), (0.7, 0.8)), "lines sent on", "lines with a part below 0.80: 1"),
        (page_with((None, None)), "kept", "its words have no confidence"),
        (page_with((None, 0.9), (None,)), "kept", "mean confidence 0.90"),
        (Page(number=1, width=9, height=9, error=EngineFailed().info), "failed", "engine.failed"),
    ],
)
def test_the_verdict_on_a_page(page: Page, verdict: str, reason: str) -> None:
    reading = assess(page, "tesseract", 1.23456, LIMITS)
    assert (reading.verdict, reading.reason, reading.seconds) == (verdict, reason, 1.2346)
    assert reading.words == len(list(page.words()))


def test_at_a_threshold_a_page_and_a_line_stay() -> None:
    limits = Thresholds(page_below=0.75, low_word=0.6, low_share=0.5, line_below=0.75)
    assert assess(page_with((0.75, 0.75)), "tesseract", 0, limits).verdict == "kept"
    assert assess(page_with((1.0, 0.5)), "tesseract", 0, limits).verdict == "kept"


def test_lines_without_confidence_stay_and_so_do_all_where_lines_do_not_go_on() -> None:
    page = page_with((0.7,), (None,), (0.9,), (0.1, 0.9))
    assert uncertain_lines(page, LIMITS) == [0, 3]
    assert uncertain_lines(page, Thresholds(0.75, 0.6, 0.5, None)) == []


def test_the_settings_say_percent_by_engine() -> None:
    settings = load_worker_settings(
        fallback_page_below="10,tesseract=60",
        fallback_lines_page_below=50,
        fallback_low_word=20,
        fallback_low_share=30,
        fallback_line_below=40,
    )
    assert thresholds(settings, "tesseract", by_lines=False) == Thresholds(0.6, 0.2, 0.3, None)
    assert thresholds(settings, "rapid", by_lines=False).page_below == 0.1
    assert thresholds(settings, "tesseract", by_lines=True) == Thresholds(0.5, 0.2, 0.3, 0.4)
    whole_pages = settings.model_copy(update={"fallback_lines": False})
    assert thresholds(whole_pages, "tesseract", by_lines=True) == Thresholds(0.6, 0.2, 0.3, None)


def test_lines_that_were_read_again_take_their_places() -> None:
    page = page_of(1, [[[["one", "two"], ["three"]], [["four"]]], [[["five"]]]], confidence=0.5)
    again = line_of([word(text, (10, 40, 40, 60), 1.0) for text in ("3", "drei", "tres")])
    second = line_of([word("5", (10, 100, 60, 120), 0.7)])
    merged = with_lines(page, {1: again, 3: second}, "rapid")
    assert merged.text == "one two\n3 drei tres\n\nfour\n\n5"
    assert [each.id for each in merged.words()] == [f"p001-w{number:04d}" for number in range(1, 8)]
    assert [each.engine for each in merged.words()] == [None, None, "rapid", "rapid", "rapid", None, "rapid"]
    before, after = list(page.lines()), list(merged.lines())
    assert [line.polygon for line in after] == [line.polygon for line in before]
    assert [line.confidence for line in after] == [None, 1.0, None, 0.7]
    assert merged.blocks[1].confidence == 0.7


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (0.7, [0.9, 0.5], "second"),
        (0.7, [0.7], "second"),
        (0.7, [None], "second"),
        (0.7, [0.69], "first"),
        (0.5, [0.69], "first"),
        (0.5, [], "first"),
        (0.49, [], "none"),
        (0.1, [0.4], "none"),
        (0.1, [0.69], "none"),
        (0.1, [0.7], "second"),
    ],
)
def test_a_line_that_neither_engine_takes_for_text_is_left_out(
    first: float, second: list[float | None], stands: str
) -> None:
    before = line_of([word("first", (10, 10, 60, 30), first)])
    again = before.model_copy(update={"words": tuple(word("second", (10, 10, 60, 30), each) for each in second)})
    page = Page(number=1, width=99, height=99, blocks=(block_of([paragraph_of([before])]),))
    merged = with_lines(page, {0: settled(before, again)}, "rapid")
    assert {each.text for each in merged.words()} == ({stands} if stands != "none" else set())
    assert bool(merged.blocks) == (stands != "none")


def test_a_line_that_two_engines_read_again_is_the_last_ones() -> None:
    page = with_lines(page_of(1, [[[["one"], ["two"]]]]), {0: line_of([word("1", (10, 10, 60, 30))])}, "rapid")
    merged = with_lines(page, {1: line_of([word("2", (10, 40, 60, 60))])}, "vision")
    assert [each.engine for each in merged.words()] == ["rapid", "vision"]


def test_noise_that_was_read_again_as_words_of_other_lines_is_left_out() -> None:
    """A line of specks between two lines of print: its box holds parts of both."""
    sure = [line_of([word(text, (10, top, 90, top + 20), 0.98)]) for text, top in (("upper", 10), ("lower", 40))]
    noise = line_of([word("~;", (10, 12, 90, 58), 0.11)])
    page = Page(number=1, width=99, height=99, blocks=(block_of([paragraph_of([sure[0], noise, sure[1]])]),))
    again = line_of([word(text, (12, top, 88, top + 26), 0.97) for text, top in (("upper", 7), ("lower", 37))])
    merged = with_lines(page, {1: again}, "rapid")
    assert merged.text == "upper\nlower"
    assert merged.unread == ()
    assert mean_of(list(merged.words())) == pytest.approx(0.98)


def test_of_two_lines_that_were_read_again_alike_the_surer_one_stands() -> None:
    boxes = ((10, 10, 90, 30), (10, 12, 90, 34))
    lines = [line_of([word("?", box, 0.3)]) for box in boxes]
    page = Page(number=1, width=99, height=99, blocks=(block_of([paragraph_of(lines)]),))
    read = {place: line_of([word(f"word{place}", box, 0.8 + place / 10)]) for place, box in enumerate(boxes)}
    assert with_lines(page, dict(read), "rapid").text == "word1"


def test_lines_that_stand_close_keep_their_words() -> None:
    lines = [line_of([word("?", (10, top, 90, top + 20), 0.3)]) for top in (10, 32)]
    page = Page(number=1, width=99, height=99, blocks=(block_of([paragraph_of(lines)]),))
    read = {place: line_of([word(f"w{place}", (10, top, 90, top + 30), 0.9)]) for place, top in enumerate((5, 27))}
    assert with_lines(page, dict(read), "rapid").text == "w0\nw1"


def test_only_the_doubtful_part_of_a_line_is_read_again() -> None:
    """An article and its price, which stand wide apart."""
    sure, price = (
        [word(text, box, 0.95) for text, box in (("Oat", (10, 10, 30, 20)), ("bread", (33, 10, 60, 20)))],
        (80, 10, 98, 20),
    )
    page = Page(
        number=1, width=99, height=99, blocks=(block_of([paragraph_of([line_of([*sure, word("5°3O", price, 0.4)])])]),)
    )
    assert uncertain_lines(page, LIMITS) == [0]
    (part,) = doubtful_parts(page, [0], 0.8)
    assert (part.line.text, part.line.bbox) == ("5°3O", price)
    again = part.line.model_copy(update={"words": (word("5.30", price, 0.9),)})
    merged = with_lines(page, put_together(page, [part], [settled(part.line, again)]), "rapid")
    assert [(each.text, each.engine) for each in merged.words()] == [("Oat", None), ("bread", None), ("5.30", "rapid")]
    assert [each.id for each in merged.words()] == ["p001-w0001", "p001-w0002", "p001-w0003"]
    nothing = part.line.model_copy(update={"words": ()})
    emptied = with_lines(page, put_together(page, [part], [settled(part.line, nothing)]), "rapid")
    assert (emptied.text, emptied.unread) == ("Oat bread", (0.4,))
    assert put_together(page, [part], [None]) == {0: None}


def test_words_that_stand_close_are_one_part_whichever_way_they_run() -> None:
    close = line_of([word("one", (10, 10, 30, 20), 0.9), word("two", (33, 10, 60, 20), 0.1)])
    page = Page(number=1, width=99, height=99, blocks=(block_of([paragraph_of([close])]),))
    assert [part.line for part in doubtful_parts(page, [0], 0.8)] == [close]
    down = [((20, top), (20, top + 20), (10, top + 20), (10, top)) for top in (10, 33, 70)]
    words = [word("w", box_of([polygon]), 0.1).model_copy(update={"polygon": polygon}) for polygon in down]
    standing = Page(number=1, width=99, height=99, blocks=(block_of([paragraph_of([line_of(words)])]),))
    assert [(part.first, part.end) for part in doubtful_parts(standing, [0], 0.8)] == [(0, 2), (2, 3)]


def test_what_no_engine_could_read_counts_against_the_page() -> None:
    sure = line_of([word("sure", (10, 10, 60, 30), 0.98)])
    noise = line_of([word(text, (10, 60, 60, 80), 0.1) for text in "ab"])
    page = Page(number=1, width=99, height=99, blocks=(block_of([paragraph_of([sure, noise])]),))
    merged = with_lines(page, {1: settled(noise, noise.model_copy(update={"words": ()}))}, "rapid")
    assert merged.text == "sure"
    assert merged.unread == (0.1, 0.1)
    entry = assess(merged, "rapid", 0, LIMITS)
    assert entry.mean_confidence == pytest.approx(1.18 / 3, abs=1e-4)
    assert entry.low_share == pytest.approx(2 / 3, abs=1e-4)
    assert document(merged).mean_confidence == pytest.approx(1.18 / 3)
    assert "unread" not in page.model_dump(mode="json")


def test_a_page_loses_the_crops_of_another_job() -> None:
    crop = Crop(uri="s3://other/crop.png")
    words = [each.model_copy(update={"crop": crop}) for each in page_with((0.5, 0.5)).words()]
    cropped = page_with().model_copy(update={"blocks": (block_of([paragraph_of([line_of(words)])]),)})
    assert [(each.text, each.crop) for each in without_crops(cropped).words()] == [("w00", None), ("w01", None)]


def document(page: Page) -> Document:
    return Document(
        job_id="job",
        status="succeeded",
        input=InputInfo(uri="s3://in/put.png", sha256="0" * 64, format="PNG", bytes=1),
        engine=EngineInfo(name="any", version="1", model="1"),
        languages=("eng",),
        finished_at=datetime(2026, 1, 1, tzinfo=UTC),
        pages=(page,),
    )


def compared_words(first: Page, **others: Page) -> list[Word]:
    return list(compared(document(first), {name: document(page) for name, page in others.items()}).words())


def boxed(*words: tuple[str, tuple[float, float, float, float]], **fields: str) -> Page:
    named = [
        word(text, box).model_copy(update={"id": f"p001-w{number}"}) for number, (text, box) in enumerate(words, 1)
    ]
    blocks = (block_of([paragraph_of([line_of(named)])]),) if named else ()
    return Page(number=1, width=400, height=300, blocks=blocks).model_copy(update=fields)


def test_agreement_is_the_share_of_the_others_that_read_the_same_in_its_place() -> None:
    first = boxed(("total", (0, 0, 50, 20)), ("9.00", (60, 0, 110, 20)), ("RM", (120, 0, 150, 20)))
    second = boxed(("9.00", (62, 1, 111, 20)), ("total", (1, 0, 50, 21)))
    third = boxed(("Total", (0, 0, 50, 20)), ("9.00", (60, 0, 100, 20)), ("RM", (200, 0, 230, 20)))
    total, price, currency = compared_words(first, second=second, third=third)
    assert (total.readings, total.agreement) == ({"second": "total", "third": "Total"}, 0.5)
    assert (price.readings, price.agreement) == ({"second": "9.00", "third": "9.00"}, 1.0)
    assert (currency.readings, currency.agreement) == ({"second": None, "third": None}, 0.0)


def test_words_are_in_one_place_whether_boxes_are_as_high_as_letters_or_as_lines() -> None:
    first = boxed(("total", (0, 10, 50, 20)), ("9.00", (60, 10, 110, 20)), ("above", (0, 0, 50, 6)))
    second = boxed(("total", (1, 4, 49, 26)), ("9.00", (55, 4, 115, 26)))
    total, price, above = compared_words(first, second=second)
    assert (total.agreement, price.agreement, above.readings) == (1.0, 1.0, {"second": None})


def test_a_word_of_another_engine_stands_for_one_word_at_most() -> None:
    first = boxed(("same", (0, 0, 50, 20)), ("same", (2, 0, 52, 20)))
    one, other = compared_words(first, second=boxed(("same", (2, 0, 52, 20))))
    assert (one.agreement, other.agreement) == (0.0, 1.0)


def test_an_engine_of_lower_case_says_nothing_of_capitals_and_accents_are_composed() -> None:
    first = boxed(("CAFÉ", (0, 0, 50, 20)))
    (found,) = compared_words(first, keras=boxed(("cafe\u0301", (0, 0, 50, 20)), text_case="lower"))
    assert found.agreement == 1.0


def test_a_page_that_nobody_else_could_read_is_not_compared() -> None:
    failed = Page(number=1, width=9, height=9, error=EngineFailed().info)
    (found,) = compared_words(boxed(("word", (0, 0, 50, 20))), second=failed)
    assert (found.readings, found.agreement) == ({}, None)
    (found,) = compared_words(boxed(("word", (0, 0, 50, 20))), second=failed, third=boxed())
    assert (found.readings, found.agreement) == ({"third": None}, 0.0)


def page_of_line(line: Line) -> Page:
    return Page(number=1, width=400, height=300, blocks=(block_of([paragraph_of([line])]),))


def test_parts_of_a_line_that_read_the_same_word_give_it_once() -> None:
    """Each part is read with what is around it: the colon after one is the next one's first."""
    total, colon = word("Total", (10, 10, 60, 30), 0.5), word(":", (80, 14, 86, 28), 0.5)
    price = word("9.50", (140, 10, 190, 30), 0.97)
    page = page_of_line(line_of([total, colon, price]))
    parts = doubtful_parts(page, [0], 0.9)
    assert len(parts) == 2
    read = [
        line_of([word("Total", (10, 8, 60, 32), 0.99), word(":", (78, 8, 90, 32), 0.9)]),
        line_of([word(":", (79, 9, 87, 31), 0.95)]),
    ]
    merged = with_lines(page, put_together(page, parts, read), "rapid")
    assert merged.text == "Total : 9.50"
    assert [each.confidence for each in merged.words()] == [0.99, 0.95, 0.97]
    assert merged.unread == ()


def test_a_word_that_is_placed_too_narrow_gives_way_to_what_is_read_around_it() -> None:
    clay, kiddy = word("CLAY", (10, 10, 60, 30), 0.5), word("KIDDY", (100, 14, 107, 22), 0.97)
    page = page_of_line(line_of([clay, kiddy]))
    (part,) = doubtful_parts(page, [0], 0.9)
    read = line_of([word("CLAY", (10, 8, 60, 32), 0.99), word("KIDDY", (98, 8, 140, 30), 0.99)])
    merged = with_lines(page, put_together(page, [part], [read]), "rapid")
    assert merged.text == "CLAY KIDDY"
    assert [each.engine for each in merged.words()] == ["rapid", "rapid"]


def test_a_piece_of_a_word_that_a_part_beside_it_has_read_is_left_out() -> None:
    """Even where it was read with more confidence."""
    jalan, twelve = word("JA|AN", (10, 10, 60, 30), 0.5), word("l2", (110, 10, 150, 30), 0.5)
    page = page_of_line(line_of([jalan, twelve]))
    parts = doubtful_parts(page, [0], 0.9)
    read = [
        line_of([word("JALAN", (10, 8, 62, 32), 0.9)]),
        line_of([word("AN", (40, 8, 62, 32), 0.97), word("12", (110, 8, 150, 32), 0.99)]),
    ]
    merged = with_lines(page, put_together(page, parts, read), "rapid")
    assert merged.text == "JALAN 12"
