"""The options of the Google Cloud Vision engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ocrqueue_worker.engines.engine import EngineOptions


class VisionOptions(EngineOptions):
    """See Feature, ImageContext and TextDetectionParams of google.cloud.vision.v1."""

    feature: Literal["document_text_detection", "text_detection"] = Field(
        default="document_text_detection",
        description="document_text_detection: pages, dense text, handwriting. text_detection: text in photos.",
    )
    model: Literal["builtin/stable", "builtin/latest", "builtin/weekly"] = Field(
        default="builtin/stable", description="Which release of Google's model reads."
    )
    language_hints: bool = Field(
        default=True,
        description="Tell Google the job's languages. false: it finds the languages itself, which it does well for "
        "Latin letters; a wrong hint hinders it.",
    )
    symbols: bool = Field(
        default=False, description="Keep each character's polygon and confidence: `symbols` of a word."
    )
    legacy_layout: bool = Field(
        default=False, description="Google's older layout detection, by rules, instead of the learned one."
    )
