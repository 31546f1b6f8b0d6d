"""The looks at this worker's access, one after the other, and what is noted of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from ocrqueue.errors import OcrQueueError, SettingsInvalid, StorageUnavailable
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import open_storage
from ocrqueue_worker.access.offers import Offers
from ocrqueue_worker.access.probes import (
    has_room,
    probe_source,
    probe_storage,
    probe_temporary_files,
    sources_of,
)
from ocrqueue_worker.access.troubles import Troubles
from ocrqueue_worker.access.verdict import Verdict
from ocrqueue_worker.fork_gate import FORK_GATE

_STORAGE_S: Final = 3.0
_SOURCES_S: Final = 1.5
"""That they may take: a look tells of what is wrong within 5 seconds."""
_STORAGE, _SOURCES, _TEMPORARY = "storage", "sources", "temporary files"


class Look:
    """The look of one worker. Its main process makes it, and one thread uses it."""

    def __init__(self, settings: WorkerSettings, offers: Offers, troubles: Troubles, verdict: Verdict) -> None:
        self.offers = offers
        self._settings = settings
        self._troubles, self._verdict = troubles, verdict
        self._storage = _Patient(self._probe_storage)
        self._sources = _Patient(self._probe_sources)
        self._to_look_at = set(sources_of(settings))
        self._is_first = True

    def run(self, questions: Iterable[str] = ()) -> None:
        """One look: at what costs little, and where that is not known to be well, or somebody asks, at all.

        `questions`: see Verdict.questions.
        """
        asked = set(questions)
        everything = self._is_first or bool(asked) or self._troubles.stop()
        self._is_first = False
        self._verdict.begin()
        if everything:
            if self._asks_for_credentials():
                self._to_look_at |= asked - {""}
            self._note(_STORAGE, self._storage.answer(_STORAGE_S))
            if not self._is_noted(_STORAGE):
                # which has the same credentials, or stops the worker in any case
                self._note(_SOURCES, self._sources.answer(_SOURCES_S) if self._to_look_at else None)
            if not (self._is_noted(_STORAGE) or self._is_noted(_SOURCES)):
                self._to_look_at = set(sources_of(self._settings))
        if everything or not has_room():
            self._note(_TEMPORARY, probe_temporary_files())
        with FORK_GATE.closed():
            self.offers.look(self._troubles)
        self._verdict.end(broken=self._troubles.stop())

    def _note(self, what: str, error: OcrQueueError | None) -> None:
        self._troubles.note(what, error)

    def _is_noted(self, what: str) -> bool:
        return any(trouble.what == what for trouble in self._troubles.now())

    def _asks_for_credentials(self) -> bool:
        """Whether the operator has given any for sources: else one job's reference could stop every worker."""
        return bool(self._settings.source_buckets) or not self._settings.storage.startswith("file:")

    def _probe_storage(self) -> OcrQueueError | None:
        try:
            storage = open_storage(self._settings)
        except SettingsInvalid as error:
            return error
        # with credentials as they are now: those who ask may have read others than this process did before
        storage.reconnect()
        return probe_storage(storage)

    def _probe_sources(self) -> OcrQueueError | None:
        found = (probe_source(source, self._settings) for source in sorted(self._to_look_at))
        return next((error for error in found if error is not None), None)


class _Patient:
    """A probe in a thread of its own: it may take longer than anybody waits for it."""

    def __init__(self, probe: Callable[[], OcrQueueError | None]) -> None:
        self._probe = probe
        self._thread: threading.Thread | None = None
        self._found: OcrQueueError | None = None

    def answer(self, seconds: float) -> OcrQueueError | None:
        """Of a probe that begins now; StorageUnavailable where it has not ended after so many seconds."""
        deadline = time.monotonic() + seconds
        if self._thread is not None:
            # what it finds is of before this was asked
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, daemon=True, name="access probe")
            self._thread.start()
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            return StorageUnavailable(f"No answer within {seconds:g} s.")
        return self._found

    def _run(self) -> None:
        try:
            with FORK_GATE.closed():
                self._found = self._probe()
        except Exception as error:
            self._found = StorageUnavailable(f"Unexpected {type(error).__name__}.")
