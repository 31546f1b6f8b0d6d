"""What a gateway holds while it serves: a client of the queue, which all requests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.settings import ClientSettings
from ocrqueue_gateway.clouds.background import working_in_background
from ocrqueue_gateway.jobs.estimates import Estimates
from ocrqueue_gateway.jobs.rendering import Renderer
from ocrqueue_gateway.operating.carrying_out import carrying_out_actions
from ocrqueue_gateway.operating.live import LatestOverview
from ocrqueue_gateway.operating.overview import read_overview
from ocrqueue_gateway.operating.readiness import Readiness
from ocrqueue_gateway.pictures.pictures import Pictures
from ocrqueue_gateway.settings import GatewaySettings


@asynccontextmanager
async def serving_grpc(app: FastAPI) -> AsyncIterator[None]:
    """Where a port is set for it. Raises SettingsInvalid."""
    settings: GatewaySettings = app.state.settings
    if settings.grpc_port is None:
        yield
        return
    from ocrqueue_gateway.clouds.google_vision.grpc_serving import serve_grpc, stop_grpc

    server = await serve_grpc(app, settings)
    try:
        yield
    finally:
        await stop_grpc(server)


def lifespan_of(client_settings: ClientSettings | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """`client_settings`: of ocrqueue; None: of the environment."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncOcrQueue(client_settings) as queue:
            app.state.queue = queue
            app.state.estimates = Estimates()
            app.state.renderer = Renderer(queue.settings.image_max_pixels, queue.settings.pdf_page_timeout_s)
            app.state.latest_overview = LatestOverview(lambda: read_overview(queue))
            app.state.readiness = Readiness(queue)
            app.state.pictures = Pictures(queue, app.state.settings.pictures_bytes)
            try:
                async with carrying_out_actions(app, queue), working_in_background(app), serving_grpc(app):
                    yield
            finally:
                await app.state.pictures.close()
                await app.state.readiness.close()

    return lifespan
