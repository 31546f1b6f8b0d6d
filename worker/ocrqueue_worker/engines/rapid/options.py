"""The options of the rapid engine: RapidOCR's own, with its names and defaults."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ocrqueue_worker.engines.engine import EngineOptions


class RapidOptions(EngineOptions):
    """See `config.yaml` of the package rapidocr."""

    text_score: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Lines that are read with a lower score are left out."
    )
    box_thresh: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5,
        description="A line counts if the mean of the detector's map in it is at least this. Lower: fainter text "
        "found.",
    )
    unclip_ratio: Annotated[float, Field(ge=1, le=4)] = Field(
        default=1.6,
        description="How far a line's box goes beyond its core, which the detector finds. Less: tighter boxes.",
    )
    max_side_len: Annotated[int, Field(ge=320, le=4096)] = Field(
        default=2000, description="Longest side in pixels of a page that is read; longer pages are scaled down to it."
    )
    use_cls: bool = Field(
        default=True,
        description="Lines that seem to be upside down, or read badly, are read both ways, and the better reading is "
        "kept.",
    )
