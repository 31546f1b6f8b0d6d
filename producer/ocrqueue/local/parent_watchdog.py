"""Ends the local system when the process that started it is gone, however it went: SIGKILL leaves no time to.

Run as a program of its own, it reads its stdin, a pipe from that process: one process id a line, Redis first, and with
a `-` before it once that process has ended: another one may get its id. The line `done` ends it. At the end of the
input without it, the pipe was closed by the kernel: it then ends the workers, and Redis after them. Nothing but the
standard library is imported, so that it is there at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

DONE = "done\n"


def main(lines: Iterable[str], grace_s: float) -> None:
    """`grace_s`: seconds between SIGTERM and SIGKILL."""
    groups: list[int] = []
    for line in lines:
        if line == DONE:
            return
        if (process := int(line)) < 0:
            groups.remove(-process)
        else:
            groups.append(process)
    end_groups(groups[1:], grace_s)
    end_groups(groups[:1], grace_s)


def end_groups(leaders: Sequence[int], grace_s: float) -> None:
    """SIGTERM to the leaders of process groups, then SIGKILL to what is left of the groups."""
    for leader in leaders:
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(map(_exists, leaders)):
        time.sleep(0.05)
    for leader in leaders:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(sys.stdin, float(sys.argv[1]))
