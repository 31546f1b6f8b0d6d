"""A key may be for some engines only."""

from __future__ import annotations

from collections.abc import Iterable

from ocrqueue.errors import KeyForbidden
from ocrqueue.job.names import AUTO
from ocrqueue.settings import ClientSettings
from ocrqueue_gateway.access.caller import Caller


def check_engines(
    caller: Caller,
    settings: ClientSettings,
    *,
    engine: str | None,
    fallback: Iterable[str] | None = (),
    compare: Iterable[str] | None = (),
) -> None:
    """Of a job that is to be submitted with these; `auto` is all that may come of it. Raises KeyForbidden."""
    if caller.engines is None:
        return
    compared = tuple(compare or ())
    first = engine or (compared[0] if compared else settings.default_engine)
    named = {first, *(fallback or ()), *compared}
    asked = (named - {AUTO}) | (set(settings.auto_engines) if AUTO in named else set())
    if denied := sorted(asked - caller.engines):
        raise KeyForbidden(f"The API key is not for {', '.join(denied)[:200]}.", engine=denied[0])
