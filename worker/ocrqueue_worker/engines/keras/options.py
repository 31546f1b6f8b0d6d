"""The options of the keras engine: those of keras-ocr's Pipeline and Detector.detect, with the same defaults."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ocrqueue_worker.engines.engine import EngineOptions

Threshold = Annotated[float, Field(gt=0, lt=1)]


class KerasOptions(EngineOptions):
    """See `keras_ocr.pipeline.Pipeline` and `keras_ocr.detection.Detector.detect`."""

    scale: Annotated[float, Field(ge=0.25, le=4)] = Field(
        default=2.0,
        description="Pages are enlarged by this factor before words are searched; 1 is several times faster.",
    )
    max_size: Annotated[int, Field(ge=64, le=4096)] = Field(
        default=2048, description="Longest side in pixels of an enlarged page; longer pages are scaled down to it."
    )
    detection_threshold: Threshold = Field(
        default=0.7, description="A word counts if the text map reaches this value somewhere in it."
    )
    text_threshold: Threshold = Field(
        default=0.4,
        description="Value of the text map from which a pixel is text. Higher: fewer words merged. Lower: fainter text "
        "found.",
    )
    link_threshold: Threshold = Field(
        default=0.4,
        description="Value of the link map from which letters belong together. Higher: words fall apart sooner.",
    )
    size_threshold: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=10, description="Least area of a word, in pixels of the map, which has half the enlarged page's size."
    )
