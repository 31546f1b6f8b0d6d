"""The application that uvicorn serves."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from ocrqueue_gateway.ending import prepare_ending


def create_app() -> FastAPI:
    """A gateway of its own; any number may run in one process."""
    app = FastAPI(title="ocrqueue", version=version("ocrqueue-gateway"), docs_url=None, redoc_url=None)
    prepare_ending(app)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app
