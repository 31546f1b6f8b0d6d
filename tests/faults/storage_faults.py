"""Faults of the S3 server, as the workers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tests.faults.faults import Fault
from tests.faults.installation import Installation
from tests.support.proxy import Mode


@dataclass(frozen=True)
class OfStorage(Fault):
    measure = "part"
    part: str = "s3"
    mode: ClassVar[Mode]

    def inject(self, into: Installation) -> None:
        into.s3.set(self.mode)

    def heal(self, into: Installation) -> None:
        into.s3.set("pass")


@dataclass(frozen=True)
class StorageUnavailable(OfStorage):
    name = "S3 answers 503"
    mode = "unavailable"


@dataclass(frozen=True)
class StorageStalled(OfStorage):
    name = "S3 stalls"
    mode = "stall"


@dataclass(frozen=True)
class StorageReset(OfStorage):
    name = "S3 resets connections"
    mode = "reset"


@dataclass(frozen=True)
class StorageResetInCrops(Fault):
    """Connections break after some 10 KB: in the middle of a job's crops, again and again."""

    name = "S3 resets in the middle of crops"
    measure = "part"
    part: str = "s3"
    times: ClassVar[int] = 12
    after_bytes: ClassVar[int] = 10_000

    def inject(self, into: Installation) -> None:
        into.s3.cut_after(self.after_bytes, self.times)

    def heal(self, into: Installation) -> None:
        into.s3.cut_after(0, 0)
