"""The lines of a batch: a job each, with the caller's own name for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import IO, Any, Final

from pydantic import BaseModel, Field, ValidationError, create_model

from ocrqueue.errors import ErrorInfo, JobMalformed, OcrQueueError, RequestInvalid, RequestTooLarge
from ocrqueue.job import Job, describe_validation_error
from ocrqueue.settings import ClientSettings
from ocrqueue.storage import Storage
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.engines import check_engines
from ocrqueue_gateway.jobs.request import JobRequest, checked_reference, parse_json
from ocrqueue_gateway.settings import GatewaySettings

AT_ONCE: Final = 500
"""Lines that are parsed and queued together."""

BatchLine: Final[type[BaseModel]] = create_model(
    "BatchLine",
    __base__=JobRequest,
    custom_id=(
        str,
        Field(
            min_length=1,
            max_length=256,
            description="The caller's own name for the job, once in a batch; its `name` in what is told of the job.",
        ),
    ),
)
"""A JobRequest, whose name is the custom_id, and whose batch is this one."""


@dataclass(frozen=True, slots=True)
class Line:
    """Of a batch: the job that it has become, or what is wrong with it."""

    number: int
    custom_id: str | None
    job: Job | None = None
    error: ErrorInfo | None = None

    def failed(self, error: ErrorInfo) -> Line:
        return Line(self.number, self.custom_id, None, error)


@dataclass
class Lines:
    """Of one batch, as they are read from a file; for one thread at a time."""

    settings: ClientSettings
    limits: GatewaySettings
    storage: Storage
    caller: Caller
    batch: str
    once: bool
    """Whether the same lines may come again, and are to be the same jobs then."""

    def __post_init__(self) -> None:
        self._seen: set[bytes] = set()

    def parse(self, file: IO[bytes]) -> Iterator[list[Line]]:
        """Up to 500 at a time. Empty lines are passed over. Raises RequestTooLarge for a line without end."""
        lines = (self._line(number, text) for number, text in _read(file, self.limits))
        while chunk := list(islice(lines, AT_ONCE)):
            yield chunk

    def _line(self, number: int, text: bytes) -> Line:
        custom_id: str | None = None
        try:
            asked: Any = parse_json(text, BatchLine)
            custom_id = asked.custom_id
            self._note(asked.custom_id)
            checked_reference(asked.image, self.storage)
            return Line(number, custom_id, self._job(asked))
        except OcrQueueError as error:
            return Line(number, custom_id, None, error.info)

    def _note(self, custom_id: str) -> None:
        mark = sha256(custom_id.encode(errors="replace")).digest()[:16]
        if mark in self._seen:
            raise RequestInvalid("The custom_id is that of an earlier line.", remedy="Give each line one of its own.")
        self._seen.add(mark)

    def _job(self, asked: Any) -> Job:
        given = {name: getattr(asked, name) for name in asked.model_fields_set if name not in ("custom_id", "batch")}
        fields: dict[str, Any] = {"languages": self.settings.default_languages, "tenant": self.caller.tenant}
        if not given.get("compare"):
            fields["engine"] = self.settings.default_engine
        fields |= {**given, "name": asked.custom_id, "batch": self.batch}
        if self.once:
            fields["idempotency_key"] = f"{self.batch}:{sha256(asked.custom_id.encode()).hexdigest()}"
        try:
            job = Job.model_validate(fields)
        except ValidationError as error:
            complaints = describe_validation_error(error)
            raise JobMalformed(complaints, remedy="Compare the line with BatchLine in /v1/openapi.json.") from None
        check_engines(self.caller, self.settings, engine=job.engine, fallback=job.fallback, compare=job.compare)
        return job


def check_count(file: IO[bytes], limits: GatewaySettings) -> None:
    """Raises RequestInvalid for no lines, RequestTooLarge for too many, or for one without end."""
    if not sum(1 for _ in _read(file, limits)):
        raise RequestInvalid("The batch has no lines.")


def _read(file: IO[bytes], limits: GatewaySettings) -> Iterator[tuple[int, bytes]]:
    """Those that are not empty, by their numbers. Empty ones take time as well: as many of them are allowed."""
    file.seek(0)
    number = empty = 0
    while text := file.readline(limits.max_json_bytes + 1):
        number += 1
        empty += not text.strip()
        if len(text) > limits.max_json_bytes:
            raise RequestTooLarge(f"A line has more than {limits.max_json_bytes} bytes.")
        if max(empty, number - empty) > limits.max_batch_jobs:
            raise RequestTooLarge(f"The batch has more than {limits.max_batch_jobs} lines.")
        if text.strip():
            yield number, text
