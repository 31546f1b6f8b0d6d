"""POST /v1/jobs by reference, beside the bare route, by turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import click

from tests.benchmarks.scale.used import process_cpu
from tests.benchmarks.stage import file_stage
from tests.support.http_load import answered_a_second
from tests.support.processes import free_port, wait_until
from tests.support.replicas import listens, replica

BODY = json.dumps(
    {"image": "https://example.org/scans/receipt.jpg", "engine": "null", "languages": ["eng"], "tag": "invoices"}
).encode()
_CONNECTIONS = 16


@contextmanager
def _peer(redis_url: str) -> Iterator[tuple[int, str]]:
    """Its process and URL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.gateway.peer:app", "--port", str(port)]
    command += ["--http", "h11", "--no-access-log", "--log-level", "warning", "--loop", "asyncio"]
    process = subprocess.Popen(command, env=os.environ | {"OCRQUEUE_REDIS_URL": redis_url})
    try:
        wait_until(lambda: listens(port), 60, "the peer listens")
        yield process.pid, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def submitting(rounds: int, requests: int) -> None:
    """Prints both rates and their ratio, and the processor time of each, which what runs beside does not touch."""
    with ExitStack() as stack:
        stage = stack.enter_context(file_stage(max_queue_length=0))
        peer, peer_url = stack.enter_context(_peer(stage.redis.url))
        own = stack.enter_context(replica(stage.settings, stage.folder))
        contestants = {"gateway": (own.process.pid, f"{own.url}/v1/jobs"), "peer": (peer, f"{peer_url}/jobs")}
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        cpu_ms: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(rounds + 1):
            for name, (process, url) in contestants.items():
                before, count = process_cpu(process), requests if turn else 200
                rate, statuses = answered_a_second(url, BODY, count, _CONNECTIONS)
                if set(statuses) != {202}:
                    raise click.ClickException(f"{name}: {statuses}")
                if turn:
                    rates[name].append(rate)
                    cpu_ms[name].append(1000 * (process_cpu(process) - before) / count)
                    print(f"{name}: {rate:.0f} a second, {cpu_ms[name][-1]:.2f} ms of a core each", flush=True)
        print(f"median of the ratios of requests a second: {_median_ratio(rates['gateway'], rates['peer']):.2f}")
        print(f"of the peer's processor time to the gateway's: {_median_ratio(cpu_ms['peer'], cpu_ms['gateway']):.2f}")
        print(f"the gateway's memory at most: {own.memory_bytes('VmHWM') / 2**20:.0f} MiB")


def _median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))
