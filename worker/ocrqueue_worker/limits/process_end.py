"""What is raised to end a process, or what it does, from outside: code that is called must not keep it to itself.

Anything else that an engine raises is the engine's own fault, also what is no Exception: sys.exit() in a library, or a
panic of one that is written in Rust.
"""

from __future__ import annotations

from typing import Final

from celery.exceptions import SoftTimeLimitExceeded, WorkerShutdown, WorkerTerminate


class EndOfChild(SystemExit):
    """Of the signal by which the pool ends a child."""


MUST_PASS: Final = (
    *(SoftTimeLimitExceeded, WorkerShutdown, WorkerTerminate, EndOfChild),
    *(KeyboardInterrupt, GeneratorExit),
)
