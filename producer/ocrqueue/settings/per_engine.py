"""PerEngine: a whole number that can differ by engine, written `240` or `240,keras=600`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_PART: Final = re.compile(r"(?:(?P<engine>[a-z][a-z0-9_-]{0,31})\s*=\s*)?(?P<number>\d{1,12})")


@dataclass(frozen=True, slots=True)
class PerEngine:
    """`default`, and what holds instead for the engines named."""

    default: int
    engines: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: object) -> PerEngine:
        """From a number, or from text as above. Raises ValueError."""
        if isinstance(value, cls):
            return value
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("must be a whole number, or a list such as 240,keras=600")
        default: int | None = None
        engines: dict[str, int] = {}
        for part in str(value).split(","):
            found = _PART.fullmatch(part.strip())
            if found is None:
                raise ValueError("must be a whole number, or a list such as 240,keras=600")
            if (name := found["engine"]) is not None:
                engines[name] = int(found["number"])
            elif default is None:
                default = int(found["number"])
            else:
                raise ValueError("has two numbers without an engine's name")
        if default is None:
            raise ValueError("has no number for the engines that are not named")
        return cls(default, engines)

    def of(self, engine: str) -> int:
        return self.engines.get(engine, self.default)

    def values(self) -> list[int]:
        return [self.default, *self.engines.values()]

    def __str__(self) -> str:
        return ",".join([str(self.default), *(f"{name}={number}" for name, number in self.engines.items())])

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "per-engine"}
