"""An engine that reads a page when it is told to: see tests.support.gates.

Where the variable SHORT_JOBS_S is set, jobs count as short that take so many seconds, eight together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ocrqueue.document import Page
from ocrqueue.errors import OcrQueueError
from ocrqueue_worker.broker import short_jobs
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.null import NullEngine, NullOptions
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.stop_flag import is_stopping

if "SHORT_JOBS_S" in os.environ:
    short_jobs._WORTH_S = float(os.environ["SHORT_JOBS_S"])  # type: ignore[misc]  # a machine may be slow


class GatedOptions(NullOptions):
    gates: str = Field(default="", description="A folder: pages are read once it holds a file named by their width.")


class GatedEngine(NullEngine):
    name = "gated"
    options_model = GatedOptions

    def load(self) -> None:
        closed = os.environ.get("GATED_LOAD")
        while closed and Path(closed).exists():
            time.sleep(0.01)
        super().load()

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        assert isinstance(reading.options, GatedOptions)
        gates = Path(reading.options.gates)
        widths = sorted({page.image.size[0] for page in pages}) if reading.options.gates else []
        for width in widths:
            (gates / f"reached {width}").touch()
            while not (gates / str(width)).exists() and reading.seconds_left() > 0:
                if is_stopping():
                    (gates / "worker stops").touch()
                time.sleep(0.01)
        return super().recognize(pages, reading)


class BatchedOptions(GatedOptions):
    together: Annotated[int, Field(ge=1, le=64)] = Field(default=6, description="Pages that it gets in one call.")


class BatchedEngine(GatedEngine):
    """The same for an engine that is given the pages of several jobs at once."""

    name = "batched"
    options_model = BatchedOptions
