"""The null engine: reads nothing, at a set speed, with set faults. For tests, load and rehearsals of failure.

Its faults kill or block the worker that runs it: run its worker where that is wanted, and nowhere else.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Annotated, Literal

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
from ocrqueue.errors import EngineFailed, EngineTimeout, OcrQueueError, SourceUnavailable
from ocrqueue_worker.engines.engine import Engine, EngineOptions, PageImage, Reading, word_id

_WORDS_PER_LINE = 10


class NullOptions(EngineOptions):
    """What to feign."""

    delay_s: Annotated[float, Field(ge=0, le=3600)] = Field(default=0.0, description="Seconds a page takes.")
    words: Annotated[int, Field(ge=0, le=9999)] = Field(default=1, description="Words on each page.")
    confidence: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, description="Of every word.")
    fault: Literal["none", "error", "retryable", "bug", "memory", "segfault", "kill", "stall", "hang"] = Field(
        default="none",
        description="error: engine.failed. retryable: an error worth a retry. bug: an unexpected exception. "
        "memory: MemoryError. segfault, kill: the worker child dies. "
        "stall: runs into the soft time limit. hang: into the hard one.",
    )
    fault_page: Annotated[int, Field(ge=1)] | None = Field(default=None, description="The page with the fault; all.")


class NullEngine(Engine[NullOptions]):
    """See the module."""

    name = "null"
    options_model = NullOptions
    cacheable = False

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name=self.name, version="1", model="none")

    def languages(self) -> tuple[str, ...]:
        return ()

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        return [self._read(page, reading) for page in pages]

    def _read(self, page: PageImage, reading: Reading[NullOptions]) -> Page | OcrQueueError:
        options = reading.options
        if options.fault_page in (None, page.number):
            error = _fault(options.fault)
            if error is not None:
                return error
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


def _fault(fault: str) -> OcrQueueError | None:
    match fault:
        case "error":
            return EngineFailed("The null engine was told to fail.")
        case "retryable":
            raise SourceUnavailable("The null engine was told to fail for now.")
        case "bug":
            raise ZeroDivisionError("the null engine was told to have a bug")
        case "memory":
            raise MemoryError
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stall":
            time.sleep(86_400)
        case "hang":
            # as a library that does not come back: deaf to the soft time limit
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            while True:
                time.sleep(3600)
    return None


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
