"""A delivered message, as the worker's main process sees it: its time limits, and the end of a lost child."""

from __future__ import annotations

import os
import time
from functools import cached_property, partial
from typing import Any, Final

import structlog
from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded
from celery.exceptions import Ignore
from celery.worker.request import Request
from pydantic import TypeAdapter

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue.errors import EngineOutOfMemory, EngineTimeout, OcrQueueError, WorkerLost
from ocrqueue_worker.broker.messages import PartMessage
from ocrqueue_worker.task.settlement import SETTLEMENT

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.01
_DEATH_S: Final = 10.0
"""A process that was killed is gone in moments, unless its memory is large or its disk hangs."""

_PARTS = TypeAdapter(tuple[PartMessage, ...])


class PartRequest(Request):  # type: ignore[misc]  # celery has no types
    """One message with the parts that a child has. docs/celery.md says which way out of a task is which move."""

    @cached_property
    def parts(self) -> tuple[PartMessage, ...]:
        return _PARTS.validate_python(self.kwargs.get("parts", ()))

    @property
    def holds(self) -> list[Hold]:
        return [hold for part in self.parts for hold in part.holds]

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        if not soft:
            # asked for before the signals that end the child: until it is gone, it may still tell of the part itself
            SETTLEMENT.ask(partial(_wait_until_gone, self.worker_pid), self.holds)
            self._close(EngineTimeout(f"Killed after {timeout} s."))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        cause = _cause(exc_info.exception)
        if isinstance(cause, MemoryError):
            # from Celery's part in the child, where the task could not catch it; Celery would end this process over it
            exc_info = _out_of_memory()
            self._close(EngineOutOfMemory())
        elif not isinstance(cause, TimeLimitExceeded | Terminated | Ignore):
            # the first of these has on_timeout, the second is a revoke, after the last there is nothing left to say;
            # of others the child is lost, or the task raised what it should have settled
            self._lose()
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def _close(self, error: OcrQueueError) -> None:
        """The child was killed for good. Parts that were read together go back, to be read one by one."""
        if len(self.parts) > 1:
            SETTLEMENT.ask(partial(_give_back, self.holds, error), self.holds)
        else:
            for part in self.parts:
                SETTLEMENT.ask(partial(self._close_begun, part, error), part.holds)

    def _close_begun(self, part: PartMessage, error: OcrQueueError, registry: WorkerRegistry) -> None:
        """What has not begun has met nothing that its image could have done."""
        if registry.give_back_unbegun(part.hold) == "begun":
            self.task.close_killed(part, error, self.hostname, registry)
        elif part.hold.page is not None:
            # where the child was past its page, and gathered the others: that is to have a time of its own
            registry.release(part.hold.closing, error.info)

    def _lose(self) -> None:
        if len(self.parts) > 1:
            SETTLEMENT.ask(partial(_give_back, self.holds, WorkerLost()), self.holds)
        else:
            SETTLEMENT.ask(partial(_lost, self.holds), self.holds)


def _wait_until_gone(child: int | None, _: WorkerRegistry) -> None:
    deadline = time.monotonic() + _DEATH_S
    while child is not None and not _is_gone(child) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)


def _is_gone(child: int) -> bool:
    try:
        # its end stays for Celery's pool to hear of
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def _give_back(holds: list[Hold], error: OcrQueueError, registry: WorkerRegistry) -> None:
    for hold in holds:
        became = registry.release(hold, error.info, alone=True)
        if became == "released":
            _log.warning("part goes back to its lane, to be read by itself", part=hold.part, error=error.code)


def _lost(holds: list[Hold], registry: WorkerRegistry) -> None:
    for hold, became in zip(holds, registry.lost(holds), strict=True):
        if became != "gone":
            _log.warning("the child of a part is lost", part=hold.part, part_is=became)


def _cause(error: object) -> object:
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _out_of_memory() -> ExceptionInfo:
    try:
        raise EngineOutOfMemory
    except EngineOutOfMemory:
        return ExceptionInfo()
