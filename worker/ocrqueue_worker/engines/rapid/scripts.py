"""Scripts of characters, and the forms of marks that go with them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

from ocrqueue_worker.engines.rapid.languages import IDEOGRAPHIC

_NAMES: Final = ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "IDEOGRAPHIC")
_LATIN_FORMS: Final = MappingProxyType(
    {
        **{chr(0xFF01 + place): chr(0x21 + place) for place in range(94)},
        **dict(zip("\u3000、。【】￠￡￥￦", " ,.[]¢£¥₩", strict=True)),
    }
)
"""Of full-width forms and marks of Chinese and Japanese print."""


def is_ideographic(character: str) -> bool | None:
    """None of marks, which go with what they stand at."""
    if not character.isalnum() and character not in "々〆ー":
        return None
    # full-width Latin letters and digits are alphanumeric too, and have names of their own
    return unicodedata.name(character, "").startswith(_NAMES)


def normalised(text: str, languages: Sequence[str]) -> str:
    """The text, of as many characters, with Latin forms in place of full-width ones where it is Latin.

    In a job with Chinese or Japanese a line that has such letters stays as it is. In other jobs one stays that has more
    of them than of others, and of the rest the marks that such letters stand beside.
    """
    if text.isascii():
        return text
    ideographs = [is_ideographic(character) for character in text]
    fewest = 1 if not set(languages).isdisjoint(IDEOGRAPHIC) else ideographs.count(False) + 1
    if ideographs.count(True) >= fewest:
        return text
    return "".join(_forms(text, ideographs))


def _forms(text: str, ideographs: Sequence[bool | None]) -> Iterator[str]:
    for place, character in enumerate(text):
        beside = any(ideographs[max(0, place - 1) : place + 2])
        yield character if beside else _LATIN_FORMS.get(character, character)
