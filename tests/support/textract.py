"""What Textract's own service model, which botocore has, says of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

MODEL = botocore.session.get_session().get_service_model("textract")
_OF_AWS = {
    "ExpiredTokenException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestTimeoutException",
    "UnknownOperationException",
    "UnrecognizedClientException",
}
"""What any of AWS's services may say."""
KNOWN_NAMES = _OF_AWS | {shape.name for shape in MODEL.error_shapes}
"""Of errors."""


def complaints(answer: Mapping[str, Any], operation: str = "GetDocumentTextDetection") -> str:
    """What the service model has against an answer: all of it, enumerations and unknown members as well."""
    shape = MODEL.operation_model(operation).output_shape
    unknown = sorted(_unknown(answer, shape, ""))
    return ParamValidator().validate(answer, shape).generate_report() + "".join(unknown)


def _unknown(value: Any, shape: Any, at: str) -> list[str]:
    if shape.type_name == "structure":
        names = [f"{at}.{name}" for name in value if name not in shape.members]
        return names + [
            each
            for name, inner in value.items()
            if name in shape.members
            for each in _unknown(inner, shape.members[name], f"{at}.{name}")
        ]
    if shape.type_name == "list":
        return [each for inner in value for each in _unknown(inner, shape.member, at)]
    return [f"{at}: {value}"] if getattr(shape, "enum", None) and value not in shape.enum else []
