"""What a check finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["right", "wrong", "advice", "left out"]


@dataclass(frozen=True)
class Finding:
    """One check: what it looks at, and what is wrong; `advice` is for what the interface asks for without need."""

    check: str
    about: str
    verdict: Verdict
    told: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        return self.verdict == "wrong"


@dataclass(frozen=True)
class Wrong:
    """A complaint: the engine does not keep what the interface promises."""

    told: str


@dataclass(frozen=True)
class Advice:
    """What may be as it should be, and often is not."""

    told: str


Complaint = Wrong | Advice


def finding(check: str, about: str, complaints: Sequence[Complaint]) -> Finding:
    wrong = tuple(complaint.told for complaint in complaints if isinstance(complaint, Wrong))
    advice = tuple(complaint.told for complaint in complaints if isinstance(complaint, Advice))
    verdict: Verdict = "wrong" if wrong else "advice" if advice else "right"
    return Finding(check, about, verdict, (*wrong, *advice))
