"""A gateway as it is served: by uvicorn, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ocrqueue.settings import Settings
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.program import serving
from ocrqueue_gateway.serving import Server
from ocrqueue_gateway.settings import GatewaySettings
from tests.support.processes import wait_until


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The base URL of the application."""
    options = serving(app.state.settings) | {"host": "127.0.0.1", "port": 0, "log_level": "warning"}
    server = Server(app, uvicorn.Config(app, **options))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="gateway")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), 60, "the gateway listens")
        assert thread.is_alive(), "the gateway did not start"
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the gateway did not end"


@contextmanager
def gateway_of(settings: Settings, **given: object) -> Iterator[str]:
    """The base URL of a gateway for this installation; `given`: of GatewaySettings."""
    with served(create_app(GatewaySettings.model_validate(given), settings)) as url:
        yield url
