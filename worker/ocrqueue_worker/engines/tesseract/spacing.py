"""Spaces in scripts that Tesseract parts where no space is printed.

For Chinese, Japanese and Korean, Tesseract's TSV has a "word" for every few characters. Its plain text (with
preserve_interword_spaces=1) has the spaces as printed: walking along it tells which words follow without one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_HANGUL: Final = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
_HAN_AND_KANA: Final = (
    "\u2e80-\u303f\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
)
_UNSPACED: Final = re.compile(f"[{_HANGUL}{_HAN_AND_KANA}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_HANGUL_CHARACTER: Final = re.compile(f"[{_HANGUL}]")


def has_unspaced_script(text: str) -> bool:
    """Whether `text` has a character of a script that Tesseract parts: Hangul, Han, kana, Thai, Lao, Burmese, Khmer."""
    return _UNSPACED.search(text) is not None


def follows_directly(words: Sequence[str], text: str) -> list[bool]:
    """For each word, in reading order, whether no white space stands before it in `text`.

    Where the two do not match (a word missing in the text), the rest is taken as spaced.
    """
    direct: list[bool] = []
    position = 0
    for word in words:
        start = position
        while start < len(text) and text[start].isspace():
            start += 1
        if not text.startswith(word, start):
            return direct + [False] * (len(words) - len(direct))
        direct.append(0 < position == start)
        position = start + len(word)
    return direct


def is_one_word(before: str, after: str) -> bool:
    """Whether two parts without a space between are parts of one word: in Hangul, which is written with spaces."""
    return bool(_HANGUL_CHARACTER.search(before) or _HANGUL_CHARACTER.search(after))


def is_unspaced(before: str, after: str) -> bool:
    """Whether no space belongs between two words that follow directly."""
    return bool(_UNSPACED.search(before[-1:]) or _UNSPACED.search(after[:1]))
