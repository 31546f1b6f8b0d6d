"""Reclaiming: parts that no worker has any more go back to their places, and so do parts whose delay is over.

Every part in a hand has a lease, which its worker extends. What is overdue is found by that, in the order in which the
leases ran out, and nothing else is searched for. Several who reclaim at once do no harm: each move is one step.
"""

from __future__ import annotations

import time
from typing import Final

from ocrqueue.core.worker_registry import Reclaimed, WorkerRegistry
from ocrqueue.settings import ClientSettings

_AT_ONCE: Final = 100
"""Parts of each kind in one step, so that no step holds Redis up for long."""
_MOST_STEPS: Final = 100


def reclaim(registry: WorkerRegistry) -> Reclaimed:
    """One round: all that is due, in steps. Raises BrokerUnavailable."""
    rounds = [registry.reclaim(_AT_ONCE)]
    while _was_full(rounds[-1]) and len(rounds) < _MOST_STEPS:
        rounds.append(registry.reclaim(_AT_ONCE))
    return Reclaimed(
        tuple(part for each in rounds for part in each.requeued),
        tuple(part for each in rounds for part in each.poisonous),
        sum(each.due for each in rounds),
        any(each.leases_granted for each in rounds),
        tuple(dict.fromkeys(job_id for each in rounds for job_id in each.leftovers)),
        sum(each.unlisted for each in rounds),
        rounds[-1].deleted,
        rounds[-1].grace_s,
    )


def _was_full(found: Reclaimed) -> bool:
    return max(len(found.requeued) + len(found.poisonous), found.due, found.unlisted) >= _AT_ONCE


def reclaim_patiently(registry: WorkerRegistry) -> Reclaimed:
    """One round that counts: after a pause in which nobody reclaimed, leases are given their time first.

    Takes up to `lost_after_s` and a moment. Where workers have longer leases, theirs may not be over by then, which
    `grace_s` tells. Raises BrokerUnavailable.
    """
    found = reclaim(registry)
    deadline = time.monotonic() + registry.settings.lost_after_s + 1
    while found.leases_granted and time.monotonic() < deadline:
        time.sleep(registry.settings.lost_after_s / 4)
        found = reclaim(registry)
    return found


def pause_between_rounds_s(settings: ClientSettings) -> float:
    """The setting `reconcile_interval_s`, or less: who comes later than half a lease grants leases instead."""
    return min(settings.reconcile_interval_s, settings.lost_after_s / 4)
