"""Jobs that are read when the test says so: what is to happen meanwhile does, however long a machine takes for it.

A job with the engine `gated` is the null engine's in all else. The fixture `gates` is in conftest. Where the variable
GATED_LOAD names a file, the engine is not loaded as long as it is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png

PLUGINS: Final = Path(__file__).with_name("plugins")
"""On the PYTHONPATH of workers that are to know the engine."""
ENGINE: Final = "gated"
BATCHED: Final = "batched"
"""The same, but that it reads up to six jobs in a call."""


@dataclass(frozen=True)
class Gates:
    """One for each width of a page, closed at first."""

    folder: Path

    @property
    def fields(self) -> dict[str, Any]:
        """Of a job whose pages wait."""
        return {"engine": ENGINE, "options": {"gates": str(self.folder)}}

    def batched(self, together: int) -> dict[str, Any]:
        """Of a job whose pages wait, so many of them in one call."""
        return {"engine": BATCHED, "options": {"gates": str(self.folder), "together": together}}

    def open(self, widths: Iterable[int]) -> None:
        """Pages of these widths are read, now and from now on."""
        for width in widths:
            (self.folder / str(width)).touch()

    def reached(self, width: int) -> bool:
        """Whether a worker's child has been in the call that reads such a page."""
        return (self.folder / f"reached {width}").exists()

    def worker_stops(self) -> bool:
        """Whether a worker, asked to stop, has begun to, while a page of its waited."""
        return (self.folder / "worker stops").exists()


def with_gated(settings: WorkerSettings) -> WorkerSettings:
    """WorkerSettings under which `gated` can be submitted to before a worker is up."""
    return settings.model_copy(update={"engines": (*settings.engines, ENGINE, BATCHED)})


def page(width: int) -> bytes:
    return png(Image.new("L", (width, 40), 255))
