"""What the values of a Document have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Protocol, Self

from pydantic import BaseModel, ConfigDict

UNKNOWN: Final = "unknown"
"""What a newer version writes and this one has no word for; nobody writes it."""


class ObjectReader(Protocol):
    """What a Document needs of storage to open what it names."""

    def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes: ...


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")


class StorageBound(Value):
    """Names objects in storage, and opens them once it is bound to it."""

    _storage: ClassVar[ObjectReader | None] = None
    """The storage, if bound. It is not a field, and is not compared, deep-copied or pickled."""

    def bind(self, storage: ObjectReader) -> Self:
        """Let what it names be read from `storage`. Returns the same."""
        self.__dict__["_storage"] = storage
        return self

    def __getstate__(self) -> dict[Any, Any]:
        # storage has the settings, and these have passwords
        state = super().__getstate__()
        return {**state, "__dict__": {name: value for name, value in state["__dict__"].items() if name != "_storage"}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()


def is_unset(value: object) -> bool:
    """Left out of the JSON: there are many words, and few have what few engines or jobs give."""
    return value is None or value == {}


def is_empty(value: object) -> bool:
    return value == ()


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a Job or Document as it stands in a message or file."""
    schema = model.model_json_schema(mode="serialization")
    # what is taken and never written
    secret = [name for name, field in model.model_fields.items() if field.exclude]
    if secret:
        taken = model.model_json_schema(mode="validation")["properties"]
        schema["properties"] |= {name: taken[name] for name in secret}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
