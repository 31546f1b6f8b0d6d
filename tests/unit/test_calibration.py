"""Curves from an engine's confidence to the share of right words: learned, measured, kept, applied."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue.calibration import (
    Calibration,
    Curve,
    Sample,
    Table,
    TruthFormat,
    as_given,
    as_stated,
    bins,
    calibration_error,
    fitted,
    held_out,
    labelled,
    model_name,
    parse_table,
    read_table,
    read_truth,
    true_lines,
)
from ocrqueue.calibration.diagram import Series, reliability_diagram
from ocrqueue.document import EngineInfo, Page
from ocrqueue.errors import CalibrationInvalid
from ocrqueue_worker.calibration import calibrated_line, calibrated_page, chosen_table
from ocrqueue_worker.pipeline.invented_words import doubted
from ocrqueue_worker.routes.assessment import Thresholds, assess
from ocrqueue_worker.routes.merging import with_lines
from ocrqueue_worker.routes.parts import has_doubtful_part
from tests.support.documents import block_of, document_of, line_of, page_of, paragraph_of, word

INFO = EngineInfo(name="keras", version="0.9.3", model="small 1 02b37772b0e9")
HALF = Curve(points=((0.0, 0.0), (1.0, 0.5)))


def overconfident(pages: int, words: int = 100, seed: int = 1) -> list[list[Sample]]:
    """An engine whose words are right with the square of what it says."""
    random = Random(seed)
    raw = [[random.random() for _ in range(words)] for _ in range(pages)]
    return [[Sample(one, one, random.random() < one**2) for one in page] for page in raw]


def test_calibrated_confidences_are_what_they_say_on_pages_that_were_not_learned() -> None:
    pages = overconfident(40)
    assert calibration_error(as_given(pages)) > 0.12
    assert calibration_error(held_out(pages)) < 0.04
    curve = fitted(sample for page in pages for sample in page)
    assert all(abs(curve(raw / 10) - (raw / 10) ** 2) < 0.08 for raw in range(1, 10))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=400))
def test_a_curve_rises_and_stays_between_0_and_1(read: list[tuple[float, bool]]) -> None:
    curve = fitted(Sample(raw, raw, right) for raw, right in read)
    found = [curve(raw / 50) for raw in range(51)]
    assert all(0 < after <= 1 and before <= after for before, after in pairwise(found))
    assert Curve.model_validate_json(curve.model_dump_json()) == curve


def test_a_curve_is_straight_between_its_points_and_level_beyond() -> None:
    curve = Curve(points=((0.2, 0.1), (0.4, 0.5), (0.9, 0.9)))
    assert [curve(raw) for raw in (0.0, 0.2, 0.3, 0.4, 0.65, 0.9, 1.0)] == [0.1, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9]


def test_words_with_one_confidence_make_one_point() -> None:
    assert fitted([Sample(0.9, 0.9, number % 4 > 0) for number in range(200)]).points == ((0.9, 0.7475),)
    with pytest.raises(ValueError, match="no words"):
        fitted([])


def test_the_error_is_the_mean_distance_of_bins() -> None:
    stated = [(0.9, True)] * 6 + [(0.9, False)] * 4 + [(0.1, False)] * 10
    assert calibration_error(stated) == pytest.approx((10 * 0.3 + 10 * 0.1) / 20)
    assert [part.words for part in bins([*stated, (1.0, True)])] == [10, 10, 1]
    assert calibration_error([]) == 0


def test_held_out_needs_two_pages() -> None:
    with pytest.raises(ValueError, match="two pages"):
        held_out([[Sample(0.5, 0.5, True)], []])


# --- which words are right ---


def right(page: Page, text: str, truth: Any = "txt", *, fold: bool = False) -> list[bool]:
    read = document_of(page)
    return [sample.right for sample in labelled(read, true_lines(text, truth), fold_case=fold)]


def test_a_true_word_is_read_once() -> None:
    page = page_of(1, [[[["5.00", "5.00", "Total"]]]])
    assert right(page, "5.00\nTotal") == [True, False, True]
    assert right(page, "5.00 5.00 TOTAL") == [True, True, False]
    assert right(page, "5.00 5.00 TOTAL", fold=True) == [True, True, True]
    assert right(page.model_copy(update={"text_case": "lower"}), "TOTAL") == [False, False, True]


def test_with_boxes_a_word_is_right_where_it_stands() -> None:
    page = page_of(1, [[[["a", "b"], ["b", "a"]]]])  # 50 x 20 on a grid of 60 x 30, from (10, 10) on
    csv = "10,10,120,10,120,30,10,30,a, b\nno,line\n10,40,120,40,120,60,10,60,a"
    assert right(page, csv, "csv") == [False, True, False, True]
    assert right(page, csv.replace("a, b", "a b"), "csv") == [True, True, False, True]


def test_words_without_a_confidence_say_nothing_and_words_without_spaces_belong_together() -> None:
    words = [
        word("漢", (0, 0, 10, 10)).model_copy(update={"space_after": False}),
        word("字", (10, 0, 20, 10)),
        word("x", (30, 0, 40, 10), None),
    ]
    page = Page(number=1, width=50, height=20, blocks=(block_of([paragraph_of([line_of(words)])]),))
    assert right(page, "漢字 x") == [True, True]
    assert right(page, "漢 字 x") == [False, False]


def test_samples_have_what_the_engine_gave_and_what_the_document_states() -> None:
    page = calibrated_page(page_of(1, [[[["a"]]]], 0.8), HALF)
    assert labelled(document_of(page), true_lines("a", "txt")) == [Sample(0.8, 0.4, True)]
    assert as_given([[Sample(0.8, 0.4, True)]]) == [(0.8, True)]
    assert as_stated([[Sample(0.8, 0.4, True)]]) == [(0.4, True)]


# --- the table ---


def learned(info: EngineInfo = INFO, pages: int = 4) -> Calibration:
    return Calibration.learned(info, overconfident(pages), "made words", ["eng"])


@pytest.mark.parametrize(
    ("content", "truth", "told"),
    [
        (b"ab\xff", "txt", "is not UTF-8: its byte 3 is 0xff"),
        ("words".encode("utf-16"), "csv", "is not UTF-8: its byte 1 is 0xff"),
        (b"text,1,2,3,4\nnan,1,2,3,4,5,6,7,word\n", "csv", "has no line `x1,y1"),
        (None, "txt", "cannot be read: No such file"),
    ],
)
def test_a_text_that_cannot_be_one_is_told(
    tmp_path: Path, content: bytes | None, truth: TruthFormat, told: str
) -> None:
    if content is not None:
        (tmp_path / f"a.{truth}").write_bytes(content)
    with pytest.raises(CalibrationInvalid, match=told):
        read_truth(tmp_path / "a.png", truth)


def test_an_empty_text_is_that_of_an_empty_page(tmp_path: Path) -> None:
    for truth in ("txt", "csv"):
        (tmp_path / f"a.{truth}").write_text("\n")
    assert read_truth(tmp_path / "a.png", "csv") == []
    assert [line.text.split() for line in read_truth(tmp_path / "a.png", "txt")] == [[]]


def test_long_descriptions_are_cut() -> None:
    long = Calibration.learned(
        INFO.model_copy(update={"version": "v" * 999}), overconfident(4, 100), "x" * 999, ["eng"]
    )
    assert (len(long.version), len(long.learned_on)) == (300, 300)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    table = Table(calibrations=(learned(),))
    path.write_text(table.to_json())
    assert read_table(path) == table
    (calibration,) = table.calibrations
    assert (calibration.model, calibration.pages, calibration.words) == ("small 1", 4, 400)
    assert calibration.error < calibration.error_before
    assert len(calibration.id) == 12
    assert calibration.id == read_table(path).calibrations[0].id


def test_a_calibration_is_for_its_engine_and_model() -> None:
    table = Table(calibrations=(learned(),))
    other = INFO.model_copy(update={"model": "small 1 ffffffffffff"})
    assert table.find(other) == table.calibrations[0]
    assert table.find(INFO.model_copy(update={"model": "stock 1 02b37772b0e9"})) is None
    assert table.find(INFO.model_copy(update={"name": "rapid"})) is None
    tesseract = EngineInfo(name="tesseract", version="5", model="eng:0123+kor:4567")
    assert model_name(tesseract) is None
    for model in ("of the server", "builtin", "Large", "Large 2"):
        assert model_name(tesseract.model_copy(update={"model": model})) == model
    assert model_name(tesseract.model_copy(update={"model": "Large 2 02b37772b0e9"})) == "Large 2"
    whatever = table.with_calibrations([learned(tesseract)])
    assert whatever.find(tesseract.model_copy(update={"model": "deu:89ab"})) is not None


def test_a_newer_calibration_takes_the_place_of_its_own_and_an_operators_that_of_the_engines() -> None:
    shipped = Table(calibrations=(learned(), learned(INFO.model_copy(update={"name": "rapid"}))))
    anew = learned(pages=6)
    assert [one.pages for one in shipped.with_calibrations([anew]).calibrations] == [4, 6]
    own = Table(calibrations=(learned(INFO.model_copy(update={"model": "mine 2 0123456789ab"}), pages=8),))
    assert [(one.engine, one.pages) for one in own.before(shipped).calibrations] == [("keras", 8), ("rapid", 4)]


@pytest.mark.parametrize("pages", [[], [[]], overconfident(1, 500), overconfident(4, 10)])
def test_too_few_words_teach_nothing(pages: list[list[Sample]]) -> None:
    with pytest.raises(CalibrationInvalid, match="keras has read"):
        Calibration.learned(INFO, pages, "", ["eng"])


@pytest.mark.parametrize(
    "change",
    [
        {"points": []},
        {"points": [[0.5, 0.5], [0.4, 0.6]]},
        {"points": [[0.4, 0.6], [0.5, 0.5]]},
        {"points": [[0.4, 1.6]]},
        {"points": [[0.1, math.nan]]},
        {"points": [[number / 1000, 0.5] for number in range(500)]},
        {"engine": "../x"},
        {"more": 1},
    ],
)
def test_a_table_from_elsewhere_is_checked(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"version": 1, "calibrations": [json.loads(learned().model_dump_json()) | change]}))
    with pytest.raises(CalibrationInvalid, match="is no table of calibrations"):
        read_table(path)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"[]", b"\xff", b'{"version": 2, "calibrations": []}'):
        with pytest.raises(CalibrationInvalid):
            parse_table(content, "it")
    (tmp_path / "large").write_bytes(b" " * 1_000_001)
    for name in ("large", "missing", "."):
        with pytest.raises(CalibrationInvalid):
            read_table(tmp_path / name)


# --- where it applies ---


def test_the_shipped_table_reads_and_holds_its_promise() -> None:
    shipped = chosen_table("shipped")
    assert {known.engine for known in shipped.calibrations} == {"tesseract", "rapid", "keras"}
    assert all(known.error <= 0.05 and known.error < known.error_before for known in shipped.calibrations)
    assert chosen_table("none").calibrations == ()


def test_an_operators_table_leaves_the_other_engines_as_shipped(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(Table(calibrations=(learned(),)).to_json())
    chosen = chosen_table(str(path))
    assert [known.learned_on == "made words" for known in chosen.calibrations if known.engine == "keras"] == [True]
    assert {known.engine for known in chosen.calibrations} == {"tesseract", "rapid", "keras"}
    with pytest.raises(CalibrationInvalid):
        chosen_table(str(tmp_path / "missing.json"))


def test_words_are_calibrated_and_all_around_them_follows() -> None:
    page = calibrated_page(page_of(1, [[[["a", "b"]]]], 0.8), HALF)
    (block,) = page.blocks
    (paragraph,) = block.paragraphs
    (line,) = paragraph.lines
    assert [part.confidence for part in (block, paragraph, line, *line.words)] == [0.4] * 5
    assert [(one.raw_confidence, one.engine_confidence) for one in line.words] == [(0.8, 0.8)] * 2
    assert calibrated_page(page, HALF) == page, "once is enough"
    assert '"raw_confidence":0.8' in page.model_dump_json()


def test_without_a_curve_or_confidences_nothing_changes() -> None:
    page = page_of(1, [[[["a"]]]], 0.8)
    assert calibrated_page(page, None) is page
    assert "raw_confidence" not in page.model_dump_json()
    assert next(page.words()).engine_confidence == 0.8
    unknown = page_of(1, [[[["a"]]]], None)
    assert calibrated_page(unknown, HALF) is unknown
    line = next(page.lines())
    assert calibrated_line(line, None) is line


def test_a_page_of_invented_words_is_doubted_by_what_the_engine_said() -> None:
    sure = calibrated_page(page_of(1, [[[["--", "::"]]]], 0.9), HALF)
    found = next(doubted(sure, ["eng"]).words())
    assert (found.confidence, found.raw_confidence) == (0.225, 0.45)
    written = calibrated_page(page_of(1, [[[["ab", "::"]]]], 0.9), HALF)
    assert doubted(written, ["eng"]) == written


def test_what_nobody_could_read_counts_as_stated_and_is_judged_as_given() -> None:
    page = calibrated_page(page_of(1, [[[["noise"]]]], 0.4), HALF)
    nothing = next(page.lines()).model_copy(update={"words": ()})
    merged = with_lines(page, {0: nothing}, "rapid")
    assert (merged.unread, merged.raw_unread, merged.engine_unread) == ((0.2,), (0.4,), (0.4,))
    assert document_of(merged).mean_confidence == 0.2
    assert assess(merged, "rapid", 0, Thresholds(0.3, 0.3, 0.5, None)).mean_confidence == 0.4


def test_a_line_is_doubtful_by_what_the_engine_gave() -> None:
    line = calibrated_line(next(page_of(1, [[[["a", "b"]]]], 0.92).lines()), HALF)
    assert not has_doubtful_part(line, 0.9)
    assert has_doubtful_part(line, 0.93)


# --- diagrams ---


def test_a_diagram_is_well_formed_and_says_the_errors() -> None:
    pages = overconfident(4)
    series = [Series("as given", as_given(pages)), Series("<held out>", held_out(pages))]
    drawn = reliability_diagram([("tesseract", series), ("none", [Series("nothing", [])])])
    root = ElementTree.fromstring(drawn)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert f"as given: error {calibration_error(as_given(pages)):.3f}" in texts
    assert any(text is not None and text.startswith("<held out>: error 0.0") for text in texts)
