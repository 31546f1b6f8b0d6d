"""Where the items of an array stand in a large JSON text, found one after the other and not kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any, Final

_DECODER: Final = JSONDecoder()
_SPACES: Final = re.compile(r"[ \t\n\r]*")


def array_items(data: bytes, name: str) -> Iterator[tuple[slice, Any]]:
    """Each item of the array that is the member `name` of the object `data`: its bytes' place, and its value,
    in whose strings each byte is a character.

    What follows the array is not looked at. Raises ValueError or RecursionError for what is no such JSON, and where
    the array is empty.
    """
    # one character for each byte, so that places are the same; what separates values is ASCII
    text = data.decode("latin-1")
    place = _after("{", text, 0)
    while True:
        key, place = _DECODER.raw_decode(text, place)
        place = _after(":", text, place)
        if key == name:
            break
        _, place = _DECODER.raw_decode(text, place)
        place = _after(",", text, place)
    place = _after("[", text, place)
    while True:
        value, end = _DECODER.raw_decode(text, place)
        yield slice(place, end), value
        place = _spaces_end(text, end)
        if text.startswith("]", place):
            return
        place = _after(",", text, place)


def _after(mark: str, text: str, place: int) -> int:
    """Where the value begins that follows `mark`, which follows `place`."""
    place = _spaces_end(text, place)
    if not text.startswith(mark, place):
        raise ValueError(f"no {mark!r} at {place}")
    return _spaces_end(text, place + 1)


def _spaces_end(text: str, place: int) -> int:
    found = _SPACES.match(text, place)
    return place if found is None else found.end()
