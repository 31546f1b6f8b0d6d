"""The reconciler of a local system: a thread, for as long as the system runs."""

from __future__ import annotations

import threading
from contextlib import suppress

from ocrqueue.client import OcrQueue
from ocrqueue.core.reconciler import Reconciler
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import Settings


class Reconciling:
    """Looks for lost jobs in turn with the workers; unlike them it is there while none of them is, and sees storage."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the round under way is over."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with OcrQueue(self._settings) as queue:
            pause_s = self._settings.reconcile_interval_s
            reconciler = Reconciler(queue.registry, queue.storage, turn_every_s=pause_s)
            while not self._stopped.wait(pause_s):
                # Redis or the folder may be gone for a moment, or for good: LocalSystem.check() tells of that
                with suppress(OcrQueueError):
                    reconciler.run_in_turn()
