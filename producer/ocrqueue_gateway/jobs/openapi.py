"""What FastAPI cannot find out about the routes of jobs: bodies that are streamed, and results that are files."""

from __future__ import annotations

from typing import Any, Final

from ocrqueue.document.formats.files import KINDS
from ocrqueue_gateway.jobs.idempotency import KEY_PATTERN
from ocrqueue_gateway.jobs.request import JobOptions
from ocrqueue_gateway.problems import responses

_COMMON: Final = (401, 403, 429, 503)
_OF_ONE: Final = (404, 409, 410, 422, *_COMMON)
_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


def _file(content_type: str) -> dict[str, Any]:
    kind = content_type.partition(";")[0]
    if kind == "application/json":
        return {"schema": {"$ref": "#/components/schemas/Document"}}
    return _BINARY if kind == "application/pdf" else {"schema": {"type": "string"}}


_FILES: Final[dict[str, Any]] = {
    kind.content_type.partition(";")[0]: _file(kind.content_type) for kind in KINDS.values()
}
_RESULT: Final[dict[str, Any]] = {"description": "What was read", "content": _FILES}
_ELSEWHERE: Final[dict[str, Any]] = {
    "description": "It is at this URL, for a while: where storage is S3 and the gateway is set to say so",
    "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
}

_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": name,
        "in": "query",
        "required": False,
        "description": f"As in the body. {field.description or ''}".strip(),
        "schema": {"type": "string"},
    }
    for name, field in JobOptions.model_fields.items()
    if name != "password"  # it would be in logs
]

_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Of each event; its data is a JobView as JSON, and of `error` a Problem.",
    "properties": {
        "event": {"type": "string", "enum": ["state", "place", "end", "error"]},
        "id": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

SUBMISSION: Final[dict[str, Any]] = {
    "responses": {
        **responses(400, 408, 409, 410, 413, 415, 422, *_COMMON),
        200: {**_RESULT, "description": "With `wait` or `Prefer: wait`: what was read"},
        202: {
            "description": "Queued",
            "headers": {
                "Location": {"description": "Of the job.", "schema": {"type": "string"}},
                "Retry-After": {"description": "Seconds, by the queue and its pace.", "schema": {"type": "integer"}},
                "Preference-Applied": {"schema": {"type": "string"}},
            },
            "links": {
                name: {"operationId": f"jobs_{name}", "parameters": {"job_id": "$response.body#/id"}}
                for name in ("job", "result", "pages", "events", "cancel")
            },
        },
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "A request that is sent again with the same key makes no second job.",
                "schema": {"type": "string", "pattern": KEY_PATTERN},
                "example": "order-4711",
            },
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "description": "`wait=30` or `respond-async`; all else is passed over (RFC 7240).",
                "schema": {"type": "string"},
                "example": "wait=30",
            },
            *_PARAMETERS,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/JobRequest"},
                    "example": {
                        "image": "https://example.org/scans/receipt.jpg",
                        "languages": ["eng"],
                        "tag": "invoices",
                    },
                },
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {"type": "string", "format": "binary", "description": "With a filename."},
                            "job": {"$ref": "#/components/schemas/JobOptions"},
                        },
                        "additionalProperties": False,
                    },
                    "encoding": {"job": {"contentType": "application/json"}},
                },
                **dict.fromkeys(("application/pdf", "application/octet-stream", "image/*"), _BINARY),
            },
        },
    },
}

RESULTS: Final[dict[str, Any]] = {"responses": {**responses(*_OF_ONE), 200: _RESULT, 307: _ELSEWHERE}}
FILES: Final[dict[str, Any]] = {
    "responses": {**responses(*_OF_ONE), 200: {**_RESULT, "description": "The file"}, 307: _ELSEWHERE}
}
PAGE: Final[dict[str, Any]] = {
    "responses": {
        **responses(*_OF_ONE),
        200: {
            "description": "The page",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}},
        },
    }
}
PNG: Final[dict[str, Any]] = {
    "responses": {**responses(*_OF_ONE), 200: {"description": "A PNG", "content": {"image/png": _BINARY}}}
}
EVENTS: Final[dict[str, Any]] = {
    "responses": {
        **responses(404, 410, 422, *_COMMON),
        200: {"description": "The events", "content": {"text/event-stream": {"schema": _EVENT}}},
    }
}
