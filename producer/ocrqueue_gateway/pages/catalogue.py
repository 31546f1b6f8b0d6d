"""All words of the interface, by language: `texts/LANGUAGE/PART.json`, flat objects of name -> text.

`{name}` in a text stands for a value. Every language has the same names, which a test compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "texts"
LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "ko": "한국어"}
"""By code: what those who speak it call it. The first is taken where none fits."""
_DEFAULT: Final = next(iter(LANGUAGES))
_WISH: Final = re.compile(r"([a-zA-Z]{1,8})(?:-[a-zA-Z0-9-]{0,30})?(?:\s*;\s*q=([01](?:\.\d{0,3})?))?")


@cache
def texts(language: str) -> dict[str, str]:
    """Of all parts."""
    found: dict[str, str] = {}
    for path in sorted((FOLDER / language).glob("*.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def language_for(chosen: str | None, accepted: str) -> str:
    """`chosen`: by the reader. `accepted`: the header Accept-Language of RFC 9110."""
    if chosen is not None and chosen in LANGUAGES:
        return chosen
    wishes: list[tuple[float, int, str]] = []
    for number, part in enumerate(accepted[:500].split(",")):
        found = _WISH.fullmatch(part.strip())
        weight = float(found[2] or 1) if found else 0.0  # 0: not that one
        if found and weight and found[1].lower() in LANGUAGES:
            wishes.append((-weight, number, found[1].lower()))
    return min(wishes)[2] if wishes else _DEFAULT


def text(language: str, name: str, **values: object) -> str:
    """One text. Raises KeyError."""
    found = texts(language)[name]
    for key, value in values.items():
        found = found.replace(f"{{{key}}}", str(value))
    return found
