"""Job: what is asked. Its JSON is the message on the queue; other languages follow its JSON Schema."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

import uuid_utils
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from ocrqueue.errors import JobMalformed, JobSchemaUnsupported
from ocrqueue.job.names import AUTO, ENGINE_NAME, LANES, NEEDS_IMAGE, OUTPUTS, OutputFormat, Prepare, Priority
from ocrqueue.job.page_selection import PageSelection
from ocrqueue.job.route import MOST_ENGINES, EngineName, Route
from ocrqueue.job.webhook_url import LONGEST, check_webhook_url

SCHEMA_VERSION: Final = 1

CropMode = Literal["objects", "archive", "none"]
ExistingText = Literal["read_anyway", "use", "auto"]
JOB_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
TENANT: Final = r"^([A-Za-z0-9][A-Za-z0-9_.@-]{0,63})?$"
BATCH: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
REPLY_QUEUE: Final = r"^[A-Za-z0-9_.:-]{1,128}$"
_RESERVED_NAMES: Final = ("ocrqueue:", "unacked", "_kombu.", "celery-task-meta-")
"""Parts of the names of keys that are no queues of an app's: a list in the place of one would stop all workers."""
_LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,31}(/[A-Za-z0-9_]{1,32})?")


_LANE: Final = re.compile(rf"ocr\.{ENGINE_NAME.strip('^$')}(\.high|\.low)?")


def new_job_id() -> str:
    """A UUIDv7 (RFC 9562): ids sort by the time of submission."""
    return str(uuid_utils.uuid7())


class Job(BaseModel):
    """One image or document to read.

    Its bytes never travel in it: `image` is a reference that the worker can fetch.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid", title="ocrqueue job")

    schema_version: Literal[1] = 1
    id: Annotated[str, Field(pattern=JOB_ID)] = Field(
        default_factory=new_job_id,
        description="Also the Celery task id. The producer makes it; if absent, it is the Celery task id.",
    )
    image: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="s3://bucket/key, gs://bucket/key, https://host/path, http://host/path or file:///path."
    )
    engine: Annotated[str, Field(pattern=ENGINE_NAME)] = Field(
        default="tesseract",
        description="Name of the engine; determines the queue. auto: chosen by languages, workers and queues.",
    )
    fallback: Annotated[tuple[EngineName, ...], Field(max_length=MOST_ENGINES - 1)] = Field(
        default=(),
        description="Engines that, in this order, read again what the engine before them is not sure of or fails at.",
    )
    compare: Annotated[tuple[EngineName, ...], Field(max_length=MOST_ENGINES)] = Field(
        default=(), description="Two or more engines that each read the image; the words are those of the first."
    )
    languages: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)] = Field(
        default=("eng",), description="ISO 639-2 codes as Tesseract names them, the main one first."
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="The engine's own options; by engine in a job with auto, fallback or compare: "
        "{engine: {option: value}}.",
    )
    crops: CropMode = Field(
        default="archive",
        description="archive: one stored ZIP, read by ranged GET. objects: one PNG for each word. none: no crops.",
    )
    crop_padding: Annotated[int, Field(ge=0, le=256)] = Field(
        default=2, description="Pixels of margin around a word's box in its crop."
    )
    outputs: Annotated[tuple[OutputFormat, ...], Field(max_length=len(OUTPUTS))] = Field(
        default=(), description="Formats in which the Document is stored beside result.json, as files."
    )
    dpi: Annotated[int, Field(ge=50, le=1200)] = Field(
        default=300,
        description="Dots per inch at which a PDF's pages are drawn; scans are taken as they are.",
    )
    existing_text: ExistingText = Field(
        default="read_anyway",
        description="Use of text that a PDF's page already holds. read_anyway: the engine reads the page as it looks. "
        "use: the PDF's words are taken, and nothing is read. auto: they are taken if there are any and all are "
        "plain Unicode.",
    )
    pages: Annotated[str, Field(max_length=1000)] | None = Field(
        default=None, description="Pages or frames of a document to read, such as 1-3,7,10-; null: all."
    )
    password: Annotated[SecretStr, Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        exclude=True,
        description="Password of an encrypted PDF. It is kept apart from the job until its end, and shown nowhere.",
    )
    truncated: Literal["refuse", "read"] = Field(
        default="refuse",
        description="For a page that is cut off. refuse: it is an error. read: the part that is there is read, and the "
        "job is partial.",
    )
    prepare: Prepare = Field(
        default="auto",
        description="How a page is made easier to read. auto: if it reads badly, it is prepared and read again, and "
        "the better reading is kept. none: not at all. always, or single steps: before it is read.",
    )
    time_limit_s: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None,
        description="Ends the job as engine.timeout after this many seconds, if that is below the engine's limit.",
    )
    cache: bool = Field(default=True, description="false: read the image even if the same was read before.")
    priority: Priority = Field(default="normal", description="Lane of the engine's queue; high is drained first.")
    tenant: Annotated[str, Field(pattern=TENANT)] = Field(
        default="",
        description="Tenant of the job: tenants share the lanes by weight, and each tenant's jobs are first in, first "
        "out.",
    )
    tag: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Free text of the app's own, kept in the record and the Document."
    )
    name: Annotated[str, Field(max_length=256)] | None = Field(
        default=None,
        description="Name of the image, kept in the record and the Document; for a path, the file's name.",
    )
    batch: Annotated[str, Field(pattern=BATCH)] | None = Field(
        default=None,
        description="Name of a batch of the tenant's jobs, which are counted, waited for and listed together.",
    )
    idempotency_key: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="Submissions with the same key are one job."
    )
    reply_to: Annotated[str, Field(pattern=REPLY_QUEUE)] | None = Field(
        default=None,
        description="A Celery queue: when the job has ended, its summary is sent there as task ocrqueue.finished.",
    )
    webhook: Annotated[str, Field(max_length=LONGEST)] | None = Field(
        default=None,
        description="A URL that is sent the job's summary, signed, when it has ended; in place of its tenant's.",
    )
    route: Route | None = Field(
        default=None, description="The route of a job with auto, fallback or compare; ocrqueue makes it at submission."
    )
    submitted_at: datetime = Field(default_factory=lambda: datetime.now(UTC), description="RFC 3339, with a time zone.")

    @field_validator("languages")
    @classmethod
    def _language_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for language in value:
            if not _LANGUAGE.fullmatch(language):
                raise ValueError(f"not a language code: {language[:40]!r}")
        if len(set(value)) != len(value):
            raise ValueError("a language is named twice")
        return value

    @field_validator("outputs")
    @classmethod
    def _outputs_differ(cls, value: tuple[OutputFormat, ...]) -> tuple[OutputFormat, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a format is named twice")
        return value

    @field_validator("password")
    @classmethod
    def _of_whole_characters(cls, value: SecretStr | None) -> SecretStr | None:
        # pydantic looks at the length of a secret only
        if value is not None and not _is_unicode(value.get_secret_value()):
            raise ValueError("must be Unicode text")
        return value

    @field_validator("options")
    @classmethod
    def _of_whole_characters_too(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        # nor at texts within values of JSON, and at their names; what it wrote down it could not read again
        if not _is_unicode(json.dumps(value, ensure_ascii=False)):
            raise ValueError("must be Unicode text")
        return value

    @field_validator("pages")
    @classmethod
    def _ranges(cls, value: str | None) -> str | None:
        PageSelection.of(value)
        return value

    @field_validator("reply_to")
    @classmethod
    def _queue_of_their_own(cls, value: str | None) -> str | None:
        if value is not None and is_reserved_queue(value):
            raise ValueError("the name is taken by ocrqueue or Celery")
        return value

    @field_validator("webhook")
    @classmethod
    def _url_of_theirs(cls, value: str | None) -> str | None:
        return value if value is None else check_webhook_url(value)

    @field_validator("submitted_at")
    @classmethod
    def _with_time_zone(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    @model_validator(mode="before")
    @classmethod
    def _compares_with_its_engine(cls, fields: Any) -> Any:
        compare = fields.get("compare") if isinstance(fields, Mapping) else None
        if isinstance(compare, list | tuple) and compare and "engine" not in fields:
            return {**fields, "engine": compare[0]}
        return fields

    @model_validator(mode="after")
    def _engines_fit(self) -> Self:
        named = (self.engine, *self.fallback) if self.route is None else self.fallback
        if self.compare and self.fallback:
            raise ValueError("give either fallback or compare, not both")
        if len(self.compare) == 1:
            raise ValueError("compare needs at least two engines")
        if AUTO in (*self.fallback, *self.compare):
            raise ValueError(f"{AUTO} cannot be named in fallback or compare")
        if len(set(self.compare)) != len(self.compare) or len(set(named)) != len(named):
            raise ValueError("an engine is named twice")
        if self.compare and self.route is None and self.engine != self.compare[0]:
            raise ValueError("the first engine of compare is the job's engine")
        if self.route is not None and self.engine != self.route.engine:
            raise ValueError("the engine is not the one whose turn it is on the route")
        if self.options_by_engine and not all(isinstance(options, dict) for options in self.options.values()):
            raise ValueError("options of a job with auto, fallback or compare are {engine: {option: value}}")
        return self

    @property
    def has_new_id(self) -> bool:
        """Whether the id was made for it here, and was given by nobody: then no result of that id is stored yet."""
        return "id" not in self.model_fields_set

    @property
    def page_selection(self) -> PageSelection:
        return PageSelection.of(self.pages)

    @property
    def wants_route(self) -> bool:
        """Whether its route is still to be made, by ocrqueue.routing."""
        return self.route is None and (self.engine == AUTO or bool(self.fallback or self.compare))

    @property
    def options_by_engine(self) -> bool:
        return self.wants_route or self.route is not None

    @property
    def engine_options(self) -> dict[str, JsonValue]:
        """Those of the engine whose turn it is."""
        if not self.options_by_engine:
            return self.options
        own = self.options.get(self.engine)
        return own if isinstance(own, dict) else {}

    def from_its_first_engine(self) -> Self:
        """The job as before any engine of its route had its turn."""
        if self.route is None:
            return self
        return self.model_copy(update={"engine": self.route.engines[0], "route": self.route.without_trail()})

    @property
    def outputs_need_image(self) -> bool:
        return not NEEDS_IMAGE.isdisjoint(self.outputs)

    @property
    def step(self) -> int:
        """How many engines of its route have had their turn."""
        return self.route.step if self.route else 0

    @property
    def queue(self) -> str:
        """Its lane."""
        return queue_name(self.engine, self.priority)

    @property
    def kind(self) -> str:
        """The same for jobs that one call of an engine can read together; empty for one that must be read alone.

        So it is for a job with a route, which may have to go on to another engine than its neighbours.
        """
        if self.options_by_engine:
            return ""
        common: list[object] = [self.languages, self.options, self.time_limit_s]
        if self.prepare != "auto":
            common.append(self.prepare)
        text = json.dumps(common, sort_keys=True, separators=(",", ":"))
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:10]

    def to_message(self) -> dict[str, JsonValue]:
        """The job as plain JSON values, defaults left out (every byte of it is held in Redis)."""
        message = self.model_dump(mode="json", exclude_defaults=True)
        return message | {"id": self.id, "engine": self.engine, "submitted_at": self.submitted_at.isoformat()}


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: half of a pair of surrogates, which JSON may hold, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def queue_name(engine: str, priority: Priority = "normal") -> str:
    """`ocr.<engine>.high`, `ocr.<engine>` or `ocr.<engine>.low`."""
    return f"ocr.{engine}" if priority == "normal" else f"ocr.{engine}.{priority}"


def engine_queues(engine: str) -> tuple[str, ...]:
    """The three lanes of an engine, in the order in which they are drained."""
    return tuple(queue_name(engine, lane) for lane in LANES)


def is_reserved_queue(name: str) -> bool:
    """Whether it is a key of ocrqueue's or Celery's own, and no queue that an app can have.

    Another installation in the same Redis has these names behind its prefix.
    """
    return name.startswith("ocr.") or any(reserved in name for reserved in _RESERVED_NAMES)


def is_lane(queue: str) -> bool:
    """Whether jobs of some engine wait in a queue of this name."""
    return _LANE.fullmatch(queue) is not None


def parse_job(message: object, default_id: str) -> Job:
    """The Job in a message of unknown origin.

    Raises JobSchemaUnsupported where it states another schema version, JobMalformed for all else that is wrong.
    """
    if not isinstance(message, Mapping):
        raise JobMalformed("The message's `job` is not a JSON object.")
    version = message.get("schema_version", SCHEMA_VERSION)
    # its type first: a value of another one may not even be compared, as a signalling NaN
    if type(version) is not int or version != SCHEMA_VERSION:
        raise JobSchemaUnsupported(f"schema_version {str(version)[:20]!r}; this version reads {SCHEMA_VERSION}.")
    fields: dict[str, Any] = {"id": default_id, **message}
    try:
        return Job.model_validate(fields)
    except ValidationError as error:
        complaints = describe_validation_error(error, Job.model_fields)
    # not as long as pydantic's error is handled: it would be kept as the context of ours, and refers to frames that may
    # refer to ours, in a circle that Python's collector does not see through
    raise JobMalformed(complaints)


_EXAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "languages": '["eng"]',
        "fallback": '["rapid"]',
        "compare": '["tesseract", "rapid"]',
        "outputs": '["pdf"]',
        "options": '{"psm": 6}',
    }
)
_NOT_HERE: Final[Mapping[str, str]] = MappingProxyType(
    {"expires": "a job waits until it is read or cancelled; cancel it when nobody needs it any more"}
)
"""What people look for that knows other queues."""
_PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "is missing",
        "extra_forbidden": "is not known",
        "tuple_type": "must be a list",
        "dict_type": "must be an object",
        "string_type": "must be text",
        "string_unicode": "must be Unicode text",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "string_pattern_mismatch": "must match {pattern}",
        "string_too_short": "must have at least {min_length} characters",
        "string_too_long": "must have at most {max_length} characters",
        "too_short": "must have a length of at least {min_length}",
        "too_long": "must have a length of at most {max_length}",
    }
)
"""By pydantic's names of errors: plain words for what it says in terms of Python."""


def describe_validation_error(error: ValidationError, known: Iterable[str] = ()) -> str:
    """The first three complaints as one sentence, without the rejected values (they may be secret or huge).

    `known`: names, of which the nearest is told beside one that is unknown.
    """
    found = error.errors(include_input=False, include_url=False)
    # pydantic counts the items of a list that are right
    lists = {item["loc"][: len(item["loc"]) - 1] for item in found}
    complaints = [
        _complaint([str(step) for step in item["loc"]], item["type"], item["msg"], item.get("ctx", {}), known)
        for item in found
        if item["type"] != "too_short" or item["loc"] not in lists
    ]
    return "; ".join(complaints[:3]) + ("; ..." if len(complaints) > 3 else ".")


def _complaint(
    place: Sequence[str], kind: str, message: str, limits: Mapping[str, object], known: Iterable[str]
) -> str:
    """`languages must be a list, such as ["eng"]`, or `priority must be 'high', 'normal' or 'low'`."""
    # without what pydantic calls the choices of a union
    name = ".".join(step for step in place if "[" not in step)[:80]
    if kind in _PLAIN and name:
        plain = f"{name} {_PLAIN[kind].format_map(limits)}"
        if kind == "extra_forbidden" and name in _NOT_HERE:
            return f"{plain}: {_NOT_HERE[name]}"
        if kind == "extra_forbidden":
            near = get_close_matches(name, known, 1)
            return f"{plain} (did you mean {near[0]}?)" if near else plain
        if kind.endswith("too_short") and limits.get("min_length") == 1:
            plain = f"{name} must not be empty"
        example = _EXAMPLES.get(name) if kind in {"tuple_type", "dict_type"} else None
        return f"{plain}, such as {example}" if example else plain
    message = message.removeprefix("Value error, ").replace("Input should be ", "must be ")
    return f"{name} {message}" if name and message.startswith("must ") else ": ".join(filter(None, [name, message]))
