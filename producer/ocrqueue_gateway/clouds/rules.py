"""Rules: what stands behind each protocol, and what its clients' names of buckets and topics mean. A file in TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ocrqueue.errors import SettingsInvalid, SourceInvalid
from ocrqueue.job import TENANT, Job, describe_validation_error
from ocrqueue.job.names import AUTO
from ocrqueue.job.webhook_url import check_webhook_url
from ocrqueue_gateway.jobs.request import JobOptions

Protocol = Literal["google", "azure", "textract"]
_WHERE: Final = frozenset({"protocol", "tenant"})
_PLACE: Final = re.compile(r"(gs|s3)://[a-z0-9][a-z0-9._-]{1,254}/([^\x00-\x1f]*/)?")


def _checked_place(place: str) -> str:
    if not _PLACE.fullmatch(place):
        raise ValueError("write a bucket, or what begins alike in one: gs://BUCKET/ or s3://BUCKET/FOLDER/")
    return place


class _OfTenant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Annotated[str, Field(pattern=TENANT)] | None = None
    """Whose it is for; None: everybody's."""

    def is_for(self, tenant: str) -> bool:
        return self.tenant is None or self.tenant == tenant


class Rule(_OfTenant):
    """What jobs are like that come by a protocol."""

    protocol: Protocol | Literal["*"] = "*"
    fields: dict[str, Any] = {}
    """Of the job, where the request does not say."""

    @field_validator("fields")
    @classmethod
    def _of_a_job(cls, value: dict[str, Any]) -> dict[str, Any]:
        asked = JobOptions.model_validate(value)
        # what fits each field may still be no job: that is told now, and not to each client
        engine = {} if value.get("compare") else {"engine": AUTO}
        Job.model_validate({"image": "https://example.org/", **engine, **value})
        return {name: getattr(asked, name) for name in value}


class Bucket(_OfTenant):
    """Objects that clients may name, and where they are."""

    name: Annotated[str, AfterValidator(_checked_place)]
    """As clients say: `gs://scans/`, `s3://scans/2026/`."""
    place: Annotated[str, AfterValidator(_checked_place)] = ""
    """Where workers read it; without it, under the name itself."""
    read: bool = True
    write: bool = False
    """Whether results are stored there, where a client asks for it."""

    @model_validator(mode="after")
    def _results_can_be_stored(self) -> Self:
        if self.write and not self.at.startswith("s3://"):
            raise ValueError("results are stored in s3://: name a place there")
        return self

    @property
    def at(self) -> str:
        return self.place or self.name


class Topic(_OfTenant):
    """A topic of Amazon SNS that clients name, and the URL that is told in its place."""

    arn: Annotated[str, Field(pattern=r"^arn:[a-z0-9:_-]+:[A-Za-z0-9._-]+$", max_length=1024)]
    webhook: str

    @field_validator("webhook")
    @classmethod
    def _url(cls, value: str) -> str:
        return check_webhook_url(value)


Told = TypeVar("Told", bound=_OfTenant)


class CloudRules(BaseModel):
    """All of a file; in each list the first that fits decides."""

    model_config = ConfigDict(frozen=True)

    rules: tuple[Rule, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    topics: tuple[Topic, ...] = ()

    def fields(self, protocol: Protocol, tenant: str) -> dict[str, Any]:
        """Of jobs that come so."""
        fits = (rule for rule in self.rules if rule.is_for(tenant) and rule.protocol in ("*", protocol))
        return dict(next(fits, Rule()).fields)

    def readable(self, reference: str, tenant: str) -> str | None:
        """Where workers find what a client calls so; None where no rule says. Raises SourceInvalid."""
        return _placed(reference, [bucket for bucket in self.buckets if bucket.read], tenant)

    def writable(self, reference: str, tenant: str) -> str | None:
        """Where results are stored for which a client names this place. Raises SourceInvalid."""
        return _placed(reference, [bucket for bucket in self.buckets if bucket.write], tenant)

    def webhook(self, arn: str, tenant: str) -> str | None:
        return next((topic.webhook for topic in self.topics if topic.is_for(tenant) and topic.arn == arn), None)


def _placed(reference: str, buckets: Sequence[Bucket], tenant: str) -> str | None:
    for bucket in buckets:
        if bucket.is_for(tenant) and reference.startswith(bucket.name):
            rest = reference.removeprefix(bucket.name)
            # what is meant to lie below the place is not to leave it
            if any(part in (".", "..") for part in rest.split("/")):
                raise SourceInvalid("The name of an object has a part that is `.` or `..`.")
            return bucket.at + rest
    return None


def load_cloud_rules(path: Path | None) -> CloudRules:
    """Raises SettingsInvalid."""
    if path is None:
        return CloudRules()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _invalid(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _invalid(path, "is not TOML in UTF-8") from None
    if unknown := sorted(set(told) - {"rule", "bucket", "topic"}):
        raise _invalid(path, f"has {unknown[0][:40]!r}, and may have lists `rule`, `bucket` and `topic` only")
    rules = [{**_picked(each, _WHERE), "fields": _without(each, _WHERE)} for each in _tables(path, told, "rule")]
    return CloudRules(
        rules=_each(path, "rule", rules, Rule),
        buckets=_each(path, "bucket", _tables(path, told, "bucket"), Bucket),
        topics=_each(path, "topic", _tables(path, told, "topic"), Topic),
    )


def _tables(path: Path, told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    tables = told.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _invalid(path, f"has a `{name}` that is no list: write [[{name}]]")
    return tables


def _each(path: Path, name: str, tables: list[dict[str, Any]], model: type[Told]) -> tuple[Told, ...]:
    made = []
    for number, table in enumerate(tables, 1):
        try:
            made.append(model.model_validate(table))
            continue
        except ValidationError as error:
            complaints = describe_validation_error(error)
        raise _invalid(path, f"has a wrong {name} {number}: {complaints}")
    return tuple(made)


def _picked(table: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name in names}


def _without(table: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in names}


def _invalid(path: Path, what: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"The file {path} {what}", remedy="Correct it, or OCRQUEUE_GATEWAY_CLOUD_RULES: docs/clouds.md."
    )
