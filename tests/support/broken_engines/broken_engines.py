"""Engines of one fault each, for the checks of the engine interface to name."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from ocrqueue.document import EngineInfo, Page, Word, polygon_of
from ocrqueue.errors import EngineFailed, OcrQueueError
from ocrqueue_worker.engines.engine import Engine, EngineOptions, Reading
from ocrqueue_worker.engines.null import NullEngine, NullOptions
from ocrqueue_worker.engines.null.garbage import garbage
from ocrqueue_worker.images.page import PageImage


class Whole(NullEngine):
    """Without a fault."""

    name = "whole"
    cacheable = True

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        words = reading.options.model_copy(update={"words": 100})
        return super().recognize(pages, Reading(reading.languages, words, reading.deadline))


class Nameless(Engine[EngineOptions]):
    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name="nameless", version="1", model="none")

    def languages(self) -> tuple[str, ...]:
        return ()

    def recognize(self, pages: Sequence[PageImage], reading: Reading[EngineOptions]) -> list[Page | OcrQueueError]:
        return []


class Unfinished(Engine[EngineOptions]):
    name = "unfinished"

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name=self.name, version="1", model="none")

    def recognize(self, pages: Sequence[PageImage], reading: Reading[EngineOptions]) -> list[Page | OcrQueueError]:
        return []


class LooseOptions(NullOptions):
    model_config = ConfigDict(extra="allow")


class Loose(Whole):
    name = "loose"
    options_model = LooseOptions


class Forgetful(Whole):
    name = "forgetful"

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name=self.name, model="none")  # type: ignore[call-arg]  # the fault


class Polyglot(Whole):
    name = "polyglot"

    def languages(self) -> tuple[str, ...]:
        return ("eng",)


class Percent(Whole):
    name = "percent"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Any]:
        return [garbage(page, "confidence")[0] for page in super().recognize(pages, reading) if isinstance(page, Page)]


class Boxless(Whole):
    name = "boxless"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        Word(id="p001-w0001", text="word", polygon=polygon_of((0, 0, 1, 1)))  # type: ignore[call-arg]  # the fault
        return []


class Scaled(NullEngine):
    """Its one word stands in the upper left, whatever the page."""

    name = "scaled"


class Tiny(Whole):
    name = "tiny"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        for page in pages:
            _ = 1 / (page.image.size[0] - 1)
        return super().recognize(pages, reading)


class First(Whole):
    name = "first"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        return super().recognize(pages[:1], reading)


class Changing(Whole):
    name = "changing"
    numbers = count(1)

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        pages_read = super().recognize(pages, reading)
        return [page.model_copy(update={"dpi": next(self.numbers)}) for page in pages_read if isinstance(page, Page)]


class Swallowing(Whole):
    name = "swallowing"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        try:
            time.sleep(0.2)
            return super().recognize(pages, reading)
        except Exception:
            return [EngineFailed()] * len(pages)


class Deaf(Whole):
    name = "deaf"

    def load(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Crashing(Whole):
    name = "crashing"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


class Hanging(Whole):
    name = "hanging"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        time.sleep(3600)
        return []


class Unloadable(Whole):
    name = "unloadable"

    def load(self) -> None:
        raise KeyError("model")


class Polite(Whole):
    """It asks a process of its own to end, which ignores SIGTERM as its worker's child does."""

    name = "polite"

    def load(self) -> None:
        self.helper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        self.helper.start()

    def close(self) -> None:
        self.helper.terminate()
        self.helper.join()


class Quitting(Whole):
    name = "quitting"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        sys.exit(3)


class Panicking(Whole):
    """As a library that is written in Rust does."""

    name = "panicking"

    def load(self) -> None:
        raise type("PanicException", (BaseException,), {})


class Chatty(Whole):
    name = "chatty"

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        os.write(1, b"{10 %")
        sys.stdout.write("no end of a line")
        return super().recognize(pages, reading)


class Leaving(Whole):
    name = "leaving"

    def load(self) -> None:
        self.helper = subprocess.Popen(["sleep", "600"])
        Path(os.environ.get("LEFT_BEHIND", os.devnull)).write_text(str(self.helper.pid))


class Endless(Whole):
    name = "endless"

    def longest_side(self, options: NullOptions) -> int | None:
        return "far"  # type: ignore[return-value]  # the fault


class Choosy(Whole):
    name = "choosy"

    def may_prepare(self, options: NullOptions) -> bool:
        raise KeyError("psm")


class Tidy(Whole):
    """Without a fault."""

    name = "tidy"

    def load(self) -> None:
        gc.collect()
