"""Whether a reading is good enough: a page as a whole, and each of its lines, by the confidences of the words.

By those that engines give, not by calibrated ones: thresholds were chosen for these, and stay right whatever a table of
calibrations says. On receipts both do the same (docs/calibration.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from ocrqueue.document import Page, PageReading, Verdict, Word
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.routes.parts import has_doubtful_part


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Confidences and shares in [0, 1] of one engine; see the settings of these names."""

    page_below: float
    low_word: float
    low_share: float
    line_below: float | None
    """None: lines do not go on by themselves."""


def thresholds(settings: WorkerSettings, engine: str, *, by_lines: bool) -> Thresholds:
    """Those of `engine`; `by_lines`: the engine after it reads single lines."""
    by_lines = by_lines and settings.fallback_lines
    page_below = settings.fallback_lines_page_below if by_lines else settings.fallback_page_below
    return Thresholds(
        page_below=page_below.of(engine) / 100,
        low_word=settings.fallback_low_word.of(engine) / 100,
        low_share=settings.fallback_low_share.of(engine) / 100,
        line_below=settings.fallback_line_below.of(engine) / 100 if by_lines else None,
    )


def assess(page: Page, engine: str, seconds: float, limits: Thresholds) -> PageReading:
    """How `engine` fared with the page, and whether the next engine is to read it, or lines of it, again.

    Words without a confidence say nothing. A page where no word has one is kept. What no engine could read counts.
    """
    words = list(page.words())
    known = [*confidences(words), *page.engine_unread]
    mean, low = mean_number(known), low_share(known, limits.low_word)
    verdict, reason = _verdict(page, mean, low, limits)
    return PageReading(
        engine=engine,
        words=len(words),
        mean_confidence=mean if mean is None else round(mean, 4),
        low_share=low if low is None else round(low, 4),
        seconds=round(seconds, 4),
        verdict=verdict,
        reason=reason,
    )


def _verdict(page: Page, mean: float | None, low: float | None, limits: Thresholds) -> tuple[Verdict, str]:
    if page.error is not None:
        verdict, reason = "failed", page.error.code
    elif not any(True for _ in page.words()):
        verdict, reason = "page sent on", "no words found"
    elif mean is None or low is None:
        verdict, reason = "kept", "its words have no confidence"
    elif mean < limits.page_below:
        verdict, reason = "page sent on", f"mean confidence {mean:.2f} is below {limits.page_below:.2f}"
    elif low > limits.low_share:
        verdict, reason = "page sent on", f"{low:.0%} of the words are below {limits.low_word:.2f}"
    elif uncertain := uncertain_lines(page, limits):
        verdict, reason = "lines sent on", f"lines with a part below {limits.line_below:.2f}: {len(uncertain)}"
    else:
        verdict, reason = "kept", f"mean confidence {mean:.2f}"
    return cast("Verdict", verdict), reason


def uncertain_lines(page: Page, limits: Thresholds) -> list[int]:
    """The places, among the page's lines in order, of those that have a part whose mean confidence is too low."""
    if limits.line_below is None:
        return []
    return [place for place, line in enumerate(page.lines()) if has_doubtful_part(line, limits.line_below)]


def confidences(words: Iterable[Word]) -> list[float]:
    """As engines gave them, of the words that have one."""
    return [known for word in words if (known := word.engine_confidence) is not None]


def stated_confidences(page: Page) -> list[float]:
    """As the Document has them, with those of what nobody could read."""
    return [*(word.confidence for word in page.words() if word.confidence is not None), *page.unread]


def mean_of(words: Iterable[Word]) -> float | None:
    """Mean of the confidences; None where no word has one."""
    return mean_number(confidences(words))


def mean_number(known: Sequence[float]) -> float | None:
    return sum(known) / len(known) if known else None


def low_share(known: Sequence[float], below: float) -> float | None:
    """Share of these confidences that is `below`; None without any."""
    return sum(confidence < below for confidence in known) / len(known) if known else None
