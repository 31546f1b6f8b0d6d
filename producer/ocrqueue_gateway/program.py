"""The command `ocrqueue-gateway`."""

from __future__ import annotations

from pathlib import Path

import click
import uvicorn

from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.serving import Server, listen, url_of, write_whole
from ocrqueue_gateway.settings import GatewaySettings


@click.command()
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0: any. [default: 8787]")
@click.option("--next-port", is_flag=True, help="Where the port is taken, listen on the next one that is free.")
@click.option(
    "--url-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the URL to this file once requests are answered.",
)
def main(host: str | None, port: int | None, next_port: bool, url_file: Path | None) -> None:
    """Serve ocrqueue by HTTP."""
    settings = GatewaySettings()
    host = settings.host if host is None else host
    port = settings.port if port is None else port
    try:
        listener = listen(host, port, or_next=next_port)
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error
    url = url_of(listener)

    def tell() -> None:
        click.echo(f"ocrqueue-gateway: {url}", err=True)
        if url_file is not None:
            write_whole(url_file, f"{url}\n")

    app = create_app()
    with listener:
        Server(app, uvicorn.Config(app), tell).run(sockets=[listener])
