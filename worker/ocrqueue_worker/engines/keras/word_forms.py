"""Words in the forms that words have: of what the recogniser thinks possible, an amount before half a word.

It takes 0 for O, 1 for I and a comma for a point, since each looks like the other. What stands around them tells them
apart: `1O5,oo` has no form that print has, `105.00` has. A reading without a form is held against the likeliest ones
with letters only, with digits only, and so on. It counts as much less likely than they, as long as they drop no
character. No word list is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ocrqueue_worker.engines.keras.ctc_decoding import Floats, decode, greedy, label_probabilities

_WITHOUT_FORM: Final = exp(-6)
"""How much less likely a reading without a form is."""

_AROUND: Final = frozenset(".,:'-&/()!*\"#@")
"""Marks that stand in and around words in letters."""
_KINDS: Final[tuple[Callable[[str], bool], ...]] = (
    lambda character: character.isdigit() or character in ".-+%()$€£#*",
    lambda character: character.isdigit() or character in ".,-()$€£",
    lambda character: character.isdigit() or character == ":",
    lambda character: character.isdigit() or character == "/",
    lambda character: character.isdigit() or character in "-()+",
    lambda character: character.isupper() or character in _AROUND,
    lambda character: character.islower() or character in _AROUND,
    lambda character: character.isalpha() or character in _AROUND,
    lambda character: character.isupper() or character.isdigit() or character in "-/#:.()",
)
"""What a word may consist of: amounts with a point, and with commas, times, dates, telephone numbers, capitals, small
letters, both, codes."""

_UNIT: Final = "am|pm|st|nd|rd|th|x|k?g|mg|[mc]l|k?m|[mc]m|oz|lbs?|pcs?|pkts?|gsm|[kmg]b|k?hz|k?w|v|h|min"
"""Not l, o and s, which look like digits."""
_WORD: Final = r"(?:A+|A?a+(?:Aa+)*)"
_FORMS: Final = (
    r"[-+~]?[$€£]?(?:0{1,3}(?:,000)+|0+)(?:\.0+)?",
    r"00?:00(?::00)?",
    r"0{1,4}([/.-])00?\1(?:00){1,2}",
    r"00?([/.-])(?:AAA|Aaa)\2(?:00){1,2}",
    r"\+?0+(?:[-/]0+)*A?",
    rf"{_WORD}(?:[-&/.'@]{_WORD})*",
    r"A{1,3}-?0+(?:[-/]0+)*A?|A{4}-?00+",
)
"""Of a word with A, a and 0 in place of capitals, small letters and digits: an amount, a time, a date in digits or with
a month's name, a number of parts such as a telephone's, words, a code."""
_SHAPE: Final = re.compile(rf"[(\"'*#@$]*(?:{'|'.join(_FORMS)})[.,:;!?)\"'%*]*|[-:.,&*@%=/+()!#?]+")
_AMOUNT_WITH_UNIT: Final = re.compile(rf"\(?\d+(?:\.\d+)?(?:{_UNIT}|{_UNIT.upper()})[.,:;)]*", re.ASCII)


def read_words_by_form(probabilities: Floats, alphabet: str) -> list[tuple[str, float | None]]:
    """Text and confidence in [0, 1] of each word; an empty text has none.

    `probabilities` is n x steps x (alphabet + 1), the blank last, and no NaN. The confidence is the probability that
    the recogniser gives to the text, and so less than that of the text that was passed over.
    """
    read = decode(probabilities, alphabet)
    doubtful = [number for number, (text, _) in enumerate(read) if text and not has_form(text)]
    if not doubtful:
        return read
    of_doubtful = probabilities[doubtful]
    best = [(read[number][1] or 0) * _WITHOUT_FORM for number in doubtful]
    least = [len(read[number][0]) for number in doubtful]
    for is_allowed in _allowed(alphabet):
        labels, lengths = greedy(np.where(is_allowed, of_doubtful, 0))
        likelihoods = label_probabilities(of_doubtful, labels, lengths).clip(0, 1)
        for place, (row, length) in enumerate(zip(labels.tolist(), lengths.tolist(), strict=True)):
            text = "".join(alphabet[label] for label in row[:length])
            if length >= least[place] and likelihoods[place] > best[place] and has_form(text):
                best[place] = float(likelihoods[place])
                read[doubtful[place]] = text, round(best[place], 4)
    return read


def has_form(text: str) -> bool:
    """Whether a word looks as words, numbers and codes in print do. In scripts without capitals all do."""
    if any(character.isalpha() and character.upper() == character.lower() for character in text):
        return True
    shape = "".join(
        "0" if character.isdigit() else "A" if character.isupper() else "a" if character.isalpha() else character
        for character in text
    )
    return bool(_SHAPE.fullmatch(shape) or _AMOUNT_WITH_UNIT.fullmatch(text))


@lru_cache(maxsize=8)
def _allowed(alphabet: str) -> NDArray[np.bool_]:
    """kinds x (alphabet + 1): which characters each kind of word may have; the blank always."""
    return np.array([[*map(kind, alphabet), True] for kind in _KINDS])
