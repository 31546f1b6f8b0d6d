"""What Azure Document Intelligence answers, as its REST API 2024-11-30 has it: of prebuilt-read, so far as we know it.

https://learn.microsoft.com/rest/api/aiservices/document-models/get-analyze-result names every field. What is optional
there and not known here is left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, field_serializer
from pydantic.alias_generators import to_camel

API_VERSION: Final = "2024-11-30"
MODEL: Final = "prebuilt-read"

ContentFormat = Literal["text", "markdown"]
StringIndexType = Literal["textElements", "unicodeCodePoint", "utf16CodeUnit"]
OperationStatus = Literal["notStarted", "running", "succeeded", "failed", "canceled"]
Numbers = tuple[float, ...]
"""x and y of each corner in turn."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    def json_text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)


class Span(_Answer):
    offset: int
    length: int


class Word(_Answer):
    content: str
    polygon: Numbers
    confidence: float
    span: Span


class Line(_Answer):
    content: str
    polygon: Numbers
    spans: tuple[Span, ...]


class BoundingRegion(_Answer):
    page_number: int
    polygon: Numbers


class Paragraph(_Answer):
    spans: tuple[Span, ...]
    bounding_regions: tuple[BoundingRegion, ...]
    content: str


class Language(_Answer):
    spans: tuple[Span, ...]
    locale: str
    confidence: float


class Page(_Answer):
    page_number: int
    angle: float
    width: float
    height: float
    unit: Literal["pixel", "inch"]
    words: tuple[Word, ...]
    lines: tuple[Line, ...]
    spans: tuple[Span, ...]


class Warned(_Answer):
    code: str
    message: str
    target: str | None = None


class InnerError(_Answer):
    code: str
    message: str
    innererror: Self | None = None


class Error(_Answer):
    code: str
    message: str
    innererror: InnerError | None = None


class ErrorResponse(_Answer):
    error: Error


class Operation(_Answer):
    """An analysis at one moment, without its result."""

    status: OperationStatus
    created_date_time: datetime
    last_updated_date_time: datetime
    error: Error | None = None

    @field_serializer("created_date_time", "last_updated_date_time")
    def _to_the_second(self, moment: datetime) -> str:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
