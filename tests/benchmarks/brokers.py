"""The same jobs with Redis and with RabbitMQ as the broker: jobs a second, and what Redis holds of one that waits."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrqueue import JobStatus, OcrQueue
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.stage import CORES, Stage, file_stage, system_worker
from tests.rabbitmq import rabbitmq_server


@dataclasses.dataclass(frozen=True)
class Round:
    """Jobs a second, and bytes of Redis a waiting job."""

    submitted: float
    completed: float
    waiting: float


@click.command()
@click.option("--jobs", "count", type=click.IntRange(100), default=3000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def brokers(count: int, rounds: int) -> None:
    """Redis and RabbitMQ in turn, without any OCR."""
    done: dict[str, list[Round]] = {"Redis": [], "RabbitMQ": []}
    with (
        file_stage() as stage,
        tempfile.TemporaryDirectory(prefix="rabbitmq-") as folder,
        rabbitmq_server(Path(folder)) as server,
    ):
        settings = {
            "Redis": stage.settings,
            "RabbitMQ": type(stage.settings)(**{**stage.settings.model_dump(), "broker_url": server.url}),
        }
        for _ in range(rounds):
            for name, found in done.items():
                found.append(_round(dataclasses.replace(stage, settings=settings[name]), count))
                print(f"{name}: {found[-1]}", flush=True)
    table = Table(
        "broker", "submitted/s", "completed/s", "bytes a job waiting", title=f"{count} jobs, {CORES} at a time"
    )
    for name, found in done.items():
        table.add_row(name, *(f"{_median(found, field.name):.0f}" for field in dataclasses.fields(Round)))
    ratios = (
        _median(done["RabbitMQ"], field.name) / _median(done["Redis"], field.name)
        for field in dataclasses.fields(Round)
    )
    table.add_row("RabbitMQ / Redis", *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=100).print(table)


def _median(rounds: list[Round], field: str) -> float:
    return statistics.median(getattr(done, field) for done in rounds)


def _round(stage: Stage, count: int) -> Round:
    """Submit all with no worker up, then start one; timed from its first job to its last."""
    picture = BytesIO()
    Image.new("L", (64, 32), 255).save(picture, "PNG")
    with stage.redis.client() as redis, OcrQueue(stage.settings) as queue:
        redis.flushall()
        uri = queue.storage.put("inputs/picture.png", picture.getvalue(), "image/png")
        before = cast("dict[str, Any]", redis.info("memory"))["used_memory"]
        begin = time.perf_counter()
        jobs = queue.submit_many([uri] * count, engine="null", crops="none")
        submitted = count / (time.perf_counter() - begin)
        waiting = (cast("dict[str, Any]", redis.info("memory"))["used_memory"] - before) / count
        with system_worker(stage, "null"):
            ends = [status for _, status in queue.watch(jobs, timeout=TIMEOUT_S)]
        queue.storage.delete_prefix("results")
    if any(status.state != "succeeded" for status in ends):
        raise RuntimeError("not every job succeeded")
    return Round(submitted, count / _elapsed_s(ends), waiting)


def _elapsed_s(ends: list[JobStatus]) -> float:
    began = min(status.started_at for status in ends if status.started_at)
    return (max(status.finished_at for status in ends if status.finished_at) - began).total_seconds()
