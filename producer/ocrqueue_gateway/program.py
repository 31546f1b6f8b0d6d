"""The command `ocrqueue-gateway`."""

from __future__ import annotations

import sys
from typing import Any

import click
import uvicorn

from ocrqueue.errors import OcrQueueError
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.settings import GatewaySettings, load_gateway_settings


@click.command()
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on. [default: 8787]")
def main(host: str | None, port: int | None) -> None:
    """Serve ocrqueue by HTTP."""
    try:
        settings = load_gateway_settings(host=host, port=port)
        app = create_app(settings)
    except OcrQueueError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    uvicorn.run(app, **serving(settings))


def serving(settings: GatewaySettings) -> dict[str, Any]:
    """Options of uvicorn."""
    return {
        "host": settings.host,
        "port": settings.port,
        "http": "h11",
        "h11_max_incomplete_event_size": settings.max_header_bytes,
        "server_header": False,
    }
