"""Reclaims the parts of lost workers in a local system: a thread, for as long as the system runs."""

from __future__ import annotations

import logging
import threading
from contextlib import closing

from ocrqueue.core import WorkerRegistry
from ocrqueue.core.reclaimer import pause_between_rounds_s, reclaim
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import ClientSettings

_log = logging.getLogger(__name__)


class Reclaiming:
    """As workers do in turn; unlike them it is there while none of them is."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reclaiming", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the round under way is over."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with closing(WorkerRegistry(self._settings)) as registry:
            while not self._stopped.wait(pause_between_rounds_s(self._settings)):
                try:
                    reclaim(registry)
                except OcrQueueError:
                    pass  # Redis may be gone for a moment, or for good: LocalSystem.check() tells of that
                except Exception:
                    # let through, it would end this for as long as the system runs
                    _log.exception("met an unexpected error")
