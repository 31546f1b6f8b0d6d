"""`ocrqueue metrics`: the queues for Prometheus."""

from __future__ import annotations

import signal
import threading
from typing import cast

import click

from ocrqueue.cli.output import say
from ocrqueue.client import OcrQueue, registry_of


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=9470,
    show_default=True,
    help="Port to listen on: metrics are at http://HOST:PORT/metrics.",
)
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104  # for a scraper elsewhere
@click.option("--once", is_flag=True, help="Print the metrics once instead.")
def metrics(port: int, host: str, once: bool) -> None:
    """Serve the queues' metrics to Prometheus.

    They are about queues, workers and costs. One server is enough for an installation. It asks Redis at each scrape.
    While Redis does not answer, there is only ocrqueue_up 0. /queues shows what waits for which engine as JSON, for an
    autoscaler. SIGTERM or Ctrl-C ends the server. Workers serve metrics of their own: OCRQUEUE_METRICS_PORT.
    """
    try:
        from prometheus_client import generate_latest, start_http_server

        from ocrqueue.monitoring.exporter import collector_registry
        from ocrqueue.monitoring.wanted import WsgiApp, beside
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: pip install 'ocrqueue[metrics]'.") from None
    with OcrQueue() as queue:
        collected = collector_registry(registry_of(queue))
        if once:
            click.echo(generate_latest(collected).decode(), nl=False)
            return
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        try:
            server, thread = start_http_server(port, host, collected)
        except OSError as error:
            raise click.ClickException(f"Cannot listen at {host}:{port}: {error.strerror}.") from None
        server.set_app(beside(cast("WsgiApp", server.get_app()), registry_of(queue)))
        say(f"metrics are at http://{host}:{port}/metrics; Ctrl-C ends")
        ended.wait()
        server.shutdown()
        server.server_close()
        thread.join()
