"""JSON bodies, read by routes once the caller is known.

FastAPI reads a body that a signature names before it looks at the key, in any size: nobody's bodies would be held in
memory, and be parsed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from ocrqueue.errors import RequestInvalid
from ocrqueue.job import describe_validation_error
from ocrqueue_gateway.hardening.bodies import check_media_type, read_pieces

Model = TypeVar("Model", bound=BaseModel)


def json_body(model: type[Model], absent: Model | None = None) -> Callable[[Request], Awaitable[Model]]:
    """A dependency, which is to come after the caller. `absent`: what no body at all stands for.

    Raises RequestMediaType, RequestTooLarge, RequestTooSlow, RequestCutOff, RequestInvalid.
    """

    async def body(request: Request) -> Model:
        most: int = request.app.state.settings.max_json_bytes
        text = b"".join([piece async for piece in read_pieces(request, most)])
        if absent is not None and not text:
            return absent
        check_media_type(request, "application/json")
        return _parsed(text, model)

    return body


def described(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The same for the OpenAPI document; `model` is to be one of those that it names."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def _parsed(text: bytes, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        is_json = all(each["type"] != "json_invalid" for each in error.errors(include_input=False, include_url=False))
        complaints = describe_validation_error(error) if is_json else "The body is not JSON."
    raise RequestInvalid(complaints)
