"""What a Document says of its file, of the engine that read it, and of the time that it took."""

from __future__ import annotations

from pydantic import Field

from ocrqueue.document.values import Value, is_unset


class InputInfo(Value):
    uri: str = Field(description="The reference, without its query string and credentials.")
    sha256: str | None = Field(description="Null if the engine fetched the image itself, by its reference.")
    format: str = Field(description="PDF, PNG, JPEG, TIFF, ...: by content; empty if the engine fetched it.")
    bytes: int | None
    name: str | None = Field(
        default=None, exclude_if=is_unset, description="Name of the image, such as the submitted file's name."
    )


class EngineInfo(Value):
    name: str
    version: str
    model: str = Field(description="What the engine loaded, so that equal strings mean equal weights.")
    calibration: str | None = Field(
        default=None,
        exclude_if=is_unset,
        description="What its words' confidences were calibrated by: equal strings mean equal curves. Null if they are "
        "the engine's own.",
    )
    device: str | None = Field(
        default=None, description="Device that it ran on: cpu, gpu:0 and its name; null if the engine has no choice."
    )


class Timings(Value):
    """Seconds."""

    queue_wait_s: float = 0.0
    fetch_s: float = 0.0
    decode_s: float = 0.0
    ocr_s: float = 0.0
    crop_s: float = 0.0
    upload_s: float = 0.0
    total_s: float = Field(default=0.0, description="From the worker's start on the job to the result stored.")


class DocumentWarning(Value):
    """What was wrong with a file that was read all the same, or with an output that is not there.

    docs/images.md and docs/formats.md list the codes.
    """

    code: str = Field(description="Stable, for programs: image.end_missing and others.")
    message: str
    page: int | None = Field(default=None, description="The page's number; null if the warning is about the file.")
