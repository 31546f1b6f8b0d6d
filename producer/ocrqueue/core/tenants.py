"""Tenants: who waits in which lanes, and what share of a lane each is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import BaseModel, ConfigDict

from ocrqueue.core.installation import queues
from ocrqueue.core.limits import TenantLimits, parse_limits
from ocrqueue.core.pauses import pauses
from ocrqueue.core.registry import Registry


class TenantInfo(BaseModel):
    """One tenant that waits, or has a weight or limits."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str
    """Empty: the jobs that name none."""
    weight: float = 1.0
    """Its share of a lane, against the others that wait there."""
    waiting: Mapping[str, int] = {}
    """Lane -> parts of jobs, mostly one a job, that no worker has taken."""
    paused: bool = False
    """Whether nothing of it is taken."""
    limits: TenantLimits = TenantLimits.model_construct()
    """What it may have."""


def tenants(registry: Registry) -> list[TenantInfo]:
    """The first 100 waiting tenants of each lane, and all that are paused, weighted or limited; most jobs first."""
    waiting: dict[str, dict[str, int]] = {}
    for lane in queues(registry):
        for tenant, parts in lane.tenants.items():
            waiting.setdefault(tenant, {})[lane.name] = parts
    weights = _weights(registry)
    paused = {each.name for each in pauses(registry) if each.kind == "tenant"}
    limits = _limits(registry)
    found = [
        TenantInfo(
            name=name,
            weight=weights.get(name, 1.0),
            waiting=waiting.get(name, {}),
            paused=name in paused,
            limits=limits.get(name, TenantLimits()),
        )
        for name in {*waiting, *weights, *paused, *limits}
    ]
    return sorted(found, key=lambda tenant: (-sum(tenant.waiting.values()), tenant.name))


def set_weights(registry: Registry, weights: Mapping[str, float]) -> None:
    """Above 0; each counts from the tenant's next turn on, in every lane. 1 is what a tenant has that is given none."""
    key = registry.keys.weights()
    with registry.errors(), registry.client.pipeline(transaction=True) as pipeline:
        for name, weight in weights.items():
            if weight == 1:
                pipeline.hdel(key, name)
            else:
                pipeline.hset(key, name, f"{weight:.6g}")
        pipeline.execute()


def _weights(registry: Registry) -> dict[str, float]:
    """As TAKE reads them: what is no number above 0 is 1."""
    with registry.errors():
        stored = cast("dict[bytes, bytes]", registry.client.hgetall(registry.keys.weights()))
    found = {}
    for name, text in stored.items():
        try:
            weight = float(text)
        except ValueError:
            continue
        if weight > 0:
            found[name.decode(errors="replace")] = weight
    return found


def _limits(registry: Registry) -> dict[str, TenantLimits]:
    with registry.errors():
        return parse_limits(registry.client.hgetall(registry.keys.limits()))
