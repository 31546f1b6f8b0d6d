"""What this replica has answered, for Prometheus. What waits and who works is told by `ocrqueue metrics`."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocrqueue.monitoring.metric import Metric

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
REQUESTS: Final = Metric(
    "ocrqueue_gateway_requests_total",
    "counter",
    "Requests that were answered, by route and status; `other`: there is no such route.",
    ("method", "route", "status"),
)
SECONDS: Final = Metric(
    "ocrqueue_gateway_request_seconds",
    "histogram",
    "From a request's headers to the end of its answer; waits for jobs and streams of events count in full.",
    ("method", "route"),
    _SECONDS,
)
IN_FLIGHT: Final = Metric("ocrqueue_gateway_requests_in_flight", "gauge", "Requests that are being answered.")
METRICS: Final = (REQUESTS, SECONDS, IN_FLIGHT)
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class GatewayMetrics:
    """Of one application; routes stand for all paths that they match, so that there are few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(REQUESTS.name, REQUESTS.help, REQUESTS.labels, registry=self.registry)
        self.seconds = Histogram(
            SECONDS.name, SECONDS.help, SECONDS.labels, buckets=SECONDS.buckets, registry=self.registry
        )
        self.in_flight = Gauge(IN_FLIGHT.name, IN_FLIGHT.help, registry=self.registry)

        # labels() looks them up under a lock, and takes as long as all the rest of this
        self.of = lru_cache(maxsize=4096)(self._of)

    def _of(self, method: str, route: str, status: str) -> tuple[Counter, Histogram]:
        return self.requests.labels(method, route, status), self.seconds.labels(method, route)

    def response(self) -> Response:
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class CountRequests:
    """Middleware, the outermost: counts what is answered."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics, prefix: str) -> None:
        """`prefix`: of the routers' routes, which do not know it."""
        self._app = app
        self._metrics = metrics
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "cut_off"
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, noted)
            finally:
                method = scope["method"] if scope["method"] in _METHODS else "other"
                requests, seconds = self._metrics.of(method, self._route(scope), status)
                requests.inc()
                seconds.observe(time.perf_counter() - began)

    def _route(self, scope: Scope) -> str:
        path = getattr(scope.get("route"), "path", None)
        if path is None:
            return "other"
        is_below = str(scope["path"]).startswith(f"{self._prefix}/") and not path.startswith(f"{self._prefix}/")
        return f"{self._prefix}{path}" if is_below else str(path)
