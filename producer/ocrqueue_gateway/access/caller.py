"""Caller: on whose behalf a request is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["submit", "read", "cancel", "admin"]


@dataclass(frozen=True)
class Caller:
    """A tenant, by one of its keys."""

    tenant: str
    key_id: str | None
    scopes: frozenset[Scope]
    engines: frozenset[str] | None
    """That may be asked for; None: all."""
