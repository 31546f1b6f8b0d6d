"""What the operations are asked, as Textract's service model has it; what is unknown is refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_pascal

from ocrqueue.errors import JobUnknown, RequestInvalid
from ocrqueue.job import JOB_ID, describe_validation_error

MOST_RESULTS: Final = 1000
"""Blocks in an answer: who asks for more gets so many."""
_BUCKET: Final = r"^[0-9A-Za-z._-]*$"
_WORDS: Final = r"^[A-Za-z0-9_-]+$"

Bucket = Annotated[str, Field(min_length=3, max_length=255, pattern=_BUCKET)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_pascal)


class S3Object(_Asked):
    bucket: Bucket
    name: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"\S")]
    version: str | None = None

    @field_validator("version")
    @classmethod
    def _current(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("objects are read as they are now: leave Version out")
        return value

    @property
    def reference(self) -> str:
        return f"s3://{self.bucket}/{self.name}"


class Document(_Asked):
    content: Annotated[str | None, Field(alias="Bytes", min_length=1)] = None
    """In base64."""
    s3_object: S3Object | None = None


class DocumentLocation(_Asked):
    s3_object: S3Object


class NotificationChannel(_Asked):
    topic: Annotated[str, Field(alias="SNSTopicArn", min_length=20, max_length=1024)]
    role_arn: Annotated[str, Field(min_length=20, max_length=2048)]


class OutputConfig(_Asked):
    s3_bucket: Bucket
    s3_prefix: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"\S")] = "textract_output"


class DetectDocumentText(_Asked):
    document: Document


class StartDocumentTextDetection(_Asked):
    document_location: DocumentLocation
    client_request_token: Annotated[str | None, Field(min_length=1, max_length=64, pattern=_WORDS)] = None
    job_tag: Annotated[str | None, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_.\-:]+$")] = None
    notification_channel: NotificationChannel | None = None
    output_config: OutputConfig | None = None
    kms_key: Annotated[str | None, Field(alias="KMSKeyId")] = None


class GetDocumentTextDetection(_Asked):
    job_id: str
    max_results: Annotated[int, Field(ge=1, strict=True)] = MOST_RESULTS
    next_token: Annotated[str | None, Field(min_length=1, max_length=1024)] = None


def check_job_id(job_id: str) -> None:
    """What cannot be an id of a job is no job's. Raises JobUnknown."""
    if not re.fullmatch(JOB_ID, job_id):
        raise JobUnknown("No job has a JobId of this form.")


Asked = TypeVar("Asked", bound=_Asked)


def parsed(value: Any, model: type[Asked]) -> Asked:
    """Raises RequestInvalid, without what was given."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        complaints = describe_validation_error(error)
    raise RequestInvalid(complaints, remedy="Compare it with the service model of Amazon Textract.")
