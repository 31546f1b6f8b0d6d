"""Rules: which objects are submitted, and how. A file in TOML or JSON."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ocrqueue.errors import SettingsInvalid
from ocrqueue.job import TENANT, describe_validation_error
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.bucket_events.notifications import ObjectStored
from ocrqueue_gateway.jobs.request import JobOptions

_WHERE: Final = frozenset({"bucket", "prefix", "suffix", "tenant"})


class Rule(BaseModel):
    """Objects of a bucket whose keys begin and end so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: Annotated[str, Field(min_length=1, max_length=255)]
    """`*`: any."""
    prefix: str = ""
    suffix: tuple[str, ...] = ()
    """Any of these, whether in capitals or not; empty: any."""
    tenant: Annotated[str, Field(pattern=TENANT)] | None = None
    """Whose jobs they are, and whose key has to come with the event; None: the key's."""
    fields: dict[str, Any] = {}
    """Of the job."""

    @field_validator("suffix", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("fields")
    @classmethod
    def _of_a_job(cls, value: dict[str, Any]) -> dict[str, Any]:
        asked = JobOptions.model_validate(value)
        return {name: getattr(asked, name) for name in value}

    def fits(self, stored: ObjectStored, caller: Caller) -> bool:
        key = stored.key.lower()
        return (
            self.bucket in ("*", stored.bucket)
            and stored.key.startswith(self.prefix)
            and (not self.suffix or any(key.endswith(each.lower()) for each in self.suffix))
            and (self.tenant is None or caller.sees(self.tenant))
        )


def load_rules(path: Path | None) -> tuple[Rule, ...]:
    """In order: the first that fits decides. Raises SettingsInvalid."""
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8")
        told = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise _invalid(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _invalid(path, f"is not {'JSON' if path.suffix == '.json' else 'TOML'} in UTF-8") from None
    rules = told.get("rule") if isinstance(told, dict) else None
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise _invalid(path, "has no list `rule`")
    return tuple(_rule(path, number, rule) for number, rule in enumerate(rules, 1))


def _rule(path: Path, number: int, given: dict[str, Any]) -> Rule:
    where = {name: value for name, value in given.items() if name in _WHERE}
    job = {name: value for name, value in given.items() if name not in _WHERE}
    try:
        return Rule.model_validate({**where, "fields": job})
    except ValidationError as error:
        complaints = describe_validation_error(error)
    raise _invalid(path, f"has a wrong rule {number}: {complaints}")


def _invalid(path: Path, what: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"The file {path} {what}", remedy="Correct it, or OCRQUEUE_GATEWAY_BUCKET_RULES: docs/bucket-events.md."
    )


def rule_for(rules: Sequence[Rule], stored: ObjectStored, caller: Caller) -> Rule | None:
    return next((rule for rule in rules if rule.fits(stored, caller)), None)
