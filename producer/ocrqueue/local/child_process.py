"""Child processes that log to a file and end in order."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ocrqueue.errors import LocalSystemFailed

_TAIL_BYTES: Final = 16_384


@dataclass(frozen=True)
class Child:
    """A running process: leader of a process group of its own, so that the terminal's Ctrl-C is not sent to it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raise LocalSystemFailed if the process has ended."""
        status = self.process.poll()
        if status is not None:
            raise self.failure(f"ended by itself with status {status}")

    def has_ended_well(self) -> bool:
        """With status 0, as one does that was told to."""
        return self.process.poll() == 0

    def failure(self, what: str) -> LocalSystemFailed:
        """`what` the process did wrong, with the last line of its log."""
        last = (log_tail(self.log, 1) or ["(its log is empty)"])[0]
        return LocalSystemFailed(f"{self.name} {what}: {last[:300]}", log=str(self.log))

    def ask_to_end(self) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def wait_or_kill(self, grace_s: float) -> None:
        """Wait `grace_s` seconds for the process to end, then kill it; what it left in its group is killed too."""
        try:
            self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process and its children at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def start_child(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path | None = None
) -> Child:
    """Start `command` (in `folder`, if given), its output appended to `log`. Raises LocalSystemFailed if it cannot."""
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
    except OSError as error:
        raise LocalSystemFailed(f"Cannot start {name}: {error.strerror}.", log=str(log)) from error
    return Child(name, process, log)


def log_tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log, as far as they can be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
