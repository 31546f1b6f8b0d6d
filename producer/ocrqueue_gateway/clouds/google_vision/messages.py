"""Requests as Google's own classes, and answers as JSON or as these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from google.cloud import vision
from google.longrunning import operations_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from ocrqueue.errors import RequestInvalid
from ocrqueue_gateway.clouds.google_vision.annotations import Fields

ImagesRequest: Final[type[Message]] = vision.BatchAnnotateImagesRequest.pb()
ImagesResponse: Final[type[Message]] = vision.BatchAnnotateImagesResponse.pb()
FilesRequest: Final[type[Message]] = vision.BatchAnnotateFilesRequest.pb()
FilesResponse: Final[type[Message]] = vision.BatchAnnotateFilesResponse.pb()
AsyncImagesRequest: Final[type[Message]] = vision.AsyncBatchAnnotateImagesRequest.pb()
AsyncImagesResponse: Final[type[Message]] = vision.AsyncBatchAnnotateImagesResponse.pb()
AsyncFilesRequest: Final[type[Message]] = vision.AsyncBatchAnnotateFilesRequest.pb()
AsyncFilesResponse: Final[type[Message]] = vision.AsyncBatchAnnotateFilesResponse.pb()
OperationMetadata: Final[type[Message]] = vision.OperationMetadata.pb()
Operation: Final[type[Message]] = operations_pb2.Operation
"""The messages themselves, which are read faster than their wrappers."""

_MOST_DEEP: Final = 20
_ENUMS: Final[Mapping[str, Mapping[int, str]]] = MappingProxyType(
    {
        "type_": {1: "SPACE", 3: "EOL_SURE_SPACE", 5: "LINE_BREAK"},
        "block_type": {1: "TEXT"},
    }
)
"""Of what annotations have."""
_NAMES: Final[dict[str, str]] = {"type_": "type"}
"""Of fields, in JSON; as they are met."""


def parsed(value: Any, message: type[Message]) -> Any:
    """A request that came as JSON. Raises RequestInvalid."""
    try:
        return json_format.ParseDict(value, message(), max_recursion_depth=_MOST_DEEP)
    except (json_format.ParseError, TypeError, ValueError, AttributeError, OverflowError) as error:
        said = str(error)[:300]
    raise RequestInvalid(f"The body is no {message.DESCRIPTOR.name}: {said}")


def as_json(answer: Fields, *, numbers: bool) -> bytes:
    """An answer, with the names that JSON has. `numbers`: enums as such, as some clients ask for them."""
    return json.dumps(_named(answer, numbers), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def operation_json(operation: Message, *, numbers: bool) -> bytes:
    return str(json_format.MessageToJson(operation, use_integers_for_enums=numbers, indent=None)).encode()


def as_message(answer: Fields, message: type[Message]) -> Message:
    return message(**answer)


def _named(value: Any, numbers: bool) -> Any:
    if isinstance(value, dict):
        return {
            _name(name): _ENUMS[name].get(each, each) if name in _ENUMS and not numbers else _named(each, numbers)
            for name, each in value.items()
        }
    return [_named(each, numbers) for each in value] if isinstance(value, list) else value


def _name(field: str) -> str:
    if (known := _NAMES.get(field)) is None:
        first, *others = field.split("_")
        known = _NAMES[field] = first + "".join(map(str.capitalize, others))
    return known
