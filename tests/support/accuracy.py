"""How well text and boxes were read: micro-F1 of words, character error rate, overlap of boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ocrqueue.document import Polygon, box_of


@dataclass(frozen=True)
class WordScore:
    """Words over any number of images. `matched` counts each true word at most as often as it was read."""

    true: int
    read: int
    matched: int

    @property
    def precision(self) -> float:
        return self.matched / self.read if self.read else 0.0

    @property
    def recall(self) -> float:
        return self.matched / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.matched / (self.true + self.read) if self.true + self.read else 0.0


def score_words(pairs: Iterable[tuple[str, str]], *, fold_case: bool = False) -> WordScore:
    """The score over (true text, read text) of each image, micro-averaged: all images' words count alike.

    A text is a bag of tokens parted by white space; punctuation counts, order does not. Case counts, unless it is
    folded: the receipts of SROIE are written down in capitals, whatever they show, and no reading comes near otherwise.
    """
    true = read = matched = 0
    for true_text, read_text in pairs:
        true_words, read_words = (
            Counter((text.casefold() if fold_case else text).split()) for text in (true_text, read_text)
        )
        true += true_words.total()
        read += read_words.total()
        matched += (true_words & read_words).total()
    return WordScore(true, read, matched)


def character_error_rate(true_text: str, read_text: str) -> float:
    """Levenshtein distance over the length of the true text; each run of white space counts as one space."""
    true, read = " ".join(true_text.split()), " ".join(read_text.split())
    before = list(range(len(read) + 1))
    for row, expected in enumerate(true, 1):
        current = [row]
        for column, found in enumerate(read, 1):
            replaced = before[column - 1] + (expected != found)
            current.append(min(before[column] + 1, current[-1] + 1, replaced))
        before = current
    return before[-1] / max(1, len(true))


def overlap(one: Polygon, other: Polygon) -> float:
    """Intersection over union of the polygons' upright boxes: exact where their edges are level and upright."""
    (left_1, top_1, right_1, bottom_1), (left_2, top_2, right_2, bottom_2) = box_of([one]), box_of([other])
    width = min(right_1, right_2) - max(left_1, left_2)
    height = min(bottom_1, bottom_2) - max(top_1, top_2)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((right_1 - left_1) * (bottom_1 - top_1) + (right_2 - left_2) * (bottom_2 - top_2) - both)


def best_overlaps(true: Sequence[Polygon], read: Sequence[Polygon]) -> list[float]:
    """For each true polygon, the largest overlap with any that was read."""
    return [max((overlap(polygon, found) for found in read), default=0.0) for polygon in true]
