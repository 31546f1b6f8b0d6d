"""Whether a worker gives signs of life, by the age of its file: `ocrqueue-worker health`, and a container's check.

Nothing but the standard library: run as a file of its own (`python3 -I -S`) it takes 20 ms, with all that the rest of
the program imports 200.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

VARIABLE: Final = "OCRQUEUE_HEALTH_FILE"
STOPPED: Final = ("takes no jobs", "cannot do jobs")
"""So begins what is wrong with a worker that is alive and takes no jobs for that, or can do none of an engine's."""
_MOST_TOLD: Final = 10_000
SILENT_AFTER_S: Final = 30.0
"""A worker touches its file every 5 seconds; one whose Redis does not answer can be late by 10."""


def ailment(file: str | None) -> str | None:
    """What is wrong with the worker whose sign of life `file` is; None if nothing is."""
    if not file:
        return f"{VARIABLE} is not set, so that workers give no sign of life"
    try:
        # the file system's clock stamped it, which is this machine's
        age = time.time() - os.stat(file).st_mtime  # noqa: PTH116  # pathlib takes longer to import than the rest here
    except OSError as error:
        return f"no sign of life: {file}: {error.strerror}; it is there once the worker has loaded and reached Redis"
    if age > SILENT_AFTER_S:
        return f"no sign of life for {age:.0f} s: the worker's main process has stopped or hangs"
    return None


def troubles(file: str) -> str:
    """What keeps a worker that is alive from its work, or from some of it; empty if nothing does."""
    try:
        with open(file, encoding="utf-8", errors="replace") as told:  # noqa: PTH123  # as above
            return told.read(_MOST_TOLD).strip()
    except OSError:
        return ""


def main() -> int:
    """0: alive; 1: not, or not yet, and stderr says why. With --ready also 1 where it takes no jobs, or can do none."""
    file = os.environ.get(VARIABLE)
    found = ailment(file)
    if found is None and "--ready" in sys.argv[1:] and (told := troubles(file or "")).startswith(STOPPED):
        found = told
    if found:
        sys.stderr.write(f"error: {found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
