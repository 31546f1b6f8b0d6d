"""The null engine and its options."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ocrqueue.document import (
    Block,
    EngineInfo,
    Line,
    Page,
    Paragraph,
    Region,
    Word,
    box_of,
    mean_confidence,
    polygon_of,
)
from ocrqueue.errors import EngineTimeout, OcrQueueError
from ocrqueue_worker.engines.engine import Engine, EngineOptions, Reading
from ocrqueue_worker.engines.null.faults import FAULTS, Fault
from ocrqueue_worker.engines.null.garbage import Garbage, garbage
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.layout.word_ids import word_id

_WORDS_PER_LINE = 10


class NullOptions(EngineOptions):
    """What to feign."""

    delay_s: Annotated[float, Field(ge=0, le=3600)] = Field(default=0.0, description="Seconds a page takes.")
    words: Annotated[int, Field(ge=0, le=9999)] = Field(default=1, description="Words on each page.")
    confidence: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Confidence of every word."
    )
    together: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Pages in one call, of one image or of a batch."
    )
    split: bool = Field(default=False, description="Read each page of a document as a part of its own.")
    fault: Fault = Field(
        default="none",
        description="error: engine.failed. retryable: an error worth a retry. bug: an unexpected exception. "
        "memory: MemoryError. exhaust: takes memory until it is stopped, 8 GiB at most. garbage: returns what is no "
        "page. disk_full: writes to a full disk. segfault, kill: the worker child dies. "
        "stall: runs into the soft time limit. hang: into the hard one.",
    )
    fault_page: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="The page with the fault; absent: all."
    )
    garbage: Literal[Garbage, "any"] = Field(
        default="any", description="What `garbage` returns; any: by the page's number, one after the other."
    )


class NullEngine(Engine[NullOptions]):
    """See the package."""

    name = "null"
    options_model = NullOptions
    cacheable = False
    reads_lines = True

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name=self.name, version="1", model="none")

    def languages(self) -> tuple[str, ...]:
        return ()

    def pages_together(self, options: NullOptions) -> int:
        return options.together

    def may_prepare(self, options: NullOptions) -> bool:
        return False

    def splits(self, options: NullOptions, pages: int) -> bool:
        return options.split

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        results: list[Any] = []
        for page in pages:
            result, options = self._read(page, reading), reading.options
            if options.fault == "garbage" and options.fault_page in (None, page.number) and isinstance(result, Page):
                results += garbage(result, options.garbage)
            else:
                results.append(result)
        return results

    def recognize_lines(
        self, page: PageImage, lines: Sequence[Line], reading: Reading[NullOptions]
    ) -> list[Line | OcrQueueError]:
        """One word for each line, where the line is."""
        if (error := FAULTS[reading.options.fault]()) is not None:
            return [error] * len(lines)
        confidence = reading.options.confidence
        words = [
            Word(id="", text=f"line{number}", polygon=line.polygon, bbox=line.bbox, confidence=confidence)
            for number, line in enumerate(lines, 1)
        ]
        return [Line(words=(word,), polygon=word.polygon, bbox=word.bbox, confidence=confidence) for word in words]

    def _read(self, page: PageImage, reading: Reading[NullOptions]) -> Page | OcrQueueError:
        options = reading.options
        if options.fault_page in (None, page.number):
            error = FAULTS[options.fault]()
            if error is not None:
                return error
        if options.delay_s > 0:
            time.sleep(max(0.0, min(options.delay_s, reading.seconds_left())))
        if reading.seconds_left() <= 0:
            return EngineTimeout()
        width, height = page.image.size
        return Page(
            number=page.number,
            width=width,
            height=height,
            dpi=page.dpi,
            blocks=_grid(page, options) if options.words else (),
        )


def _grid(page: PageImage, options: NullOptions) -> tuple[Block, ...]:
    """`options.words` equal cells, ten a line, filling the page."""
    width, height = page.image.size
    rows = -(-options.words // _WORDS_PER_LINE)
    lines = []
    for row in range(rows):
        words = []
        for column in range(min(_WORDS_PER_LINE, options.words - row * _WORDS_PER_LINE)):
            number = row * _WORDS_PER_LINE + column + 1
            box = (
                round(column * width / _WORDS_PER_LINE, 2),
                round(row * height / rows, 2),
                round((column + 1) * width / _WORDS_PER_LINE, 2),
                round((row + 1) * height / rows, 2),
            )
            words.append(
                Word(
                    id=word_id(page.number, number),
                    text=f"null{number}",
                    polygon=polygon_of(box),
                    bbox=box,
                    confidence=options.confidence,
                )
            )
        lines.append(Line(words=tuple(words), **_around(words)))
    paragraph = Paragraph(lines=tuple(lines), **_around(lines))
    return (Block(paragraphs=(paragraph,), **_around([paragraph])),)


def _around(parts: Sequence[Region]) -> dict[str, object]:
    box = box_of([part.polygon for part in parts])
    return {"polygon": polygon_of(box), "bbox": box, "confidence": mean_confidence(parts)}
