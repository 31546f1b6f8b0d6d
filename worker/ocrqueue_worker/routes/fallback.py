"""An engine's turn at a job with a route, or at a page of it that takes the route by itself: reads what is asked of it,
keeps what is good enough, sends on the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ocrqueue.core import Outcome
from ocrqueue.document import Document, DocumentWarning, InputInfo, Line, Page
from ocrqueue.errors import ErrorInfo, OcrQueueError, StorageNotFound
from ocrqueue.job.route import Route, Step
from ocrqueue_worker.calibration import calibrated_line, calibration_of, stated_info
from ocrqueue_worker.engines.asking import accepted_options, asking
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.limits.time_limits import time_limits
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.cache_key import cache_key, earlier_reading, remember_reading
from ocrqueue_worker.pipeline.crop_storage import crop_writer
from ocrqueue_worker.pipeline.engine_call import (
    Result,
    as_in_file,
    as_page,
    check_page,
    recognise_lines,
    unseen_lines,
)
from ocrqueue_worker.pipeline.file_pixels import on_image
from ocrqueue_worker.pipeline.job_source import JobSource
from ocrqueue_worker.pipeline.page_objects import as_stored, written
from ocrqueue_worker.pipeline.page_parts import Split
from ocrqueue_worker.pipeline.page_reading import read_pages
from ocrqueue_worker.routes.assessment import (
    Thresholds,
    assess,
    mean_number,
    stated_confidences,
    thresholds,
    uncertain_lines,
)
from ocrqueue_worker.routes.final_document import compose, end_comparison, store_end
from ocrqueue_worker.routes.found import with_found
from ocrqueue_worker.routes.merging import settled, with_lines, without_crops
from ocrqueue_worker.routes.next_engine import Onward, onward, open_route, reads_lines
from ocrqueue_worker.routes.parts import doubtful_parts, put_together
from ocrqueue_worker.routes.steps import alone_key, compared_documents, read_before, standing_document, standing_key


@dataclass(frozen=True, slots=True)
class _Read:
    """What the engine made of one page."""

    result: Result
    seconds: float
    whole: bool = True
    """Else single lines of it, and the rest is as it stood."""


class Turn:
    """One attempt at an engine's turn. Raises the OcrQueueError for which it fails, JobCancelled, JobElsewhere."""

    def __init__(self, attempt: Attempt, engine: Engine[Any], route: Route) -> None:
        self.attempt = attempt
        self.engine = engine
        self.asked = route
        job, workplace = attempt.job, attempt.workplace
        self.compares = route.mode == "compare"
        self.open_route = open_route(route, workplace.registry)
        """With an engine that follows and has workers; None for the last turn."""
        following = self.open_route.following if self.open_route else None
        by_lines = following is not None and not self.compares and reads_lines(following, workplace.registry)
        self.limits = thresholds(workplace.settings, job.engine, by_lines=by_lines)
        threads = workplace.settings.upload_threads
        self._crops = crop_writer(job, attempt.name, workplace.storage, threads, attempt.hold.page)
        self._cropped: set[int] = set()
        self._pages: dict[int, Page] = {}
        """As they stand, by number: those of earlier turns, then this one's in their place."""
        self._before: dict[int, Page] = {}
        self._warnings: tuple[DocumentWarning, ...] = ()
        self._truncated: dict[int, ErrorInfo] = {}
        """Of pages that are there in part."""
        self._alone: dict[int, Page] = {}
        """What this engine by itself read of whole pages."""

    def run(self) -> Outcome | Onward | Split:
        job = self.attempt.job
        self.options = accepted_options(self.engine, job)
        self.info = stated_info(self.engine, job.languages)
        with JobSource(self.attempt) as source:
            self._recall(source.fetch())
            source.open()
            self.source = source.info
            # what an engine has read of all pages is for all of them to go on with
            if not read_before(job) and (split := source.split(self.engine, self.options)) is not None:
                return split
            page_count = len(source.numbers)
            self.attempt.check_cancelled(0, page_count)
            self._read_pages(source, self._asked_pages(source.numbers), page_count)
            self._warnings = tuple(dict.fromkeys((*self._warnings, *source.warnings)))
            self._truncated |= source.truncated
        step = self._step(page_count)
        if self.compares:
            return self._compare(step, source.data)
        if self.open_route is not None and any(map(_goes_on, self._pages.values())):
            return self._send_on(self.open_route, step)
        document = self._document((*self.asked.trail, step))
        self.attempt.check_cancelled(page_count, page_count)
        return store_end(self.attempt, document, source.data)

    # --- what is to be read ----------------------------------------------------------------------------------------

    def _recall(self, source: InputInfo) -> None:
        """What stood after the turn before; nothing if the image has changed since."""
        before = None if self.compares else standing_document(self.attempt)
        if before is not None and before.input.sha256 == source.sha256:
            self._before = {page.number: page for page in before.pages}
            self._warnings = before.warnings
            self._truncated = _errors_of_parts(before)
            self._pages = dict(self._before)

    def _asked_pages(self, selected: Sequence[int]) -> Sequence[int]:
        if not self._before:
            return selected
        return [number for number, page in sorted(self._before.items()) if _goes_on(page)]

    def _lines_asked(self, number: int) -> list[int] | None:
        """The places of the lines to be read by themselves, besides those that nobody saw; None where the whole
        page is to be read.
        """
        before = self._before.get(number)
        if before is None or before.trail[-1].verdict != "lines sent on" or not self.engine.reads_lines:
            return None
        return uncertain_lines(before, self._limits_before(before))

    def _limits_before(self, before: Page) -> Thresholds:
        """Those of the engine that has sent the page's lines on."""
        return thresholds(self.attempt.workplace.settings, before.trail[-1].engine, by_lines=True)

    def _line_below(self, number: int) -> float:
        return self._limits_before(self._before[number]).line_below or 0.0

    # --- reading ---------------------------------------------------------------------------------------------------

    def _read_pages(self, source: JobSource, numbers: Sequence[int], count: int) -> None:
        self._caching = self.engine.cacheable and self.attempt.workplace.settings.cache_ttl_s > 0
        self._caching = self._caching and not source.is_protected
        known = self._known_pages(numbers, count)
        limits = time_limits(self.attempt.workplace.settings, self.attempt.job)
        reading = Reading(
            self.attempt.job.languages, self.options, deadline=self.attempt.watch.started + limits.engine_s
        )
        with asking(self.engine.name, "pages_together()"):
            together = self.engine.pages_together(self.options)
        for first in range(0, len(numbers), together):
            images, failed = source.decode(numbers[first : first + together])
            self._pages |= {page.number: page for page in failed}
            for picture, read in zip(images, self._read(images, known, reading), strict=True):
                self.attempt.watch.add("ocr_s", read.seconds)
                self._take(picture, read)
            done = len(numbers[: first + together]) + count - len(numbers)
            self.attempt.check_cancelled(done, count)
            with self.attempt.watch.measure("upload_s"):
                self._crops.upload()

    def _known_pages(self, numbers: Sequence[int], count: int) -> dict[int, Page]:
        """Of an earlier reading of the whole image by this engine, as it would be now."""
        job, all_pages = self.attempt.job, self.attempt.start.pages or count
        self._all_whole = len(numbers) == count and all(self._lines_asked(number) is None for number in numbers)
        if not (self._caching and job.cache and self._all_whole):
            return {}
        for crops in ("none", "archive", "objects"):
            earlier = earlier_reading(self.attempt, self._cache_key(crops))
            if earlier is not None and len(earlier.page_numbers) == all_pages:
                with suppress(StorageNotFound):
                    return {number: without_crops(earlier.page(number)) for number in numbers}
        return {}

    def _cache_key(self, crops: str) -> str:
        alone = self.attempt.job.model_copy(update={"crops": crops})
        return cache_key(self.source.sha256 or "", self.info, alone, self.options)

    def _read(self, images: Sequence[PageImage], known: dict[int, Page], reading: Reading[Any]) -> list[_Read]:
        read: dict[int, _Read] = {
            image.number: _Read(known[image.number], 0.0) for image in images if image.number in known
        }
        for image in images:
            if (places := self._lines_asked(image.number)) is not None:
                read[image.number] = self._read_lines(image, places, reading)
        rest = [image for image in images if image.number not in read]
        if rest:
            begun = time.monotonic()
            results = read_pages(self.engine, rest, reading, self.attempt.job.prepare)
            seconds = (time.monotonic() - begun) / len(rest)
            read |= {image.number: _Read(result, seconds) for image, result in zip(rest, results, strict=True)}
        return [read[image.number] for image in images]

    def _read_lines(self, image: PageImage, places: Sequence[int], reading: Reading[Any]) -> _Read:
        before = on_image(self._before[image.number], image)
        begun = time.monotonic()
        parts = doubtful_parts(before, places, self._line_below(image.number))
        unseen = unseen_lines(self.engine, image, list(before.lines()))
        every = recognise_lines(self.engine, image, [*(part.line for part in parts), *unseen], reading)
        seconds = time.monotonic() - begun
        if isinstance(every, OcrQueueError):
            return _Read(every, seconds, whole=False)
        curve = calibration_of(self.engine, reading.languages)
        every = [calibrated_line(line, curve) if isinstance(line, Line) else line for line in every]
        lines, found = every[: len(parts)], [line for line in every[len(parts) :] if isinstance(line, Line)]
        errors = [line for line in lines if isinstance(line, OcrQueueError)]
        if errors and len(errors) == len(lines):
            return _Read(errors[0], seconds, whole=False)
        chosen = [
            settled(part.line, second) if isinstance(second, Line) else None
            for part, second in zip(parts, lines, strict=True)
        ]
        merged = with_lines(before, put_together(before, parts, chosen), self.engine.name)
        page = check_page(self.engine, image, with_found(merged, found, self.engine.name))
        return _Read(as_in_file(page, image) if isinstance(page, Page) else page, seconds, whole=False)

    # --- keeping ---------------------------------------------------------------------------------------------------

    def _take(self, image: PageImage, read: _Read) -> None:
        """Choose between what the engine read and what stood; crops are cut of what stays."""
        page, before = as_page(image, read.result), self._before.get(image.number)
        if read.whole:
            self._alone[image.number] = page
        if self.compares:
            self._pages[image.number] = page
            if not read_before(self.attempt.job):
                self._crop(image, page)
            return
        entry = assess(page, self.engine.name, read.seconds, self.limits)
        if entry.verdict == "kept" and read.whole and self._may_have_missed(image, page):
            entry = entry.model_copy(update={"verdict": "lines sent on", "reason": "print in none of its words"})
        if self.open_route is None and entry.verdict in ("page sent on", "lines sent on"):
            entry = entry.model_copy(update={"verdict": "kept", "reason": f"{entry.reason}; no engine is left"})
        if before is not None and _says_more(before, page):
            page = before
        else:
            page = page.model_copy(update={"engine": self.engine.name if read.whole else page.engine})
        trail = (*(before.trail if before else ()), entry)
        self._pages[image.number] = page = page.model_copy(update={"trail": trail})
        if self.open_route is None or not _goes_on(page):
            self._crop(image, page)

    def _may_have_missed(self, image: PageImage, page: Page) -> bool:
        """Whether the engine after this one, which looks for lines that nobody saw, is to do so."""
        if self.limits.line_below is None or not any(True for _ in page.words()):
            return False
        from ocrqueue_worker.preparation.unread_print import has_unread_print

        return has_unread_print(on_image(page, image), image.image)

    def _crop(self, image: PageImage, page: Page) -> None:
        if page.error is None:
            with self.attempt.watch.measure("crop_s"):
                self._crops.crop(image.image, on_image(page, image))
            self._cropped.add(page.number)

    # --- the end of the turn ---------------------------------------------------------------------------------------

    def _step(self, page_count: int) -> Step:
        """What the trail says of this turn; the engine's own Document is stored and remembered."""
        read = [self._pages[number] for number in self._pages if self._pages[number] is not self._before.get(number)]
        entries = [page.trail[-1] for page in read if page.trail]
        pages = list(self._alone.values()) if any(True for page in self._alone.values() for _ in page.words()) else read
        mean = mean_number([known for page in pages for known in stated_confidences(page)])
        return Step(
            engine=self.engine.name,
            version=self.info.version,
            model=self.info.model,
            attempt=self.attempt.start.number,
            stored_as=self.attempt.name,
            pages=len(read),
            pages_sent_on=sum(entry.verdict in ("page sent on", "failed") for entry in entries if self.open_route),
            lines_sent_on=sum(self._lines_sent_on(page) for page in read) if self.open_route else 0,
            mean_confidence=None if mean is None else round(mean, 4),
            seconds=round(self.attempt.watch.spent.get("ocr_s", 0.0), 4),
            result=self._store_alone(page_count),
            remember_as=self._cache_key("none") if self._caching and self.attempt.hold.page is not None else None,
        )

    def _lines_sent_on(self, page: Page) -> int:
        return len(uncertain_lines(page, self.limits)) if _last(page) == "lines sent on" else 0

    def _store_alone(self, page_count: int) -> str | None:
        """Where the Document of this engine alone is, if it read every page as a whole."""
        if not self._all_whole or len(self._alone) < page_count:
            return None
        pages = tuple(page for _, page in sorted(self._alone.items()))
        attempt = self.attempt
        document = compose(
            attempt, self.source, self.info, pages, warnings=self._warnings, truncated=self._truncated
        ).model_copy(update={"options": attempt.job.engine_options})
        key = alone_key(attempt, self.engine.name)
        with attempt.watch.measure("upload_s"):
            uri = attempt.storage.put(key, written(as_stored(attempt, document, self.engine.name)), "application/json")
        if self._caching and document.status == "succeeded" and attempt.hold.page is None:
            remember_reading(attempt, self._cache_key("none"), uri)
        return uri

    def _send_on(self, route: Route, step: Step) -> Onward:
        attempt = self.attempt
        standing = self._document((*route.trail, step))
        attempt.check_cancelled(len(standing.pages), len(standing.pages))
        with attempt.watch.measure("upload_s"):
            attempt.storage.put(
                standing_key(attempt),
                standing.model_dump_json().encode(),
                "application/json",
            )
        return onward(attempt.job, route, step)

    def _compare(self, step: Step, data: bytes | None) -> Outcome | Onward:
        if self.open_route is not None:
            return self._send_on(self.open_route, step)
        trail = (*self.asked.trail, step)
        documents = compared_documents(self.attempt)
        return end_comparison(self.attempt, {**documents, self.engine.name: self._document(trail)}, trail, data)

    def _document(self, trail: tuple[Step, ...]) -> Document:
        with self.attempt.watch.measure("upload_s"):
            placed = self._crops.finish()
        return compose(
            self.attempt,
            self.source,
            self.info,
            tuple(self._pages[number] for number in sorted(self._pages)),
            trail=trail,
            crops=dict.fromkeys(self._cropped, placed),
            warnings=self._warnings,
            truncated=self._truncated,
        )


def _errors_of_parts(document: Document) -> dict[int, ErrorInfo]:
    """By page, the errors of pages that were read as far as they are there."""
    whole = {page.number for page in document.pages if page.error is None}
    numbered = ((error.details.get("page"), error) for error in document.errors)
    return {number: error for number, error in numbered if isinstance(number, int) and number in whole}


def _last(page: Page) -> str:
    return page.trail[-1].verdict if page.trail else ""


def _goes_on(page: Page) -> bool:
    """Whether the next engine is to read it, or lines of it."""
    return _last(page) in ("page sent on", "lines sent on", "failed")


def _says_more(before: Page, page: Page) -> bool:
    """Whether what stood is to stay: the engine failed, or found nothing where there was something."""
    had_words = before.error is None and any(word.text for word in before.words())
    return had_words and (page.error is not None or not any(word.text for word in page.words()))
