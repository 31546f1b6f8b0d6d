"""What waits for which engine, as JSON: what an autoscaler goes by.

`{"keras": {"high": 0, "normal": 7, "low": 0}, ...}`. A part of a job that no worker has taken counts, and a message of
a foreign Celery app that has not become a job yet: an engine without workers is to be started for either. What is
paused does not count: no worker would take it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from ocrqueue.core import QueueInfo, Registry, known_engines, queues
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.job.names import AUTO, LANES

PATH: Final = "/queues"

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


def wanted(registry: Registry) -> dict[str, dict[str, int]]:
    """Engine -> lane -> parts and messages that wait; `auto` is among the engines. Raises BrokerUnavailable."""
    found: dict[str, dict[str, int]] = {engine: dict.fromkeys(LANES, 0) for engine in (*known_engines(registry), AUTO)}
    for lane in queues(registry):
        found.setdefault(lane.engine, dict.fromkeys(LANES, 0))[lane.lane] = _takeable(lane) + lane.foreign
    return found


def _takeable(lane: QueueInfo) -> int:
    return 0 if lane.paused else lane.waiting - sum(lane.tenants[tenant] for tenant in lane.paused_tenants)


def beside(app: WsgiApp, registry: Registry) -> WsgiApp:
    """The web app with one more path. While Redis does not answer it is 503, and a scaler leaves all as it is."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return app(environ, start_response)
        try:
            status, body = "200 OK", json.dumps(wanted(registry))
        except BrokerUnavailable as error:
            status, body = "503 Service Unavailable", json.dumps({"error": error.info.model_dump(mode="json")})
        start_response(status, [("Content-Type", "application/json")])
        return [body.encode()]

    return answer
