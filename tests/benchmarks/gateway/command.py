"""The command."""

from __future__ import annotations

import click

from tests.benchmarks.gateway.submitting import submitting
from tests.benchmarks.gateway.waiting import waiting


@click.group()
def gateway() -> None:
    """HTTP: submissions beside a bare route, and many who wait behind a proxy."""


@gateway.command("submit")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--requests", type=click.IntRange(100), default=3000, show_default=True)
def submit(rounds: int, requests: int) -> None:
    """POST /v1/jobs by reference beside a bare FastAPI route with the same validation and one Redis script."""
    submitting(rounds, requests)


@gateway.command("wait")
@click.option("--polls", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--streams", type=click.IntRange(0), default=200, show_default=True)
@click.option("--pace", default=250.0, show_default=True, help="Jobs that end a second.")
def wait(polls: int, streams: int, pace: float) -> None:
    """Long polls and streams of events behind nginx and two replicas: memory, how late clients are told, SIGTERM."""
    waiting(polls, streams, pace)
