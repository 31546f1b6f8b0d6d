"""Which words follow without a space, told from Tesseract's text."""

from __future__ import annotations

import pytest

from ocrqueue_worker.engines.tesseract.backend import Output
from ocrqueue_worker.engines.tesseract.spacing import follows_directly, has_unspaced_script
from ocrqueue_worker.engines.tesseract.tsv import parse_output


def tsv(*lines: list[tuple[str, float]]) -> str:
    rows = ["1\t1\t0\t0\t0\t0\t0\t0\t500\t500\t-1\t", "2\t1\t1\t0\t0\t0\t0\t0\t500\t500\t-1\t"]
    rows.append("3\t1\t1\t1\t0\t0\t0\t0\t500\t500\t-1\t")
    for number, words in enumerate(lines, 1):
        rows.append(f"4\t1\t1\t1\t{number}\t0\t0\t{number * 20}\t500\t10\t-1\t")
        for place, (text, confidence) in enumerate(words, 1):
            rows.append(f"5\t1\t1\t1\t{number}\t{place}\t{place * 50}\t{number * 20}\t40\t10\t{confidence}\t{text}")
    return "\n".join(rows) + "\n"


def words(output: Output) -> list[tuple[str, bool, float | None]]:
    blocks = parse_output(output, 1, lambda polygon: polygon)
    lines = [line for block in blocks for paragraph in block.paragraphs for line in paragraph.lines]
    return [(word.text, word.space_after, word.confidence) for line in lines for word in line.words]


def test_hangul_parts_are_joined_with_their_box_and_weighted_confidence() -> None:
    output = Output(tsv([("도", 90.0), ("서관", 60.0), ("의", 80.0)]), "도서관 의\n")
    assert words(output) == [("도서관", True, 0.7), ("의", True, 0.8)]
    word = next(iter(parse_output(output, 1, lambda polygon: polygon)[0].paragraphs[0].lines[0].words))
    assert word.bbox == (50, 20, 140, 30)


def test_a_number_and_its_hangul_unit_are_one_word() -> None:
    assert [text for text, _, _ in words(Output(tsv([("1,284", 90.0), ("권", 90.0)]), "1,284권\n"))] == ["1,284권"]


def test_han_words_stay_apart_without_a_space_between() -> None:
    output = Output(tsv([("日本", 90.0), ("語", 90.0), ("OK", 90.0)]), "日本語 OK\n")
    assert words(output) == [("日本", False, 0.9), ("語", True, 0.9), ("OK", True, 0.9)]
    assert parse_output(output, 1, lambda polygon: polygon)[0].text == "日本語 OK"


def test_latin_words_are_left_as_tesseract_gives_them() -> None:
    assert words(Output(tsv([("ab", 90.0), ("cd", 90.0)]), "abcd\n")) == [("ab", True, 0.9), ("cd", True, 0.9)]


def test_a_new_line_parts_words() -> None:
    assert len(words(Output(tsv([("도", 90.0)], [("서", 90.0)]), "도\n서\n"))) == 2


def test_text_that_does_not_match_leaves_the_rest_spaced() -> None:
    assert follows_directly(["a", "b", "c"], "ab") == [False, True, False]
    assert follows_directly(["a", "b"], "") == [False, False]
    assert follows_directly([], "x") == []


@pytest.mark.parametrize(
    ("text", "unspaced"), [("abc é", False), ("도", True), ("語", True), ("ไทย", True), ("", False)]
)
def test_unspaced_scripts(text: str, unspaced: bool) -> None:
    assert has_unspaced_script(text) is unspaced


def test_blank_words_and_what_is_empty_without_them_are_left_out() -> None:
    assert words(Output(tsv([(" ", 95.0)], [("x", -1.0)]), "")) == [("x", True, None)]
    assert parse_output(Output(tsv([(" ", 95.0)]), ""), 1, lambda polygon: polygon) == ()
    assert parse_output(Output("garbage\n\n1\t2", ""), 1, lambda polygon: polygon) == ()
