"""What one worker does for all: what lost workers had goes back, pauses end, messages of foreign apps are taken in.

Whose heartbeat finds the duties free has them; a thread of its own does them, for they can take a while.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Final

import structlog

from ocrqueue.core import WorkerRegistry
from ocrqueue.core.installation import note_children
from ocrqueue.core.intake import foreign_lists, take_in_foreign
from ocrqueue.core.reclaimer import note_replication, reclaim
from ocrqueue.errors import BrokerUnavailable, OcrQueueError
from ocrqueue.routing import Router, read_engines
from ocrqueue.settings import Settings
from ocrqueue.storage import open_storage
from ocrqueue_worker.pipeline.orphaned_objects import remove_all

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 1.5
_ROUNDS_A_LEASE: Final = 4
"""At least: who reclaims less than twice a lease grants leases anew instead."""
_SELDOM: Final = 15
"""Rounds, until Redis is asked again whether its data has become another's, and which engines there are."""
_CHILDREN_COUNTED: Final = 6
"""Rounds, until the children of all workers are counted again."""


class SharedDuties:
    """Off duty until told otherwise."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ours, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._rounds = 0
        self._every_s = min(_EVERY_S, settings.lost_after_s / _ROUNDS_A_LEASE)
        self._lists: list[str] = []

    def are_ours(self, ours: bool) -> None:
        if not ours:
            self._ours.clear()
            return
        self._ours.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="shared duties")
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._ours.set()

    def _run(self) -> None:
        with closing(WorkerRegistry(self._settings)) as registry:
            while not self._stopped.wait(self._every_s):
                self._ours.wait()
                if self._stopped.is_set():
                    return
                try:
                    self._do(registry)
                except BrokerUnavailable:
                    continue  # the heartbeat tells of it
                except OcrQueueError as error:
                    _log.warning("cannot do the shared duties", error=error.code)
                except Exception as error:
                    # let through, it would end this for as long as the worker lives
                    _log.error("met an unexpected error", exc_info=error)

    def _do(self, registry: WorkerRegistry) -> None:
        if self._rounds % _SELDOM == 0:
            note_replication(registry)
            self._lists = foreign_lists(registry)
        if self._rounds % _CHILDREN_COUNTED == 0:
            note_children(registry)
        self._rounds += 1
        self._reclaim(registry)
        router = Router(self._settings, lambda: read_engines(registry))
        taken_in = take_in_foreign(registry, router.prepare, self._lists)
        if taken_in:
            _log.info("messages of foreign apps are jobs now", **taken_in)

    def _reclaim(self, registry: WorkerRegistry) -> None:
        found = reclaim(registry)
        if found.requeued:
            _log.warning("parts of lost workers are back in their lanes", parts=found.requeued)
        for part in found.poisonous:
            _log.error("part took its workers down too often", part=part)
        for job_id in found.leftovers:
            remove_all(open_storage(self._settings), job_id)
        if found.leftovers:
            registry.forget_leftovers(found.leftovers)
