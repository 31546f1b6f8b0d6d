"""What stands in the pictures: fonts, and words as they are found on printed pages."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final

from PIL import ImageFont

ALPHABET: Final = string.digits + string.ascii_lowercase + string.ascii_uppercase + "!\"#$%&'()*+,-./:;=?@[]_€£"
"""What the recogniser can write. `keras_ocr.recognition.DEFAULT_ALPHABET` is its first 36."""

_FONTS: Final = Path("/usr/share/fonts/truetype")
_FAMILIES: Final = (
    "dejavu", "liberation2", "lato", "freefont", "crosextra", "roboto/unhinted", "inconsolata",
)  # fmt: skip
_UNSEEN: Final = "open-sans"
"""Kept out of training, to tell what was learned from what was remembered."""
_NOT_FOR_PRINT: Final = ("MathTeX", "Hairline", "Thin", "ExtraLight", "Light", "Black")
_DICTIONARY: Final = Path("/usr/share/dict/american-english")
_HELD_OUT_WORDS: Final = 3000

MAX_CHARACTERS: Final = 20
"""The recogniser takes 48 steps over a crop, and CTC wants one between equal neighbours."""


@dataclass(frozen=True, slots=True)
class Language:
    """Fonts as paths and words to draw from."""

    fonts: Sequence[Path]
    words: Sequence[str]


@lru_cache
def vocabulary() -> tuple[Language, Language, Language]:
    """For training, for validation in the same fonts, and for validation in a family never trained on.

    Raises FileNotFoundError where Debian's packages with fonts and words are missing.
    """
    words = sorted({w for w in _DICTIONARY.read_text("utf-8").split() if w.isascii() and 1 < len(w.strip("'")) <= 14})
    Random(7).shuffle(words)
    held_out, trained = words[:_HELD_OUT_WORDS], words[_HELD_OUT_WORDS:]
    seen = [path for family in _FAMILIES for path in _fonts(family)]
    return Language(seen, trained), Language(seen, held_out), Language(_fonts(_UNSEEN), held_out)


def _fonts(family: str) -> list[Path]:
    found = sorted(p for p in (_FONTS / family).glob("*.[ot]tf") if not any(s in p.name for s in _NOT_FOR_PRINT))
    if not found:
        raise FileNotFoundError(f"No fonts in {_FONTS / family}; ./run train installs them.")
    return found


@lru_cache(maxsize=4096)
def font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)


def printed_token(random: Random, words: Sequence[str]) -> str:
    """What stands between two spaces of a printed page, 1 to 20 characters of ALPHABET."""
    while True:
        kind = random.random()
        if kind < 0.58:
            token = _cased(random.choice(words), random)
        elif kind < 0.72:
            token = _punctuated(_cased(random.choice(words), random), random)
        elif kind < 0.88:
            token = _number(random)
        elif kind < 0.94:
            token = _compound(random, words)
        else:
            token = _code(random)
        if 0 < len(token) <= MAX_CHARACTERS:
            return token


def any_token(random: Random, words: Sequence[str]) -> str:
    """A printed token mostly; at times characters that follow no rule, so that rare ones are learned as well."""
    if random.random() < 0.92:
        return printed_token(random, words)
    return "".join(random.choice(ALPHABET) for _ in range(random.randint(1, 8)))


def _cased(word: str, random: Random) -> str:
    kind = random.random()
    return word if kind < 0.6 else word.capitalize() if kind < 0.82 else word.upper()


def _punctuated(word: str, random: Random) -> str:
    before, after = random.choice(
        [("", "."), ("", ","), ("", ":"), ("", ";"), ("", "?"), ("", "!"), ('"', '"'), ("(", ")"), ("'", "'"),
         ("[", "]"), ("", "."), ("", ","), ("", ")"), ("(", ""), ('"', ""), ("", '"'), ("", "*"), ("*", ""), ("", ":")]
    )  # fmt: skip
    return f"{before}{word}{after}"


def _digits(random: Random, low: int, high: int) -> str:
    return "".join(random.choice(string.digits) for _ in range(random.randint(low, high)))


def _number(random: Random) -> str:
    whole, cents = _digits(random, 1, 4), _digits(random, 2, 2)
    day, month = f"{random.randint(1, 28):02d}", f"{random.randint(1, 12):02d}"
    year = str(random.randint(1950, 2049))
    return random.choice(
        [whole, _digits(random, 1, 8), f"{whole}.{cents}", f"{whole},{cents}", f"{random.choice('$€£')}{whole}.{cents}",
         f"{random.randint(1, 99)},{_digits(random, 3, 3)}.{cents}", f"{day}/{month}/{year}", f"{year}-{month}-{day}",
         f"{day}.{month}.{year}", f"{random.randint(0, 23):02d}:{cents}", f"{random.randint(0, 100)}%",
         f"#{_digits(random, 1, 6)}", f"-{whole}.{cents}", f"{random.randint(1, 30)}.", f"+{_digits(random, 2, 9)}",
         f"{_digits(random, 3, 3)}-{_digits(random, 4, 4)}", f"({_digits(random, 1, 3)})", f"{_digits(random, 1, 2)}x"]
    )  # fmt: skip


def _compound(random: Random, words: Sequence[str]) -> str:
    one, other = (random.choice(words).replace("'", "").lower()[:9] for _ in range(2))
    return random.choice(
        [f"{one}-{other}", f"{one}/{other}", f"{one}@{other}.com", f"www.{other}.org", f"{one}_{other}",
         f"{one}.{other}", f"{one}&{other}", f"{one}={_digits(random, 1, 3)}",
         f"{one.capitalize()}-{other.capitalize()}"]
    )  # fmt: skip


def _code(random: Random) -> str:
    """Article numbers and the like: letters of one case among digits."""
    letters = random.choice((string.ascii_uppercase, string.ascii_lowercase))
    code = "".join(random.choice(letters + string.digits) for _ in range(random.randint(1, 9)))
    if len(code) > 4 and random.random() < 0.3:
        code = f"{code[:3]}-{code[3:]}"
    return code
