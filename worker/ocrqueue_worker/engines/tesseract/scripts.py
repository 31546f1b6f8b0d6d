"""Lines in several scripts. Tesseract reads some of their words in the wrong script.

It reads each word in all languages of the call and takes what scores best, but the scores of two models are not of one
scale: two Korean words come out as three Latin ones, each of which it is not sure of. Cropped and read again in one
language at a time, they are told apart by their confidence.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from PIL.Image import Image

from ocrqueue.document import Block, Word
from ocrqueue_worker.engines.tesseract.backend import Output
from ocrqueue_worker.engines.tesseract.second_pass import reread_words

_DOUBTFUL: Final = 0.8
"""Confidence below which a word may be of the other script."""
_MOST: Final = 40
"""Words that are read again: a page with more of them reads badly for other reasons."""
_LAST_LATIN: Final = "\u024f"

ReadCrop = Callable[[str, Image], Output]
"""In this language alone, of one crop."""


def reread_by_language(
    blocks: tuple[Block, ...], page: Image, rotation: int, languages: tuple[str, ...], read_crop: ReadCrop
) -> tuple[Block, ...]:
    """`blocks` with the doubtful words of a page in two scripts as the language reads them that is surest of them."""
    for language in languages if len(languages) > 1 else ():
        doubtful = _doubtful(blocks)
        if not doubtful:
            break
        blocks = reread_words(blocks, page, rotation, partial(read_crop, language), only=doubtful)
    return blocks


def _doubtful(blocks: tuple[Block, ...]) -> frozenset[str]:
    """The ids of these words; none of a page in one script."""
    words = [word for block in blocks for part in block.paragraphs for line in part.lines for word in line.words]
    latin = [word for word in words if _is_latin(word)]
    if not any(map(_is_other, words)) or not latin:
        return frozenset()
    found = [word.id for word in words if word.confidence is not None and word.confidence < _DOUBTFUL]
    return frozenset(found if len(found) <= _MOST else ())


def _is_latin(word: Word) -> bool:
    return any(letter.isalpha() and letter <= _LAST_LATIN for letter in word.text)


def _is_other(word: Word) -> bool:
    return any(letter.isalpha() and letter > _LAST_LATIN for letter in word.text)
