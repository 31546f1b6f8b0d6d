"""What thresholds of the fallback bring and cost, worked out from readings that were made once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ocrqueue.document import Line, Page, Word
from ocrqueue_worker.routes.assessment import Thresholds, assess, uncertain_lines
from ocrqueue_worker.routes.found import with_found
from ocrqueue_worker.routes.merging import settled, with_lines
from ocrqueue_worker.routes.parts import Part, doubtful_parts, put_together
from tests.support.accuracy import WordScore, score_words

OFF = 0
"""Of a threshold in percent: nothing goes on for it."""


class Sample(BaseModel):
    """One page with its true text, as two engines read it. Seconds are the processor's, on one core."""

    model_config = ConfigDict(frozen=True)

    name: str
    true: str
    first: Page
    first_s: float
    second: Page
    second_s: float
    lines: tuple[Line, ...]
    """Each line of `first` as the second engine's recogniser reads it."""
    lines_s: tuple[float, ...]
    found: tuple[Line, ...] = ()
    """What the second engine made of places where `first` has nothing, and its seconds."""
    found_s: float = 0.0


class _Samples(BaseModel):
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Cut:
    """Thresholds in percent, as the settings fallback_page_below and fallback_line_below have them; OFF: not for it."""

    page_below: int
    line_below: int = OFF


@dataclass(frozen=True)
class Outcome:
    """Of any number of pages: what was read right, and the seconds that it took."""

    score: WordScore
    seconds: float
    pages: int

    @property
    def f1(self) -> float:
        return self.score.f1


Table = dict[Cut, tuple[Outcome, ...]]
"""By thresholds: the outcome of each sample."""


def save(samples: Sequence[Sample], path: Path) -> None:
    path.write_text(_Samples(samples=tuple(samples)).model_dump_json(), "utf-8")


def load(path: Path) -> tuple[Sample, ...]:
    return _Samples.model_validate_json(path.read_text("utf-8")).samples


def cuts(pages: Iterable[int], lines: Iterable[int]) -> list[Cut]:
    return [Cut(page, line) for page, line in product(pages, lines)]


def table(samples: Sequence[Sample], chosen: Iterable[Cut]) -> Table:
    return {cut: tuple(outcome(sample, cut) for sample in samples) for cut in chosen}


def outcome(sample: Sample, cut: Cut) -> Outcome:
    """By the rules that the workers go by."""
    page, seconds = read_by_both(sample, cut)
    return Outcome(score_words([(sample.true, page.text)], fold_case=True), seconds, 1)


def read_by_both(sample: Sample, cut: Cut) -> tuple[Page, float]:
    """What the two engines make of a page, and the seconds."""
    page, seconds = sample.first, sample.first_s
    limits = Thresholds(
        page_below=cut.page_below / 100,
        low_word=0,
        low_share=1,
        line_below=cut.line_below / 100 if cut.line_below else None,
    )
    verdict = assess(page, "first", seconds, limits).verdict
    if verdict == "page sent on" and cut.page_below:
        page, seconds = sample.second, seconds + sample.second_s
    elif verdict == "lines sent on":
        parts = doubtful_parts(page, uncertain_lines(page, limits), limits.line_below or 0)
        read = [settled(part.line, _of_part(part, sample)) for part in parts]
        page = with_found(with_lines(page, put_together(page, parts, read), "second"), sample.found, "second")
        seconds += sample.found_s + sum(sample.lines_s[part.place] * _share(part, sample) for part in parts)
    return page, seconds


def _of_part(part: Part, sample: Sample) -> Line:
    """What was read of the line within this part: the engine reads parts by themselves, alone or not."""
    again = sample.lines[part.place]
    words = tuple(word for word in again.words if part.line.bbox[0] <= _middle(word) <= part.line.bbox[2])
    return part.line.model_copy(update={"words": words})


def _middle(word: Word) -> float:
    return (word.bbox[0] + word.bbox[2]) / 2


def _share(part: Part, sample: Sample) -> float:
    """Of the time of the line: what takes it is the length of what is read."""
    whole = list(sample.first.lines())[part.place].words
    return sum(word.bbox[2] - word.bbox[0] for word in part.line.words) / sum(
        word.bbox[2] - word.bbox[0] for word in whole
    )


def second_alone(sample: Sample) -> Outcome:
    return Outcome(score_words([(sample.true, sample.second.text)], fold_case=True), sample.second_s, 1)


def total(outcomes: Iterable[Outcome]) -> Outcome:
    every = list(outcomes)
    score = WordScore(
        sum(one.score.true for one in every),
        sum(one.score.read for one in every),
        sum(one.score.matched for one in every),
    )
    return Outcome(score, sum(one.seconds for one in every), sum(one.pages for one in every))


def best(every: Table, alone: Sequence[Outcome], share: float) -> Cut:
    """The thresholds with the highest F1 that take at most this share of the second engine's seconds; of equals the
    quickest. Those that take least where none is so quick."""
    limit = share * total(alone).seconds
    totals = {cut: total(outcomes) for cut, outcomes in every.items()}
    affordable = {cut: one for cut, one in totals.items() if one.seconds <= limit}
    if not affordable:
        return min(totals, key=lambda cut: totals[cut].seconds)
    return max(affordable, key=lambda cut: (affordable[cut].f1, -affordable[cut].seconds))


def held_out(every: Table, alone: Sequence[Outcome], share: float) -> Outcome:
    """Each sample with the thresholds that are best for the others."""
    found = []
    for place in range(len(alone)):
        others = {cut: (*outcomes[:place], *outcomes[place + 1 :]) for cut, outcomes in every.items()}
        found.append(every[best(others, (*alone[:place], *alone[place + 1 :]), share)][place])
    return total(found)
