"""The rapid engine: from pages to lines, and from lines to words."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Final, cast

from ocrqueue.document import EngineInfo, Line, Page, Word, mean_confidence
from ocrqueue.errors import EngineTimeout, LanguageUnsupported, OcrQueueError
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.cpu_threads import children_of_worker, threads_of_child
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.engines.rapid.languages import languages_of
from ocrqueue_worker.engines.rapid.models import find_models
from ocrqueue_worker.engines.rapid.options import RapidOptions
from ocrqueue_worker.engines.rapid.runtimes import chosen_runtime, runtime_version
from ocrqueue_worker.engines.rapid.scripts import normalised
from ocrqueue_worker.images.page import PageImage

if TYPE_CHECKING:
    from ocrqueue_worker.engines.rapid.lines import LineFrame
    from ocrqueue_worker.engines.rapid.networks import LineText, RapidNetworks
    from ocrqueue_worker.engines.rapid.scaling import Pixels

_TOGETHER: Final = 192
"""In heights: the length of the lines that are read together, each as long as the longest."""
_DOUBTFUL: Final = 0.8
"""Lines that are read with a lower score may stand upside down, whatever the classifier says: Latin letters that do
have 0.3 to 0.8."""
_SURE: Final = 0.9
"""From which the other reading of such a line is believed. That of drawings and of noise has less."""
_A_WORD: Final = 2.0
"""In heights, the length of such a line at least: single letters read as others when they are turned."""


@dataclass(frozen=True)
class _ReadLine:
    """Which of the lines given, and the frame that it was read in: turned where it stands upside down."""

    number: int
    frame: LineFrame
    text: LineText

    def with_forms_of(self, languages: Sequence[str]) -> _ReadLine:
        text = self.text
        return replace(self, text=text.with_text(normalised(text.text, languages), text.confidences))


class RapidEngine(Engine[RapidOptions]):
    """One child a core, of one thread: two such read more pages in the same time than one child with two threads."""

    name = "rapid"
    options_model = RapidOptions
    # the detector takes 1.3 GiB for a page of 2000 x 2000 pixels, and 3 for 4096 x 4096, which the options permit
    job_memory_limit_mib = 4096
    child_memory_mib = 4096
    fixed_languages = True
    reads_lines = True

    def __init__(self, settings: WorkerSettings) -> None:
        """Raises EngineUnavailable, EngineWeightsMissing."""
        super().__init__(settings)
        self.models = find_models(settings.rapid_model)
        self.runtime = chosen_runtime(settings)
        self._languages = languages_of(settings.rapid_model)
        self._networks: RapidNetworks | None = None

    def load(self) -> None:
        """Raises EngineUnavailable, EngineModelInvalid."""
        # OpenCV writes to standard error what comes as an exception, or does no harm; it looks here when it is imported
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        from ocrqueue_worker.engines.rapid.networks import RapidNetworks

        threads = threads_of_child(self.settings.rapid_threads, children_of_worker())
        self._networks = RapidNetworks(self.models, threads, self.runtime)

    @property
    def _loaded(self) -> RapidNetworks:
        if self._networks is None:
            self.load()
        return cast("RapidNetworks", self._networks)

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(
            name=self.name,
            version=f"{version('rapidocr')} ({runtime_version(self.runtime)})",
            model=self.models.identity,
            device="cpu",
        )

    def languages(self) -> tuple[str, ...]:
        return self._languages

    def check_languages(self, languages: Sequence[str]) -> None:
        for language in languages:
            if language not in self._languages:
                raise LanguageUnsupported(
                    f"The characters of {language[:40]!r} are not among those of rapid's recogniser.",
                    remedy=f"Choose another engine for it; rapid reads {', '.join(self._languages)}.",
                )

    def longest_side(self, options: RapidOptions) -> int:
        return options.max_side_len

    def recognize(self, pages: Sequence[PageImage], reading: Reading[RapidOptions]) -> list[Page | OcrQueueError]:
        """Lines are found, set straight, and read in batches of like length."""
        results: list[Page | OcrQueueError] = []
        for page in pages:
            try:
                results.append(self._page(page, reading))
            except OcrQueueError as error:
                results.append(error)
        return results

    def _page(self, page: PageImage, reading: Reading[RapidOptions]) -> Page:
        from ocrqueue_worker.engines.rapid.layout import as_blocks
        from ocrqueue_worker.engines.rapid.lines import found_frame
        from ocrqueue_worker.engines.rapid.marks import with_colons
        from ocrqueue_worker.engines.rapid.scaling import scaled
        from ocrqueue_worker.engines.rapid.words import as_words

        _check_time(reading)
        smaller = scaled(page.image, reading.options.max_side_len)
        quads, scores = self._loaded.find_lines(smaller.pixels, reading.options)
        lines: dict[int, list[Word]] = {}
        corners = {}
        for read in self._read(
            smaller.pixels, [with_colons(smaller.pixels, found_frame(quad)) for quad in quads], reading
        ):
            if read.text.score >= reading.options.text_score:
                corners[read.number] = smaller.on_page(read.frame.corners)
                lines[read.number] = as_words(read.text, corners[read.number], scores[read.number])
        width, height = page.image.size
        kept = [(corners[number], lines[number]) for number in sorted(lines) if lines[number]]
        return Page(
            number=page.number,
            width=width,
            height=height,
            dpi=page.dpi,
            languages=reading.languages,
            layout="inferred",
            blocks=as_blocks(kept, page.number, (width, height)),
        )

    def recognize_lines(
        self, page: PageImage, lines: Sequence[Line], reading: Reading[RapidOptions]
    ) -> list[Line | OcrQueueError]:
        """The lines with the words that are read in them, or none; `text_score` does not matter.

        Lines are taken to be the right way up. Where time runs out, the lines that are left have an EngineTimeout.
        """
        import numpy as np

        from ocrqueue_worker.engines.rapid.marks import with_colon_after
        from ocrqueue_worker.engines.rapid.pieces import pieces
        from ocrqueue_worker.engines.rapid.scaling import bgr
        from ocrqueue_worker.engines.rapid.words import as_words

        pixels = bgr(np.asarray(page.image))
        frames = [[with_colon_after(pixels, piece) for piece in pieces(line)] for line in lines]
        read: dict[int, list[Word]] = {}
        failure: OcrQueueError | None = None
        try:
            for part in self._read(pixels, list(chain(*frames)), reading, found=False):
                read[part.number] = as_words(part.text, part.frame.corners.clip((0, 0), page.image.size), None)
        except OcrQueueError as error:
            failure = error
        results: list[Line | OcrQueueError] = []
        numbers = count()
        for line, own in zip(lines, frames, strict=True):
            found = [read.get(next(numbers)) for _ in own]
            if failure is not None and None in found:
                results.append(failure)
                continue
            words = tuple(word for part in found for word in part or ())
            results.append(line.model_copy(update={"words": words, "confidence": mean_confidence(words)}))
        return results

    def unseen_lines(self, page: PageImage, seen: Sequence[Line]) -> list[Line]:
        import numpy as np

        from ocrqueue_worker.engines.rapid.unseen import unseen_lines

        return unseen_lines(np.asarray(page.image.convert("L")), seen)

    def _read(
        self, pixels: Pixels, frames: Sequence[LineFrame], reading: Reading[RapidOptions], *, found: bool = True
    ) -> Iterator[_ReadLine]:
        """The lines in no order; with `use_cls` those that the detector found are read both ways if they seem to stand
        upside down, or read badly.

        Raises EngineTimeout between batches.
        """
        from ocrqueue_worker.engines.rapid.lines import picture
        from ocrqueue_worker.engines.rapid.spacing import with_spaces

        networks = self._loaded
        order = sorted(range(len(frames)), key=lambda number: frames[number].aspect)
        # lines that others found are of any length: one by one each takes the time of its own
        for batch in _batches(order, frames, networks.batch_size if found else 1):
            _check_time(reading)
            pictures = [picture(pixels, frames[number]) for number in batch]
            texts = networks.read_lines(pictures, padded=found)
            read = [
                _ReadLine(number, frames[number], with_spaces(text, seen))
                for number, text, seen in zip(batch, texts, pictures, strict=True)
            ]
            if found and reading.options.use_cls:
                # what the classifier says of print in black and white only is often wrong
                suspected = networks.are_upside_down(pictures)
                turned = [place for place, part in enumerate(read) if suspected[place] or _is_doubtful(part)]
                seen_turned = [pictures[place][::-1, ::-1].copy() for place in turned]
                again = networks.read_lines(seen_turned) if turned else []
                for place, text, seen in zip(turned, again, seen_turned, strict=True):
                    if text.score > read[place].text.score and (suspected[place] or text.score >= _SURE):
                        read[place] = _ReadLine(batch[place], frames[batch[place]].turned(), with_spaces(text, seen))
            yield from (part.with_forms_of(reading.languages) for part in read)

    def close(self) -> None:
        self._networks = None


def _is_doubtful(line: _ReadLine) -> bool:
    return line.text.score < _DOUBTFUL and line.frame.aspect >= _A_WORD


def _batches(order: Iterable[int], frames: Sequence[LineFrame], most: int) -> Iterator[list[int]]:
    """Numbers of lines by rising length, so many together as memory bears."""
    batch: list[int] = []
    for number in order:
        if batch and (len(batch) == most or (len(batch) + 1) * frames[number].aspect > _TOGETHER):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _check_time(reading: Reading[Any]) -> None:
    if reading.seconds_left() <= 0:
        raise EngineTimeout
