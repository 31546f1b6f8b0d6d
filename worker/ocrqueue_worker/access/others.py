"""Whether another live worker reads for an engine with which something is wrong here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from ocrqueue.core import WorkerInfo
from ocrqueue.errors import BrokerUnavailable

_FRESH_S: Final = 2.0


class OtherReaders:
    """Asked only while this worker leaves an engine's parts to others.

    Where there has been nobody else for a while, it takes them: each ends with the reason why nobody can read it, and
    does not wait forever.
    """

    def __init__(self, live_workers: Callable[[], Sequence[WorkerInfo]], holder: str, patience_s: float) -> None:
        self._live_workers = live_workers
        self._holder = holder
        self._patience_s = patience_s
        """A worker that is started again, or that loads a model while this one is there already, is not nobody."""
        self._read_at: float | None = None
        self._workers: Sequence[WorkerInfo] = ()
        self._seen_at: dict[str, float] = {}

    def may_come(self, engine: str) -> bool:
        """Whether there is one, or was a moment ago."""
        now = time.monotonic()
        self._look(now)
        seen_at = self._seen_at.setdefault(engine, now)
        if any(self._reads(worker, engine) for worker in self._workers):
            self._seen_at[engine] = now
            return True
        return now - seen_at < self._patience_s

    def forget(self, engines: Sequence[str]) -> None:
        """Nothing is wrong with these any more: the patience is whole again."""
        for engine in engines:
            self._seen_at.pop(engine, None)

    def _look(self, now: float) -> None:
        if self._read_at is None or now - self._read_at >= _FRESH_S:
            # without Redis nothing can be taken either
            with suppress(BrokerUnavailable):
                self._workers, self._read_at = self._live_workers(), now

    def _reads(self, worker: WorkerInfo, engine: str) -> bool:
        offers = any(offer.name == engine for offer in worker.engines)
        return worker.holder != self._holder and offers and worker.takes(engine)
