"""A worker's sign of life: a file that its main process touches, so that a health check costs Redis nothing.

It holds what is wrong with the worker's access, and is empty where nothing is.

Only the event loop touches it while there is a connection to Redis. A worker whose loop hangs, or that is stopped,
falls silent, while one that waits for Redis to come back does not: a restart would not help it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from celery import bootsteps

from ocrqueue.settings import process_settings
from ocrqueue_worker.access.troubles import TROUBLES

_log = structlog.get_logger(__name__)

_TOUCH_EVERY_S: Final = 5.0


def touch(file: Path | None) -> None:
    """Give a sign of life; where that fails, the check does too, and the log says why."""
    if file is None:
        return
    try:
        if file.exists():
            file.touch()
        else:
            file.write_text(_told())
    except OSError as error:
        _log.error("cannot give a sign of life", file=str(file), error=error.strerror)


def _told() -> str:
    """What is wrong with the worker all the same, a line each, first what keeps it from work."""
    return "".join(f"{trouble}\n" for trouble in sorted(TROUBLES.now(), key=lambda each: not each.stops))


def tell_troubles(file: Path) -> None:
    """What has changed about them is in the file at once, if the worker has given a sign of life."""
    try:
        if file.exists():
            file.write_text(_told())
    except OSError as error:
        _log.error("cannot say what is wrong", file=str(file), error=error.strerror)


class Liveness(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """A consumer bootstep: the file of the setting `health_file` is there once the worker takes jobs.

    The consumer stops when its connection is lost, and starts when it is regained.
    """

    # the last to start and the first to stop: what others say to Redis when they stop can take long
    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.file = process_settings().health_file
        self.enabled = self.file is not None
        self.timer: Any = None
        self.without_loop: threading.Event | None = None
        """Set to end the thread that touches the file while no event loop does."""
        if self.file is not None:
            # a predecessor's, in a container that was started again; what loads now has minutes to do so
            with suppress(OSError):
                self.file.unlink(missing_ok=True)
            TROUBLES.on_change(partial(tell_troubles, self.file))

    def start(self, parent: Any) -> None:
        self._end_thread()
        if "solo" in str(parent.controller.pool_cls):
            # its jobs run in the loop's own thread
            self._begin_thread()
        else:
            touch(self.file)
            self.timer = parent.timer.call_repeatedly(_TOUCH_EVERY_S, touch, (self.file,), priority=10)

    def stop(self, parent: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._end_thread()
        self._begin_thread()

    def _begin_thread(self) -> None:
        self.without_loop = threading.Event()
        threading.Thread(target=_touch_until, args=(self.without_loop, self.file), daemon=True).start()

    def _end_thread(self) -> None:
        if self.without_loop is not None:
            self.without_loop.set()
            self.without_loop = None


def _touch_until(ended: threading.Event, file: Path | None) -> None:
    touch(file)
    while not ended.wait(_TOUCH_EVERY_S):
        touch(file)
