"""The command `ocrqueue-gateway`."""

from __future__ import annotations

import click
import uvicorn

from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.settings import GatewaySettings


@click.command()
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on. [default: 8787]")
def main(host: str | None, port: int | None) -> None:
    """Serve ocrqueue by HTTP."""
    settings = GatewaySettings()
    uvicorn.run(create_app(), host=host or settings.host, port=settings.port if port is None else port)
