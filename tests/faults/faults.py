"""What a fault is: something that is done to one part of an installation, for a time, and undone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

from tests.faults.installation import Installation

Measure = Literal["job", "part", "reconnection", "submission"]
"""
What has recovered, and from when on that is measured.
job: the job that was hit has ended, since the injection.
part: a job has ended at the part that was hit, since it was healed.
reconnection: a second job has begun and ended at the worker that was hit, since the injection. The first may have been
  in its hands already.
submission: the producer has submitted a job, since it was healed.
"""


class NotPossible(Exception):
    """The fault cannot be injected on this machine, or there is nothing to hit; the text says why."""


@dataclass(frozen=True)
class Fault(ABC):
    """The same objects serve the schedule and the tests of single faults."""

    name: ClassVar[str]
    measure: ClassVar[Measure]
    part: str = "all"
    """What is hit: a worker service by name, "redis", "s3" or "producer"."""
    seconds: float = 0.0
    """From injection to healing."""

    @abstractmethod
    def inject(self, into: Installation) -> None:
        """Raises NotPossible."""

    def heal(self, into: Installation) -> None:  # noqa: B027  # many faults are over at once
        """Undo it."""

    def __str__(self) -> str:
        return f"{self.name} ({self.part}, {self.seconds:.1f} s)" if self.seconds else f"{self.name} ({self.part})"


@contextmanager
def injected(fault: Fault, into: Installation) -> Iterator[None]:
    """Healed at the end, whatever happens in between. Raises NotPossible."""
    fault.inject(into)
    try:
        yield
    finally:
        fault.heal(into)
