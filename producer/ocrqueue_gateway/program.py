"""The command `ocrqueue-gateway`."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Any

import click
import uvicorn

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import ClientSettings, load_client_settings
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.hardening.timed_protocol import TimedProtocol
from ocrqueue_gateway.serving import Server, listen, url_of, write_whole
from ocrqueue_gateway.settings import GatewaySettings, load_gateway_settings


@click.command()
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0: any. [default: 8787]")
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    help="Port to listen on for gRPC, which Google's clients speak; 0: any. [default: none]",
)
@click.option("--next-port", is_flag=True, help="If the port is taken, listen on the next one that is free.")
@click.option(
    "--url-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the URL to this file when the gateway answers requests.",
)
def main(host: str | None, port: int | None, grpc_port: int | None, next_port: bool, url_file: Path | None) -> None:
    """Serve ocrqueue by HTTP."""
    try:
        settings = load_gateway_settings(host=host, port=port, grpc_port=grpc_port)
        client_settings = load_client_settings()
        asyncio.run(_check(client_settings))
        app = create_app(settings, client_settings)
    except OcrQueueError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    try:
        listener = listen(settings.host, settings.port, or_next=next_port)
    except OSError as error:
        said = f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}."
        raise click.ClickException(said) from error
    url = url_of(listener, tls=settings.tls_certificate is not None)

    def tell() -> None:
        click.echo(f"ocrqueue-gateway: {url}", err=True)
        if settings.grpc_port is not None:
            click.echo(f"ocrqueue-gateway: gRPC on port {app.state.grpc_port}", err=True)
        if url_file is not None:
            write_whole(url_file, f"{url}\n")

    configuration = uvicorn.Config(app, **serving(settings))
    try:
        configuration.load()
    except ssl.SSLError as error:
        why = error.reason or error
        raise click.ClickException(
            f"The certificate and its key cannot be used: {why}. Both are PEM files, the key that of the certificate."
        ) from error
    with listener:
        Server(app, configuration, tell).run(sockets=[listener])


async def _check(settings: ClientSettings) -> None:
    """Whether a client can be made of them; Redis may be away. Raises SettingsInvalid."""
    async with AsyncOcrQueue(settings):
        pass


def serving(settings: GatewaySettings) -> dict[str, Any]:
    """Options of uvicorn."""
    return {
        "ssl_certfile": settings.tls_certificate,
        "ssl_keyfile": settings.tls_key,
        "http": TimedProtocol,
        "h11_max_incomplete_event_size": settings.max_header_bytes,
        "server_header": False,
        # it is the proxy's; and keys may be in a query, as some clients send them
        "access_log": False,
    }
