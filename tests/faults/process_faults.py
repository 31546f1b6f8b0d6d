"""Faults of worker processes, and of the machine under one."""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass
from typing import ClassVar

from ocrqueue.errors import WorkerUnknown
from tests.faults.faults import Fault, NotPossible
from tests.faults.installation import Installation
from tests.faults.services import SCRATCH_MIB, can_mount, libfaketime

_MIB = 1024 * 1024


@dataclass(frozen=True)
class OfAJob(Fault):
    """Hits a worker in the middle of a job: the job it has then is the one that has to recover."""

    measure = "job"


@dataclass(frozen=True)
class ChildKilled(OfAJob):
    name = "SIGKILL of a child"

    def inject(self, into: Installation) -> None:
        service = into.service(self.part)
        if service.node not in into.live():
            # Celery takes it for a reason not to start at all
            raise NotPossible(f"{self.part} is starting")
        if not service.kill_child():
            raise NotPossible(f"{self.part} has no child now")


@dataclass(frozen=True)
class MainKilled(OfAJob):
    name = "SIGKILL of the main process"

    def inject(self, into: Installation) -> None:
        into.service(self.part).send(signal.SIGKILL)


@dataclass(frozen=True)
class GroupKilled(OfAJob):
    name = "SIGKILL of the process group"

    def inject(self, into: Installation) -> None:
        into.service(self.part).send_to_group(signal.SIGKILL)


@dataclass(frozen=True)
class Terminated(OfAJob):
    name = "SIGTERM"

    def inject(self, into: Installation) -> None:
        into.service(self.part).send(signal.SIGTERM)


@dataclass(frozen=True)
class Quit(OfAJob):
    name = "SIGQUIT"

    def inject(self, into: Installation) -> None:
        into.service(self.part).send(signal.SIGQUIT)


@dataclass(frozen=True)
class Drained(OfAJob):
    name = "drained"

    def inject(self, into: Installation) -> None:
        service = into.service(self.part)
        try:
            into.observer.drain(service.node)
        except WorkerUnknown:
            raise NotPossible(f"{self.part} is starting") from None
        service.is_to_drain()


@dataclass(frozen=True)
class Stopped(OfAJob):
    """For longer than lost_after_s: another worker takes the job over, and then two hold it."""

    name = "SIGSTOP, then SIGCONT"

    def inject(self, into: Installation) -> None:
        into.service(self.part).send_to_group(signal.SIGSTOP)

    def heal(self, into: Installation) -> None:
        into.service(self.part).send_to_group(signal.SIGCONT)


@dataclass(frozen=True)
class DiskFull(Fault):
    """The worker's scratch, where a Tesseract that is a program of its own gets its page from."""

    name = "disk full in scratch"
    measure = "part"
    _ballast: ClassVar[str] = "ballast"

    def inject(self, into: Installation) -> None:
        scratch = into.service(self.part).scratch_from_outside()
        if scratch is None or not can_mount():
            raise NotPossible("no file system can be mounted here")
        try:
            with (scratch / self._ballast).open("wb") as ballast:
                for _ in range(SCRATCH_MIB + 1):
                    ballast.write(bytes(_MIB))
                    ballast.flush()
        except FileNotFoundError:
            raise NotPossible(f"{self.part} is not up") from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def heal(self, into: Installation) -> None:
        scratch = into.service(self.part).scratch_from_outside()
        if scratch is not None:  # else the worker has ended, and its scratch with it
            (scratch / self._ballast).unlink(missing_ok=True)


@dataclass(frozen=True)
class ClockSkewed(Fault):
    """The worker is restarted with a clock that is 5 minutes ahead, and again with the right one."""

    name = "clock ahead by 5 minutes"
    measure = "part"
    skew_s: ClassVar[int] = 300

    def inject(self, into: Installation) -> None:
        if libfaketime() is None:
            raise NotPossible("libfaketime is not installed (Debian package faketime)")
        into.service(self.part).restart(self.skew_s)

    def heal(self, into: Installation) -> None:
        into.service(self.part).restart(0)


@dataclass(frozen=True)
class ClockBehind(ClockSkewed):
    name = "clock behind by 5 minutes"
    skew_s = -300
