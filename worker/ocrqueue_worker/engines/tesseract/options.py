"""The options of the Tesseract engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ocrqueue_worker.engines.engine import EngineOptions

Characters = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x1f\x7f]*$")]


class TesseractOptions(EngineOptions):
    """See `tesseract --help-psm` and `--help-oem`."""

    oem: Annotated[int, Field(ge=0, le=3)] = Field(
        default=3,
        description="OCR engine mode. 0: legacy. 1: LSTM. 2: both. 3: what the language pack has. "
        "0 and 2 need packs with a legacy model, which Debian's are not.",
    )
    psm: Annotated[int, Field(ge=0, le=13)] = Field(
        default=3,
        description="Page segmentation mode. 0: only detect the orientation. 1: as 3 with `rotate` auto. "
        "3: automatic. 4: one column. 6: one block. 7: one line. 8: one word. 11: sparse text. 13: raw line.",
    )
    dpi: Annotated[int, Field(ge=70, le=2400)] | None = Field(
        default=None,
        description="Resolution in dots per inch; absent: that of a PDF page, if it is 150 to 300, else estimated from "
        "the size of the letters.",
    )
    whitelist: Characters = Field(default="", description="Only these characters are read.")
    blacklist: Characters = Field(default="", description="These characters are not read.")
    rotate: Literal["off", "auto", 90, 180, 270] = Field(
        default="off",
        description="auto: detect by how much the text is turned and read it upright (needs the pack osd). "
        "90, 180, 270: it is turned clockwise by so many degrees. Polygons stay in the original image's pixels.",
    )
    reread_words: bool = Field(
        default=False,
        description="Crop every word found and read it again on its own; the reading with the better confidence "
        "stands, and `reading` says which it was.",
    )
    reread_psm: Literal[7, 8] = Field(default=8, description="Mode of the second reading. 7: one line. 8: one word.")

    @model_validator(mode="after")
    def _rotation_once(self) -> TesseractOptions:
        if self.psm in (0, 1) and self.rotate in (90, 180, 270):
            raise ValueError("psm 0 and 1 detect the orientation: do not give it in rotate")
        return self

    @property
    def detects_orientation(self) -> bool:
        return self.rotate == "auto" or self.psm in (0, 1)
