"""What is asked of a replica by those that run it, without a key: /healthz, /readyz and /metrics."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ocrqueue_gateway.ending import is_ending
from ocrqueue_gateway.operating.metrics import CountRequests, GatewayMetrics


def add_probes(app: FastAPI, prefix: str) -> None:
    """They tell nothing of jobs, tenants or machines. `prefix`: of all other routes."""
    metrics = GatewayMetrics()
    app.add_middleware(CountRequests, metrics=metrics, prefix=prefix)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        """The process is there."""
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
        """Requests may be sent here: 503 while Redis or storage does not answer, and once it is told to end."""
        answered = await request.app.state.readiness.check()
        told = {name: "ok" if is_well else "does not answer" for name, is_well in answered.items()}
        if is_ending(app):
            return JSONResponse({"status": "ending", **told}, 503)
        is_ready = all(answered.values())
        return JSONResponse({"status": "ok" if is_ready else "not ready", **told}, 200 if is_ready else 503)

    @app.get("/metrics", include_in_schema=False)
    async def of_requests() -> Response:
        return metrics.response()
