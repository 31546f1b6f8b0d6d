"""The command."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import mean, median, quantiles

import boto3
import click
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from ocrqueue.core.api_keys import NewApiKey
from ocrqueue.storage.s3_client import s3_client
from tests.benchmarks.clouds.asking import PROTOCOLS, Place
from tests.benchmarks.clouds.load import Tally, ask_until
from tests.benchmarks.stage import CORES, Stage, s3_option, s3_stage
from tests.support.certificates import make_certificate
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, free_port, worker
from tests.support.replicas import Replica, replica

_SECRET = "of a benchmark, which nobody else has"
_MIB = 2**20
_RULES = """
[[rule]]
engine = "{engine}"
cache = false

[[bucket]]
name = "s3://scans/"
place = "s3://{bucket}/"
"""


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.05), default=10.0, show_default=True)
@click.option("--clients", type=click.IntRange(1), default=2, show_default=True, help="Of each protocol.")
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(list(PROTOCOLS)),
    multiple=True,
    help="This one; can be repeated.  [default: all]",
)
@click.option("--engine", default="tesseract", show_default=True)
@s3_option
def clouds(minutes: float, clients: int, protocols: tuple[str, ...], engine: str, s3_endpoint: str | None) -> None:
    """The clouds' own clients ask one gateway at once, over TLS: rates, errors, and the gateway's memory."""
    console = Console(width=140)
    with ExitStack() as stack:
        stage = stack.enter_context(s3_stage(s3_endpoint, gateway_secret=_SECRET, idempotency_ttl_s=60))
        arguments = ("--engine", engine, "--concurrency", str(CORES))
        stack.enter_context(worker(as_environment(stage.settings), stage.folder, *arguments))
        with OcrQueue(stage.settings) as queue:
            key = queue.api_keys.create(tenant="clouds")
        at, place = stack.enter_context(_gateway(stage, engine, key))
        pictures = [(f"Page {number}", png(text_picture(f"Page {number}"))) for number in range(100, 150)]
        asks = {name: partial(PROTOCOLS[name], place) for name in protocols or PROTOCOLS}
        # what is made once is not what grows
        ask_until(time.monotonic() + 5, asks, clients, pictures)
        begun = time.monotonic()
        with _memory(at) as memory:
            tallies = ask_until(begun + 60 * minutes, asks, clients, pictures)
        took_s = time.monotonic() - begun
        console.print(_table(tallies, took_s))
        for name, tally in tallies.items():
            for error, count in tally.foreign.items():
                console.print(f"{name}: {count} x {error}")
        _print_memory(console, memory, at.memory_bytes("VmHWM"))
        problems = [line for line in at.log.read_text().splitlines() if "Error" in line or "Traceback" in line]
        console.print(f"lines of the gateway's log with an error: {len(problems)}")
    if sum(tally.foreign.total() for tally in tallies.values()):
        raise click.ClickException("There were errors that are not a protocol's own.")


@contextmanager
def _gateway(stage: Stage, engine: str, key: NewApiKey) -> Iterator[tuple[Replica, Place]]:
    # what lies where results are stored is not to be read
    bucket = f"{stage.settings.storage.removeprefix('s3://')}-scans"
    rules = stage.folder / "clouds.toml"
    rules.write_text(_RULES.format(engine=engine, bucket=bucket))
    tls = make_certificate(stage.folder)
    os.environ["REQUESTS_CA_BUNDLE"] = str(tls.authority)
    s3, grpc_port = s3_client(stage.settings), free_port()
    scans = boto3.resource("s3", endpoint_url=stage.settings.s3_endpoint).Bucket(bucket)
    scans.create()

    def put(name: str, content: bytes) -> None:
        s3.put_object(Bucket=bucket, Key=name, Body=content)

    files = {"tls_certificate": tls.certificate, "tls_key": tls.key, "cloud_rules": rules}
    try:
        with replica(stage.settings, stage.folder, **files, grpc_port=grpc_port) as at:
            yield at, Place(at.url, grpc_port, tls.authority, key, put)
    finally:
        scans.objects.all().delete()
        scans.delete()


@contextmanager
def _memory(at: Replica) -> Iterator[list[float]]:
    """Resident MiB of the gateway, once a second."""
    found: list[float] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(1):
            found.append(at.memory_bytes() / _MIB)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _table(tallies: dict[str, Tally], took_s: float) -> Table:
    table = Table(
        "protocol", "calls", "a second", "texts", "as expected", "median", "95 %", "own errors", "unexpected", "foreign"
    )
    for name, tally in tallies.items():
        late = quantiles(tally.seconds, n=20)[-1] if len(tally.seconds) > 1 else 0.0
        table.add_row(
            name,
            str(tally.calls),
            f"{tally.calls / took_s:.1f}",
            str(len(tally.seconds)),
            str(tally.as_expected),
            f"{median(tally.seconds or [0]):.2f} s",
            f"{late:.2f} s",
            _counted(tally.own),
            _counted(tally.unexpected),
            str(tally.foreign.total()),
        )
    return table


def _counted(errors: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in errors.items()) or "-"


def _print_memory(console: Console, memory: list[float], most: int) -> None:
    """The mean of each fifth of the time: flat is what does not grow from the second on."""
    fifth = max(1, len(memory) // 5)
    means = [mean(memory[start : start + fifth]) for start in range(0, fifth * 5, fifth) if memory[start:]]
    console.print(
        f"the gateway's memory by fifths of the time: {', '.join(f'{each:.1f}' for each in means)} MiB; "
        f"at most {most / _MIB:.1f} MiB"
    )
