"""A font that has a word's characters, whatever their script, among those of the machine at hand."""

from __future__ import annotations

import subprocess
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
FontFile = tuple[str, int]
"""Path, or file name in a font folder of the system, and the font's index in that file."""

# For machines without fontconfig. Pillow looks the names up in the font folders of Linux, macOS and Windows.
_WELL_KNOWN: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "NanumGothic.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansKR-Regular.ttf",
    "AppleSDGothicNeo.ttc",
    "PingFang.ttc",
    "malgun.ttf",
    "msyh.ttc",
    "msgothic.ttc",
    "Arial Unicode.ttf",
    "arial.ttf",
)
_FC_MATCH_TIMEOUT_S: Final = 20
_IN_NO_FONT: Final = "\U0010ffff"


def font_for(text: str, size: int) -> Font:
    """A font of `size` pixels for the script of `text`; Pillow's own, which has Latin only, where none is found.

    Characters that it lacks are drawn as empty boxes.
    """
    character = _sample_character(text)
    script = unicodedata.name(character, "").partition(" ")[0]
    if script not in _font_files:
        _font_files[script] = next((file for file in _candidates(character) if _has(file, character)), None)
    return _load(_font_files[script], size)


_font_files: dict[str, FontFile | None] = {}
"""By script, as the first word of a character's Unicode name tells it: one search for each in a process."""


def _sample_character(text: str) -> str:
    """The first letter beyond ASCII, else "a": every font has ASCII, so the other letters decide."""
    return next((character for character in text if not character.isascii() and character.isalpha()), "a")


def _candidates(character: str) -> Iterator[FontFile]:
    command = ["fc-match", "--format", "%{file}\t%{index}", f"sans-serif:scalable=true:charset={ord(character):x}"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=True, timeout=_FC_MATCH_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.SubprocessError):
        answer = ""
    path, _, index = answer.partition("\t")
    if index.isdecimal():
        yield path, int(index) & 0xFFFF  # the upper half is the instance of a variable font
    for name in _WELL_KNOWN:
        yield name, 0


def _has(file: FontFile, character: str) -> bool:
    try:
        font = _load(file, 24)
    except OSError:
        return False
    return bytes(font.getmask(character)) != bytes(font.getmask(_IN_NO_FONT))


@lru_cache(maxsize=256)
def _load(file: FontFile | None, size: int) -> Font:
    if file is None:
        return ImageFont.load_default(size)
    path, index = file
    return ImageFont.truetype(path, size, index)
