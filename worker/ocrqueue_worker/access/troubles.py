"""What is wrong with this worker, as its main process knows it: for its log, its announcement, metrics and health."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from ocrqueue.core import Trouble
from ocrqueue.errors import OcrQueueError

_log = structlog.get_logger(__name__)


class Troubles:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, Trouble] = {}
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> tuple[Trouble, ...]:
        with self._lock:
            return tuple(self._found.values())

    def on_change(self, listener: Callable[[], None]) -> None:
        """Called in the thread that has found it."""
        self._listeners.append(listener)

    def stop(self, engine: str | None = None) -> bool:
        """Whether parts for this engine are not to be taken; None: any at all."""
        return any(trouble.stops and trouble.engine in (None, engine) for trouble in self.now())

    def note(self, what: str, error: OcrQueueError | None, *, engine: str | None = None, stops: bool = True) -> None:
        """What was found when this was looked at; None: nothing is wrong with it."""
        with self._lock:
            before = self._found.get(what)
            if error is None:
                self._found.pop(what, None)
            elif before is None or before.error.code != error.code:
                self._found[what] = Trouble(
                    what=what, error=error.info, since=datetime.now(UTC), engine=engine, stops=stops
                )
            else:
                return
        if error is not None:
            told = {"error": error.code, "reason": error.message, "remedy": error.info.remedy}
            takes = f"jobs for {engine} are left to others, if any can do them" if engine else "no jobs are taken"
            _log.error("this worker's access is broken", what=what, follows=takes if stops else "nothing", **told)
        elif before is not None:
            _log.info("this worker's access is as it should be again", what=what, was=before.error.code)
        if error is not None or before is not None:
            for listener in self._listeners:
                listener()


TROUBLES: Final = Troubles()
"""Those of this process."""
