"""Pages as columns of words, and words that are looked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ocrqueue.document import Page
from ocrqueue_gateway.pages.reading.searching import MOST_ON_A_PAGE, folded, has_doubtful, hits
from ocrqueue_gateway.pages.reading.words import columns, percent
from tests.support.told_documents import Told, page_of


def told(*lines: list[Told]) -> dict[str, Any]:
    page = Page.model_validate(page_of(3, lines, (400, 300)))
    made: dict[str, Any] = json.loads(columns(page, "rapid"))
    return made


def words(*texts: str) -> dict[str, Any]:
    return told([Told(text) for text in texts])


def test_a_page_has_its_words_in_columns() -> None:
    page = told(
        [Told("Total", 0.999), Told("17.50", 0.5, {"vision": "17.60", "tesseract": "17.50"})], [Told("x", None)]
    )
    assert page["text"] == ["Total", "17.50", "x"]
    assert page["confidence"] == [99, 50, -1]
    assert page["boxes"][:4] == [10, 10, 64, 27]
    assert page["ends"] == [2, 0, 3, 2]
    assert page["ids"] is None
    assert page["engine"] == "rapid"
    # what an engine has read alike is not repeated, and the engine is named all the same
    assert page["others"] == {"vision": {"1": "17.60"}, "tesseract": {}}


def test_words_with_ids_of_their_own_keep_them() -> None:
    page = page_of(3, [[Told("a"), Told("b")]], (200, 100))
    page["blocks"][0]["paragraphs"][0]["lines"][0]["words"][1]["id"] = "p003-w0007"
    assert json.loads(columns(Page.model_validate(page), "null"))["ids"] == ["p003-w0001", "p003-w0007"]


def test_boxes_lie_within_the_page_whatever_stands_there() -> None:
    page = page_of(1, [[Told("a")]], (200, 100))
    page["blocks"][0]["paragraphs"][0]["lines"][0]["words"][0]["bbox"] = [-5, "NaN", 1e12, 50]
    assert json.loads(columns(Page.model_validate(page), "null"))["boxes"] == [0, 0, 200, 50]


def test_no_text_is_longer_than_a_browser_needs() -> None:
    assert len(words("x" * 50_000)["text"][0]) == 10_000


@pytest.mark.parametrize(("confidence", "shown"), [(None, -1), (0, 0), (0.796, 79), (0.8, 80), (0.29, 29), (1, 100)])
def test_percents_are_rounded_down(confidence: float | None, shown: int) -> None:
    assert percent(confidence) == shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("light", ["lighthouse"]),
        ("OLD  lighthouse", ["old lighthouse"]),
        ("d l", ["old lighthouse"]),
        ("\uff26\uff29\uff32\uff33\uff34", ["ﬁrst"]),
        ("strasse", ["Straße"]),
        ("nowhere", []),
    ],
)
def test_words_and_phrases_are_found(query: str, found: list[str]) -> None:
    page = words("The", "old", "lighthouse", "ﬁrst", "Straße")
    assert [hit.found for hit in hits(page, folded(query))] == found


def test_a_hit_has_its_place_and_what_stands_around_it() -> None:
    (hit,) = hits(words(*["one", "two", "three", "four", "five", "six", "seven"]), "four five")
    assert (hit.page, hit.first, hit.last, hit.before, hit.after) == (3, 3, 4, "one two three", "six seven")


def test_words_that_are_joined_are_found_as_one() -> None:
    page = page_of(1, [[Told("한국"), Told("어"), Told("말")]], (300, 100))
    page["blocks"][0]["paragraphs"][0]["lines"][0]["words"][0]["space_after"] = False
    (hit,) = hits(json.loads(columns(Page.model_validate(page), "null")), "한국어 말")
    assert (hit.first, hit.last) == (0, 2)


def test_a_word_that_has_it_twice_is_one_hit_and_a_page_has_so_many() -> None:
    assert len(list(hits(words("aaaa", "b"), "a"))) == 1
    assert len(list(hits(words(*["a"] * 2000), "a"))) == MOST_ON_A_PAGE


def test_a_page_is_doubtful_by_its_words_that_have_a_confidence() -> None:
    page = told([Told("a", 0.79), Told("b", None)])
    assert has_doubtful(page, 80)
    assert not has_doubtful(page, 79)
