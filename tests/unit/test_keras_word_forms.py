"""What the recogniser takes for a word of no form is read in a form that is about as likely."""

from __future__ import annotations

import numpy as np
import pytest

from ocrqueue_worker.engines.keras.word_forms import has_form, read_words_by_form

ALPHABET = "0123456789.,:;-/@ ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def steps(*choices: dict[str, float]) -> np.ndarray:
    """1 x steps x classes: each choice is what a character may be, and a certain blank follows."""
    found = np.zeros((1, 2 * len(choices), len(ALPHABET) + 1), np.float32)
    found[0, 1::2, -1] = 1
    for number, choice in enumerate(choices):
        for character, probability in choice.items():
            found[0, 2 * number, ALPHABET.index(character)] = probability
    return found


def sure(text: str) -> list[dict[str, float]]:
    return [{character: 1.0} for character in text]


@pytest.mark.parametrize(
    "text",
    [
        "105.00", "1,234.50", "-3.80", "$9", "6%", "(12)", "25/12/2018", "28-FEB-2018", "8:13:39", "10:36",
        "03-55423228", "TOTAL:", "Total", "total", "don't", "S/B", "D.I.Y.", "www.example.com", "iPhone",
        "McDonald", "A4", "SR", "SS21/1", "TD01167104", "12A", "500g", "80GSM", "2.5kg", "9pm", "1st", "***",
        ":", "&", "한국3", "Größe",
    ],
)  # fmt: skip
def test_print_has_form(text: str) -> None:
    assert has_form(text)


@pytest.mark.parametrize("text", ["1O5,oo", "150,00", "10;25", "CHAN6E", "ToTAL", "i2.50", "QTy1", "", "R#", "[900"])
def test_half_a_number_and_half_a_word_have_none(text: str) -> None:
    assert not has_form(text)


def test_a_letter_among_digits_is_the_digit_that_it_may_be() -> None:
    read = read_words_by_form(
        steps({"1": 1}, {"O": 0.7, "0": 0.3}, {"5": 1}, {",": 0.6, ".": 0.4}, *sure("00")), ALPHABET
    )
    assert read == [("105.00", pytest.approx(0.12))]


def test_a_digit_among_letters_is_the_letter_that_it_may_be() -> None:
    read = read_words_by_form(steps(*sure("CHAN"), {"6": 0.8, "G": 0.2}, {"E": 1}), ALPHABET)
    assert read == [("CHANGE", pytest.approx(0.2))]


def test_what_the_recogniser_is_sure_of_stays() -> None:
    assert read_words_by_form(steps(*sure("1O5,oo")), ALPHABET) == [("1O5,oo", 1.0)]
    hardly = steps({"1": 1}, {"O": 0.999, "0": 0.001}, {"5": 1})
    assert read_words_by_form(hardly, ALPHABET) == [("1O5", pytest.approx(0.999))]


def test_no_character_is_dropped_for_a_form() -> None:
    found = steps({"1": 1}, {"o": 0.9}, {"5": 1})
    found[0, 2, -1] = 0.1
    assert read_words_by_form(found, ALPHABET) == [("1o5", pytest.approx(0.9))]


def test_words_with_form_and_empty_ones_are_read_as_before() -> None:
    first, second = steps(*sure("ab")), steps({"a": 1}, {"1": 0.6, "l": 0.4})
    nothing = np.zeros_like(first)
    nothing[..., -1] = 1
    read = read_words_by_form(np.concatenate([first, nothing, second]), ALPHABET)
    assert read == [("ab", 1.0), ("", None), ("al", pytest.approx(0.4))]
