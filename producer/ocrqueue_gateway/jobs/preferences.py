"""The header Prefer (RFC 7240): whether, and how long, a client would wait for the result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WAIT: Final = re.compile(r'wait\s*=\s*"?(\d{1,6})"?')


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was understood; all else is passed over, as RFC 7240 has it."""

    wait_s: float = 0.0
    applied: str | None = None
    """For the header Preference-Applied."""

    @classmethod
    def of(cls, headers: list[str], most_s: float) -> Preferences:
        """`respond-async` wins over `wait`; nobody waits longer than `most_s`."""
        named = [each.partition(";")[0].strip().lower() for line in headers for each in line.split(",")]
        if "respond-async" in named:
            return cls(0.0, "respond-async")
        for each in named:
            if found := _WAIT.fullmatch(each):
                wait_s = min(float(found[1]), most_s)
                return cls(wait_s, f"wait={wait_s:g}")
        return cls()

    @property
    def headers(self) -> dict[str, str]:
        return {"preference-applied": self.applied} if self.applied else {}
