"""The workers of the installation, asked of Redis at most once in two seconds by each process.

Every turn of a routed job wants to know them, and every part that is left to others. With hundreds of workers their
announcements are long.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from ocrqueue.core import EngineOffer, WorkerInfo
from ocrqueue.core.installation import is_live, workers_heard_of
from ocrqueue.core.registry import Registry

_FRESH_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Seen:
    workers: list[WorkerInfo]
    now_s: float
    """By Redis's clock, as they were read."""
    read_at: float
    """By time.monotonic()."""


_seen: WeakKeyDictionary[Registry, _Seen] = WeakKeyDictionary()


def engines_seen(registry: Registry, within_s: float) -> set[str]:
    """The engines that have had a live worker within this many seconds. Raises BrokerUnavailable."""
    seen = _read(registry)
    recent = (worker for worker in seen.workers if worker.seen_at >= seen.now_s - within_s)
    return {offer.name for worker in recent for offer in worker.engines}


def workers_alive(registry: Registry) -> list[WorkerInfo]:
    """Those whose last heartbeat is recent. Raises BrokerUnavailable."""
    seen = _read(registry)
    return [worker for worker in seen.workers if is_live(worker, seen.now_s, registry.settings)]


def live_offers(registry: Registry) -> list[EngineOffer]:
    """What live workers say of their engines. Raises BrokerUnavailable."""
    return [offer for worker in workers_alive(registry) for offer in worker.engines]


def _read(registry: Registry) -> _Seen:
    seen = _seen.get(registry)
    if seen is None or time.monotonic() - seen.read_at >= _FRESH_S:
        workers, now_s = workers_heard_of(registry)
        seen = _seen[registry] = _Seen(workers, now_s, time.monotonic())
    return seen
