"""The query of an analysis: what is asked for, and what is not there and refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, get_args

from starlette.datastructures import QueryParams

from ocrqueue.job.names import OutputFormat
from ocrqueue_gateway.clouds.azure_read.errors import refused, unsupported
from ocrqueue_gateway.clouds.azure_read.languages import language_of
from ocrqueue_gateway.clouds.azure_read.models import API_VERSION, MODEL, ContentFormat, StringIndexType
from ocrqueue_gateway.clouds.azure_read.presentation import Presentation

_PAGES: Final = re.compile(r"[0-9]+(-[0-9]+)?(,\s*[0-9]+(-[0-9]+)?)*")
_LANGUAGES: Final = "languages"
_FEATURES: Final = (_LANGUAGES, "ocrHighResolution")
"""Pages are read in their full resolution, whether that is asked for or not."""
_PDF: Final = "pdf"


@dataclass(frozen=True, slots=True)
class Asked:
    """By one request."""

    shown: Presentation
    languages: tuple[str, ...]
    """By the locale; empty: not said."""
    pages: str | None
    outputs: tuple[OutputFormat, ...]


def asked_by(query: QueryParams) -> Asked:
    """Raises RequestInvalid, RequestUnsupported."""
    features = _several(query, "features", _FEATURES)
    if query.get("queryFields"):
        raise unsupported("InvalidParameter", "The parameter queryFields is not supported here.", "Leave it out.")
    shown = Presentation(
        string_index_type=_one_of(query, "stringIndexType", get_args(StringIndexType)),
        content_format=_one_of(query, "outputContentFormat", get_args(ContentFormat)),
        with_languages=_LANGUAGES in features,
    )
    outputs: tuple[OutputFormat, ...] = ("pdf",) if _PDF in _several(query, "output", (_PDF,)) else ()
    return Asked(shown, _languages(query), _pages(query), outputs)


def check_model(query: QueryParams, model: str) -> None:
    """Whether the model, and the version of the API, are there. Raises RequestInvalid, RequestUnsupported."""
    version = query.get("api-version")
    if not version:
        raise refused("ParameterMissing", "The parameter api-version is required.", f"Send api-version={API_VERSION}.")
    if version != API_VERSION:
        raise unsupported(
            "NotSupportedApiVersion",
            f"There is no api-version {version[:40]!r} here.",
            f"Ask for {API_VERSION}, as azure-ai-documentintelligence 1.0 and its siblings do.",
        )
    if model != MODEL:
        raise unsupported("ModelNotFound", f"There is no model {model[:64]!r} here.", f"Ask for {MODEL}.")


def _one_of(query: QueryParams, name: str, known: tuple[Any, ...]) -> Any:
    """The first one is what is meant where nothing is said."""
    value = query.get(name) or known[0]
    if value not in known:
        raise _invalid(name, value, known)
    return value


def _several(query: QueryParams, name: str, known: tuple[str, ...]) -> frozenset[str]:
    values = [value.strip() for text in query.getlist(name) for value in text.split(",") if value.strip()]
    for value in values:
        if value not in known:
            raise _invalid(name, value, known)
    return frozenset(values)


def _languages(query: QueryParams) -> tuple[str, ...]:
    locale = query.get("locale")
    if not locale:
        return ()
    language = language_of(locale)
    if language is None:
        raise unsupported(
            "InvalidParameter",
            f"The parameter locale is invalid: {locale[:40]!r} is no language that is known here.",
            "Name another, such as en or ko-KR, or none: the installation has its own.",
        )
    return (language,)


def _pages(query: QueryParams) -> str | None:
    pages = query.get("pages")
    if not pages:
        return None
    if not _PAGES.fullmatch(pages):
        raise refused("InvalidParameter", "The parameter pages is invalid.", "Write it as 1-3,5,7-9.")
    return re.sub(r"\s", "", pages)


def _invalid(name: str, value: str, known: tuple[Any, ...]) -> Exception:
    return unsupported(
        "InvalidParameter",
        f"The parameter {name} is invalid: {value[:40]!r} is not supported here.",
        f"What may be asked for is {' or '.join(known)}.",
    )
