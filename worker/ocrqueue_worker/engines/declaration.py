"""What an engine's class says of itself, looked at before it is used: engines are plug-ins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ocrqueue_worker.engines.engine import Engine, EngineOptions

_POOLS: Final = ("prefork", "threads")
_FLAGS: Final = ("cacheable", "fixed_languages", "reads_in_black_and_white", "reads_lines")
_LIMITS: Final = ("job_memory_limit_mib", "child_memory_mib")


def declaration_complaints(cls: type[Engine[Any]], name: str) -> Iterator[str]:
    """What is missing or wrong in the class that has the entry point `name`, a sentence each."""
    for missing in sorted(getattr(cls, "__abstractmethods__", ())):
        yield f"{cls.__name__} has no method {missing}()."
    stated = getattr(cls, "name", None)
    if stated != name:
        said = "has no `name`" if stated is None else f"has the name {str(stated)[:40]!r}"
        yield f"{cls.__name__} {said}, and its entry point is {name!r}."
    yield from _attribute_complaints(cls)


def _attribute_complaints(cls: type[Engine[Any]]) -> Iterator[str]:
    options = cls.options_model
    if not (isinstance(options, type) and issubclass(options, EngineOptions)):
        yield "options_model is no subclass of EngineOptions."
    if cls.pool not in _POOLS:
        yield f"pool is {cls.pool!r}, and not one of {', '.join(_POOLS)}."
    if not _is_count(cls.pages_per_call, 1):
        yield f"pages_per_call is {cls.pages_per_call!r}, not a whole number from 1 on."
    for flag in _FLAGS:
        if not isinstance(getattr(cls, flag), bool):
            yield f"{flag} is {getattr(cls, flag)!r}, which is neither True nor False."
    for limit in _LIMITS:
        if getattr(cls, limit) is not None and not _is_count(getattr(cls, limit), 0):
            yield f"{limit} is {getattr(cls, limit)!r}, and neither None nor a whole number of MiB."
    if not (isinstance(cls.reference_schemes, tuple) and all(isinstance(one, str) for one in cls.reference_schemes)):
        yield "reference_schemes is no tuple of texts."


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
