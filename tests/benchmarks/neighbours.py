"""What tenants who share a lane cost each other: waits beside a noisy neighbour, throughput by weight."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.tenants import set_weights, tenants
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.stage import CORES, Stage, file_stage, system_worker

_WEIGHTS = {"c": 3.0, "d": 1.0}


@click.command()
@click.option("--noise", type=click.IntRange(100), default=20_000, show_default=True, help="Jobs of the neighbour.")
@click.option("--jobs", "count", type=click.IntRange(5), default=20, show_default=True, help="Of the quiet tenant.")
@click.option("--delay", type=click.FloatRange(0), default=0.1, show_default=True, help="Seconds a job takes.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def neighbours(noise: int, count: int, delay: float, rounds: int) -> None:
    """How long a tenant's few jobs wait alone and beside another's thousands, and shares by weight."""
    picture = BytesIO()
    Image.new("L", (64, 32), 255).save(picture, "PNG")
    with ExitStack() as stack:
        stage = stack.enter_context(file_stage(max_queue_length=0))
        queue = stack.enter_context(OcrQueue(stage.settings))
        uri = queue.storage.put("inputs/picture.png", picture.getvalue(), "image/png")
        stack.enter_context(system_worker(stage, "null"))
        _submit(queue, [uri] * 2 * CORES, "warm", delay, wait=True)
        alone = [_waits(queue, [uri] * count, delay) for _ in range(rounds)]
        _submit(queue, [uri] * noise, "a", delay)
        beside = [_waits(queue, [uri] * count, delay) for _ in range(rounds)]
        _print_waits(alone, beside, delay)
        queue.cancel_many(tenant="a")
        _print_shares(stage, queue, uri, delay)


def _submit(
    queue: OcrQueue, images: Sequence[str], tenant: str, delay: float, *, wait: bool = False
) -> list[SubmittedJob]:
    jobs = queue.submit_many(images, engine="null", crops="none", tenant=tenant, options={"delay_s": delay})
    if wait:
        for _ in queue.watch(jobs, timeout=TIMEOUT_S):
            pass
    return jobs


def _waits(queue: OcrQueue, images: Sequence[str], delay: float) -> list[float]:
    """Seconds from submission to start of the quiet tenant's jobs, shortest first."""
    jobs = _submit(queue, images, "b", delay, wait=True)
    statuses = queue.statuses([job.id for job in jobs])
    return sorted((s.started_at - s.queued_at).total_seconds() for s in statuses if s and s.started_at)


def _p95(waits: Sequence[float]) -> float:
    """The nearest rank: of 20 waits the 19th."""
    return waits[math.ceil(0.95 * len(waits)) - 1]


def _print_waits(alone: Sequence[Sequence[float]], beside: Sequence[Sequence[float]], delay: float) -> None:
    table = Table("the tenant's jobs", "p50 wait", "p95 wait")
    for name, rounds in (("alone", alone), ("beside a noisy neighbour", beside)):
        p50, p95 = (statistics.median(of(waits) for waits in rounds) for of in (statistics.median, _p95))
        table.add_row(name, f"{p50:.3f} s", f"{p95:.3f} s")
    Console(width=120).print(table)
    ours, theirs = (statistics.median(map(_p95, rounds)) for rounds in (beside, alone))
    print(f"p95 beside over alone: {ours / theirs:.2f}; less one job's time: {(ours - delay) / theirs:.2f}")


def _print_shares(stage: Stage, queue: OcrQueue, uri: str, delay: float) -> None:
    """Both tenants have more than enough waiting; what is counted is what ends meanwhile."""
    set_weights(registry_of(queue), _WEIGHTS)
    seconds = 400 * max(delay, 0.01) / CORES
    for tenant in _WEIGHTS:
        _submit(queue, [uri] * 2000, tenant, delay)
    done = dict.fromkeys(_WEIGHTS, 0)
    before = {tenant: _waiting(queue, tenant) for tenant in _WEIGHTS}
    time.sleep(seconds)
    for tenant in _WEIGHTS:
        done[tenant] = before[tenant] - _waiting(queue, tenant)
    print(f"weights {_WEIGHTS}: {done} jobs begun in {seconds:.0f} s, {done['c'] / max(1, done['d']):.2f} to 1")


def _waiting(queue: OcrQueue, tenant: str) -> int:
    found = next((info for info in tenants(registry_of(queue)) if info.name == tenant), None)
    return sum(found.waiting.values()) if found else 0
