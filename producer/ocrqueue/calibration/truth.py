"""What stands on a labelled page, and which of the words that were read are right."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Final, Literal

from ocrqueue.calibration.curve import Sample
from ocrqueue.document import Box, Document, Line, Word
from ocrqueue.errors import CalibrationInvalid

TruthFormat = Literal["txt", "csv"]

_CSV_COLUMNS: Final = 9
_REACH: Final = 0.25
"""Of the height of a true line: a word whose middle lies so far outside is still of it."""


@dataclass(frozen=True, slots=True)
class TrueLine:
    """A line of text, or the text of a whole page."""

    text: str
    box: Box | None = None
    """Where it stands, in pixels; None: anywhere."""


@dataclass
class _Place:
    box: Box | None
    left: Counter[str] = field(default_factory=Counter)
    """Its words that have not been read so far."""

    def holds(self, words: Sequence[Word]) -> bool:
        if self.box is None:
            return True
        left, top, right, bottom = self.box
        reach = _REACH * (bottom - top)
        x = (min(word.bbox[0] for word in words) + max(word.bbox[2] for word in words)) / 2
        y = (min(word.bbox[1] for word in words) + max(word.bbox[3] for word in words)) / 2
        return left - reach <= x <= right + reach and top - reach <= y <= bottom + reach


def true_lines(text: str, truth: TruthFormat) -> list[TrueLine]:
    """Of a file beside an image: txt is the text itself, csv has a line `x1,y1,x2,y2,x3,y3,x4,y4,text` for each line
    of text. Lines of a csv that are not so are left out."""
    if truth == "txt":
        return [TrueLine(text)]
    return list(_rows(text))


def _rows(text: str) -> Iterator[TrueLine]:
    for row in text.splitlines():
        *corners, said = row.split(",", _CSV_COLUMNS - 1)
        try:
            numbers = [float(corner) for corner in corners]
        except ValueError:
            continue
        if len(numbers) == _CSV_COLUMNS - 1 and all(map(isfinite, numbers)):
            xs, ys = numbers[::2], numbers[1::2]
            yield TrueLine(said, (min(xs), min(ys), max(xs), max(ys)))


def read_truth(path: Path, truth: TruthFormat) -> list[TrueLine]:
    """Of the file beside the image at `path`. Raises CalibrationInvalid for one that cannot be read, or has nothing of
    this format."""
    beside = path.with_suffix(f".{truth}")
    try:
        text = beside.read_text("utf-8-sig")
    except OSError as error:
        raise CalibrationInvalid(
            f"{beside} cannot be read: {error.strerror}.", remedy="Let this user read it."
        ) from None
    except UnicodeDecodeError as error:
        raise CalibrationInvalid(
            f"{beside} is not UTF-8: its byte {error.start + 1} is {error.object[error.start]:#x}.",
            remedy="Save it as UTF-8.",
        ) from None
    lines = true_lines(text, truth)
    if text.strip() and not lines:
        raise CalibrationInvalid(
            f"{beside} has no line `x1,y1,x2,y2,x3,y3,x4,y4,text`.",
            remedy="Write it so, or leave it empty for no text.",
        )
    return lines


def labelled(document: Document, true: Iterable[TrueLine], *, fold_case: bool = False) -> list[Sample]:
    """The words of a reading that have a confidence, each with whether it stands in that place.

    A text is a bag of words parted by white space, and each of them is read once. Words that the Document writes
    together, as in Chinese, are right together. Case counts, unless it is folded or the engine writes none.
    """
    fold = fold_case or any(page.text_case == "lower" for page in document.pages)
    places = [_Place(line.box, Counter(_form(text, fold) for text in line.text.split())) for line in true]
    found: list[Sample] = []
    # places are of the first page
    for page in document.pages[:1] if any(place.box for place in places) else document.pages:
        for line in page.lines():
            for words in _tokens(line):
                right = _is_read(words, places, fold)
                found += [
                    Sample(word.engine_confidence or 0.0, word.confidence, right)
                    for word in words
                    if word.confidence is not None
                ]
    return found


def _tokens(line: Line) -> Iterator[list[Word]]:
    """The words that stand between two spaces."""
    together: list[Word] = []
    for word in line.words:
        together.append(word)
        if word.space_after:
            yield together
            together = []
    if together:
        yield together


def _is_read(words: Sequence[Word], places: Sequence[_Place], fold: bool) -> bool:
    parts = [_form(part, fold) for part in "".join(word.text for word in words).split()]
    if not parts:
        return False
    for place in places:
        if place.holds(words) and all(place.left[part] > 0 for part in parts):
            place.left.subtract(parts)
            return True
    return False


def _form(text: str, fold: bool) -> str:
    text = unicodedata.normalize("NFC", text)
    return text.casefold() if fold else text
