"""A gateway as it is served: by uvicorn, in a thread of the test's own process or in one of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from ocrqueue.settings import WorkerSettings
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.program import serving
from ocrqueue_gateway.serving import Server
from ocrqueue_gateway.settings import GatewaySettings
from tests.support.processes import as_environment, environment, wait_until

_MONOTONIC = time.monotonic


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The base URL of the application."""
    options = serving(app.state.settings) | {"host": "127.0.0.1", "port": 0, "log_level": "warning"}
    server = Server(app, uvicorn.Config(app, **options))
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        # other tests of this process hold the clock still, or turn it: a timer that was set by theirs would never ring
        loop.time = _MONOTONIC  # type: ignore[method-assign]
        loops.append(loop)
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="gateway")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), 60, "the gateway listens")
        assert thread.is_alive(), "the gateway did not start"
        scheme = "http" if app.state.settings.tls_certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        if thread.is_alive():
            waiting = "\n".join(str(task) for task in asyncio.all_tasks(loops[0]))
            raise AssertionError(f"the gateway did not end: {waiting}")


@contextmanager
def gateway_of(settings: WorkerSettings, **given: object) -> Iterator[str]:
    """The base URL of a gateway for this installation; `given`: of GatewaySettings."""
    with served(create_app(GatewaySettings.model_validate(given), settings)) as url:
        yield url


@contextmanager
def gateway_process(
    settings: WorkerSettings, folder: Path, **given: object
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same as a process of its own, which an operator would start; and its base URL."""
    told = folder / "gateway-url"
    variables = {f"gateway_{name}": value for name, value in given.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "ocrqueue_gateway", "--port", "0", "--url-file", str(told)],
        env=environment({**as_environment(settings), **variables}),
        cwd=folder,
    )
    try:
        wait_until(lambda: told.exists() or process.poll() is not None, 60, "the gateway listens")
        assert process.poll() is None, "the gateway did not start"
        yield told.read_text().strip(), process
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
