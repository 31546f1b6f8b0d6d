"""Pauses: workers take no jobs of an engine, a lane or a tenant until it is resumed.

Kept in Redis, where TAKE sees them. Submitting goes on, up to the queue's limit; what was begun ends.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.registry import Registry
from ocrqueue.errors import EngineUnknown, PauseInvalid
from ocrqueue.job import TENANT, is_lane

PauseKind = Literal["engine", "lane", "tenant"]

_PAUSED: Final = re.compile(r"(engine|lane|tenant):(.*)")
FIRST_CURSOR: Final = "0"
LOOKED_AT: Final = 100
"""Parts in hand in one step of TAKE_BACK, so that no step holds Redis up for long."""
_LONGEST_REASON: Final = 200


class Pause(BaseModel):
    """What is paused."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    kind: PauseKind
    name: str
    """An empty name of a tenant means jobs without one."""
    since: datetime
    """By Redis's clock."""
    reason: str = ""


def pause(registry: Registry, kind: PauseKind, name: str, reason: str = "") -> bool:
    """Nothing more of it is taken, and what workers have taken and not begun goes back to its place.

    Returns False where it was paused already; since when and why stays as it is. Raises PauseInvalid.
    """
    check_name(kind, name)
    is_new = bool(registry.run("pause", registry.arguments.pause(kind, name, note(reason))))
    cursor: str | None = FIRST_CURSOR
    while cursor is not None:
        cursor = next_cursor(registry.run("take_back", registry.arguments.take_back(cursor, LOOKED_AT)))
    return is_new


def resume(registry: Registry, kind: PauseKind, name: str) -> bool:
    """It is taken again, in the order of before. Returns False where it was not paused. Raises PauseInvalid."""
    check_name(kind, name)
    return bool(registry.run("resume", registry.arguments.resume(kind, name)))


def pauses(registry: Registry) -> list[Pause]:
    """All that is paused."""
    with registry.errors():
        return parse_pauses(cast("dict[bytes, bytes]", registry.client.hgetall(registry.keys.turns())))


def parse_pauses(stored: Mapping[bytes, bytes]) -> list[Pause]:
    """From the hash as Redis returns it, which has the lanes' virtual times too. By kind and name."""
    found = []
    for field, value in stored.items():
        named = _PAUSED.fullmatch(field.decode(errors="replace"))
        if named is None:
            continue
        milliseconds, _, reason = value.decode(errors="replace").partition(" ")
        since = datetime.fromtimestamp(int(milliseconds) / 1000 if milliseconds.isdecimal() else 0, UTC)
        found.append(Pause(kind=cast("PauseKind", named[1]), name=named[2], since=since, reason=reason))
    return sorted(found, key=lambda pause: (pause.kind, pause.name))


def next_cursor(answer: Sequence[Any]) -> str | None:
    """Arguments of TAKE_BACK; None after the last step."""
    cursor = str(answer[0].decode())
    return None if cursor == FIRST_CURSOR else cursor


def the_one(engine: str | None, lane: str | None, tenant: str | None) -> tuple[PauseKind, str]:
    """Which kind a caller has named. Raises PauseInvalid unless it is exactly one."""
    given: list[tuple[PauseKind, str | None]] = [("engine", engine), ("lane", lane), ("tenant", tenant)]
    named = [(kind, name) for kind, name in given if name is not None]
    if len(named) != 1:
        raise PauseInvalid("Name one engine, one lane or one tenant.")
    return named[0]


def check_name(kind: PauseKind, name: str) -> None:
    """Raises PauseInvalid for what no lane or tenant can be called."""
    if kind == "lane" and not is_lane(name):
        raise PauseInvalid(f"No lane {name[:80]!r}: they are ocr.ENGINE, ocr.ENGINE.high and ocr.ENGINE.low.")
    if kind == "tenant" and not re.fullmatch(TENANT, name):
        raise PauseInvalid(f"No tenant can be called {name[:80]!r}.")


def check_engine(kind: PauseKind, name: str, known: Container[str]) -> None:
    """A slip of the pen is not to pause nothing. Raises EngineUnknown."""
    engine = {"engine": name, "lane": name.split(".")[1] if is_lane(name) else ""}.get(kind, "")
    if engine and engine not in known:
        raise EngineUnknown(f"No engine {engine[:40]!r}; `ocrqueue engines` lists those that are known.")


def note(reason: str) -> str:
    """As it is kept: on one line, and not too long."""
    return " ".join(reason.split())[:_LONGEST_REASON]
