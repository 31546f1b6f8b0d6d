"""Thresholds of the fallback, worked out from readings that were made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocrqueue.document import Line, Page
from tests.benchmarks.fallback_trade import (
    OFF,
    Cut,
    Outcome,
    Sample,
    best,
    cuts,
    held_out,
    load,
    outcome,
    save,
    second_alone,
    table,
    total,
)
from tests.support.accuracy import WordScore
from tests.support.documents import block_of, line_of, paragraph_of, word


def lines_of(*texts: str, confidences: tuple[float, ...]) -> list[Line]:
    return [
        line_of([word(text, (10, 30 * row, 90, 30 * row + 20), confidence) for text in line.split()])
        for row, (line, confidence) in enumerate(zip(texts, confidences, strict=True))
    ]


def page_of(lines: list[Line]) -> Page:
    return Page(number=1, width=100, height=100, blocks=(block_of([paragraph_of(lines)]),))


SAMPLE = Sample(
    name="receipt.jpg",
    true="TOTAL DUE\n9.00 RM",
    first=page_of(lines_of("totai due", "9.00 rm", confidences=(0.6, 0.9))),
    first_s=1.0,
    second=page_of(lines_of("total due", "9.00 RM", confidences=(1.0, 1.0))),
    second_s=4.0,
    lines=tuple(lines_of("total due", "900 RM", confidences=(1.0, 1.0))),
    lines_s=(0.5, 0.7),
)


@pytest.mark.parametrize(
    ("cut", "matched", "seconds"),
    [
        (Cut(OFF), 3, 1.0),
        (Cut(75), 3, 1.0),
        (Cut(76), 4, 5.0),
        (Cut(75, 61), 4, 1.5),
        (Cut(OFF, 91), 3, 2.2),
        (Cut(76, 91), 4, 5.0),
    ],
)
def test_a_page_costs_what_the_engines_that_read_it_take(cut: Cut, matched: int, seconds: float) -> None:
    found = outcome(SAMPLE, cut)
    assert (found.score.matched, found.score.true, found.seconds) == (matched, 4, pytest.approx(seconds))


def test_a_page_without_words_stays_where_no_page_goes_on() -> None:
    empty = SAMPLE.model_copy(update={"first": Page(number=1, width=9, height=9), "lines": (), "lines_s": ()})
    assert outcome(empty, Cut(OFF)).seconds == 1.0
    assert outcome(empty, Cut(1)).seconds == 5.0


def test_the_best_thresholds_are_those_of_the_highest_f1_within_the_time() -> None:
    every = table([SAMPLE], cuts([OFF, 76], [OFF, 61, 91]))
    alone = [second_alone(SAMPLE)]
    assert best(every, alone, 0.6) == Cut(OFF, 61)
    assert best(every, alone, 0.3) == Cut(OFF)
    assert best(every, alone, 0.1) == Cut(OFF)
    assert best(every, alone, 2.0) == Cut(OFF, 61)


def test_a_sample_is_held_out_of_the_choice_of_its_thresholds() -> None:
    def found(matched: int, seconds: float) -> Outcome:
        return Outcome(WordScore(10, 10, matched), seconds, 1)

    # without one of the first two the second thresholds are best, without the third the first
    every = {Cut(1): (found(9, 1), found(9, 1), found(0, 1)), Cut(2): (found(5, 1), found(5, 1), found(5, 1))}
    alone = [found(10, 2)] * 3
    assert best(every, alone, 1) == Cut(1)
    assert held_out(every, alone, 1).score.matched == 5 + 5 + 0
    assert total(every[Cut(1)]).score == WordScore(30, 30, 18)


def test_readings_are_kept(tmp_path: Path) -> None:
    save([SAMPLE], tmp_path / "readings.json")
    assert load(tmp_path / "readings.json") == (SAMPLE,)
