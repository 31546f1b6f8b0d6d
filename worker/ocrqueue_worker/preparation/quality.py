"""Whether a page reads badly, and which of two readings is better."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from typing import Final

from PIL import Image

from ocrqueue.document import Line, Page

_UNSURE: Final = 0.6
"""Mean confidence, all letters counted alike, below which a page reads badly whatever it looks like."""
_SURE: Final = 0.9
"""From which odd shapes prove nothing."""
_MISSED: Final = 0.5
"""Of the ink that may be letters, what is outside all words."""
_MISSED_IN_THE_DARK: Final = 0.08
"""The same for a dim page. What was read there says nothing about what was missed."""
_ON_END: Final = 0.5
"""Of the words of three letters and more, those that are higher than wide."""
_TILTED: Final = 2.0
"""Degrees."""
_BLANK: Final = 0.0004
"""Of the pixels."""
_ONE_LETTER: Final = 12
"""Pixels of ink, which a page may hold where no word was found."""
_BETTER: Final = 1.05
_AS_SURE: Final = 0.02
"""By which the mean confidence may be lower."""
_NONSENSE: Final = 0.4
"""Mean confidence below which dots made larger read as letters, and letters that are turned or mirrored."""
_DOUBTED: Final = 0.5
"""Mean confidence below which print may be upside down: capitals and digits read so as others of their kind."""
_SHORT: Final = 200
"""Letters of a page that is read another way up in next to no time."""
_FAR_BETTER: Final = 2.0
_WRITTEN: Final = 4
"""Letters and digits. Curves that are made thicker look like fewer, and engines are sure of those."""
_SAMPLE_PX: Final = 480
_LONG_RUN_PX: Final = 32
_DETAIL_PX: Final = 256


def reads_badly(page: Page, image: Image.Image) -> bool:
    """Whether it is worth the time to prepare the page, and read it again.

    An engine that gives no confidences is believed, unless it has found nothing.
    """
    from ocrqueue_worker.preparation.ink import is_dark, paper, sampled
    from ocrqueue_worker.preparation.repainting import is_dim

    sure = confidence(page)
    if sure is None and any(page.words()):
        return False
    if sure is not None and sure < _UNSURE:
        return True
    sample, factor = sampled(image, _SAMPLE_PX)
    level = paper(sample)
    if sure is None:
        return _missed(page, sample, level, factor) > 0
    # a page in negative is dark, and its light needs no mending
    dim = is_dim(level) and not is_dark(sample)
    if sure < _SURE and (dim or _stands_on_end(page) or abs(_tilt(page)) > _TILTED or _is_speckled(image)):
        return True
    return _missed(page, sample, level, factor) > (_MISSED_IN_THE_DARK if dim else _MISSED)


def misses_pale_print(page: Page, image: Image.Image) -> bool:
    """Whether it is read with confidence, and print stands beside what was read. Where engines are in doubt, there are
    always marks that may be print.
    """
    if (confidence(page) or 0.0) < _SURE:
        return False
    from ocrqueue_worker.preparation.unread_print import has_unread_print

    return has_unread_print(page, image)


def is_sure(page: Page) -> bool:
    """Whether nothing would be won by yet another reading."""
    return (confidence(page) or 0.0) >= _UNSURE


def is_written(page: Page) -> bool:
    """Whether so much is read with confidence that no drawing passes for it. Words of some scripts are one letter."""
    sure = (word.text for word in page.words() if (word.confidence or 0.0) >= _UNSURE)
    # with the marks that are a part of a letter, as vowels are in Devanagari
    return sum(unicodedata.category(letter)[0] in "LNM" for text in sure for letter in text) >= _WRITTEN


def is_nonsense(page: Page) -> bool:
    """Whether it may be upside down or mirrored: what lies the right way is read with more confidence."""
    return (confidence(page) or 0.0) < _NONSENSE


def is_short(page: Page) -> bool:
    """Whether so little is on it that its mean confidence says nothing about which way up it is."""
    return _letters(page) <= _SHORT


def may_be_upside_down(page: Page) -> bool:
    """Or mirrored: whether it is worth the time to try."""
    return is_short(page) or (confidence(page) or 0.0) < _DOUBTED


def is_far_better(page: Page, than: Page) -> bool:
    """Whether it is another way up, and no chance."""
    return is_better(page, than) and (is_sure(page) or legibility(page) >= _FAR_BETTER * legibility(than))


def reads_more(page: Page, than: Page) -> bool:
    """Whether the same is read and something else besides, with as much confidence: of print that was made darker."""
    sure, before = confidence(page), confidence(than)
    if sure is None or before is None or sure < before - _AS_SURE:
        return False
    return _letters(page) > _letters(than) and legibility(page) > legibility(than)


def is_better(page: Page, than: Page) -> bool:
    """Whether the second reading is to be kept: more is read, and not only more nonsense."""
    if legibility(page) <= _BETTER * legibility(than):
        return False
    sure = confidence(page) or 0.0
    return sure >= _NONSENSE or sure > (confidence(than) or 1.0)


def legibility(page: Page) -> float:
    """Characters read, weighted by confidence: turned or badly lit, text reads as few and doubtful ones."""
    return sum(len(word.text) * (word.confidence or 0.0) ** 2 for word in page.words())


def _letters(page: Page) -> int:
    return sum(len(word.text) for word in page.words())


def confidence(page: Page) -> float | None:
    """Mean over the letters; None where no word has one."""
    known = [(len(word.text), word.confidence) for word in page.words() if word.confidence is not None]
    letters = sum(length for length, _ in known)
    return sum(length * sure for length, sure in known) / letters if letters else None


def _stands_on_end(page: Page) -> bool:
    if page.rotation in {90, 270}:
        return False
    long = [word.bbox for word in page.words() if len(word.text) >= 3]
    return sum(bottom - top > 1.3 * (right - left) for left, top, right, bottom in long) > _ON_END * len(long)


def _tilt(page: Page) -> float:
    """The usual angle of its lines, in degrees; 0 where no line has three words."""
    angles = sorted(_angles(list(page.lines())))
    return angles[len(angles) // 2] if angles else 0.0


def _angles(lines: list[Line]) -> Iterator[float]:
    for line in lines:
        if len(line.words) >= 3:
            (left, top, right, bottom), last = line.words[0].bbox, line.words[-1].bbox
            across, down = last[0] + last[2] - left - right, last[1] + last[3] - top - bottom
            if across > 2 * abs(down):
                yield math.degrees(math.atan2(down, across))


def _is_speckled(image: Image.Image) -> bool:
    """Of the middle of the page."""
    from ocrqueue_worker.preparation.ink import ink, is_speckled

    left, top = (max(0, (side - _DETAIL_PX) // 2) for side in image.size)
    return is_speckled(ink(image.crop((left, top, left + _DETAIL_PX, top + _DETAIL_PX)).convert("L")))


def _missed(page: Page, sample: Image.Image, level: Image.Image, factor: int) -> float:
    """The share of the ink that may be letters and is in no word; 0 where there is next to none."""
    from ocrqueue_worker.preparation.ink import ink, letters

    mask = letters(ink(sample, level), _LONG_RUN_PX)
    total = int(mask.sum())
    if total < (_BLANK * mask.size if page.blocks else _ONE_LETTER):
        return 0.0
    for word in page.words():
        left, top, right, bottom = (round(edge / factor) for edge in word.bbox)
        mask[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
    return int(mask.sum()) / total
