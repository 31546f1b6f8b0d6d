"""`python -m tests.benchmarks scale`"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from redis import Redis
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from tests.benchmarks.scale.crew import Crew, crew
from tests.benchmarks.scale.load import Load, run_load
from tests.benchmarks.scale.picture import draw_rates
from tests.benchmarks.scale.used import redis_cpu
from tests.benchmarks.scale.waiting import Waiting, submit_waiting
from tests.benchmarks.stage import file_stage

_IDLE_S: Final = 10
_FASTER: Final = (2, 4, 8)
_JOBS_WITHOUT_DELAY: Final = 1500


@click.command()
@click.option("--delay", "delay_s", default=4.0, show_default=True, help="Seconds a job takes.")
@click.option("--most", type=click.IntRange(1), default=64, show_default=True, help="Worker processes at the end.")
@click.option("--rounds", type=click.IntRange(1), default=4, show_default=True, help="Jobs a process, after one.")
@click.option("--waiting", "waiting_jobs", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), default=Path("docs/scaling.png"))
def scale(delay_s: float, most: int, rounds: int, waiting_jobs: int, picture: Path) -> None:
    """Throughput of 1, 2, 4 ... worker processes against the ideal line, and what is the limit beyond it."""
    loads: list[Load] = []
    with file_stage(max_queue_length=0) as stage, OcrQueue(stage.settings) as queue, stage.redis.client() as redis:
        waiting = submit_waiting(queue, redis, waiting_jobs)
        with crew(stage) as workers:
            for processes in (2**exponent for exponent in range(most.bit_length())):
                workers.grow(processes)
                loads.append(run_load(workers, queue, redis, processes * (rounds + 1), delay_s))
                print(loads[-1], flush=True)
            faster = []
            for times in _FASTER:
                faster.append(run_load(workers, queue, redis, workers.processes * (rounds + 1), delay_s / times))
                print(faster[-1], flush=True)
            without_delay = run_load(workers, queue, redis, _JOBS_WITHOUT_DELAY, 0)
            idle = _idle(workers, redis)
    _print_loads([*loads, *faster])
    _print_limits(without_delay, waiting[-1], idle, len(workers.workers))
    _print_waiting(waiting)
    draw_rates(loads, without_delay.rate, f"jobs a second, each {delay_s:g} s; share of the ideal", picture)


def _idle(workers: Crew, redis: Redis) -> tuple[float, float]:
    """Shares of a core that workers without jobs take: of their own, of Redis's."""
    worker_cpu_s, redis_cpu_s = workers.cpu_s(), redis_cpu(redis)
    time.sleep(_IDLE_S)
    return (workers.cpu_s() - worker_cpu_s) / _IDLE_S, (redis_cpu(redis) - redis_cpu_s) / _IDLE_S


def _print_loads(loads: Sequence[Load]) -> None:
    columns = ("jobs/s", "ideal", "share", "worker CPU ms/job", "Redis CPU ms/job", "cores busy with other work")
    table = Table("processes", "workers", "s a job", *columns)
    for load in loads:
        cells = (f"{load.rate:.2f}", f"{load.ideal:.2f}", f"{load.share:.3f}", f"{load.worker_cpu_s * 1000:.1f}")
        others = (f"{load.redis_cpu_s * 1000:.2f}", f"{load.other_cores:.2f}")
        table.add_row(f"{load.processes}", f"{load.workers}", f"{load.delay_s:g}", *cells, *others)
    Console(width=140).print(table)


def _print_limits(load: Load, waiting: Waiting, idle: tuple[float, float], workers: int) -> None:
    worker_share, redis_share = idle
    each_us, full = waiting.redis_cpu_s * 1e6, 1 / load.redis_cpu_s
    for line in (
        f"one producer submits {waiting.rate:.0f} jobs/s; each takes {each_us:.0f} us of Redis's one thread",
        f"without delay, {load.processes} processes end {load.rate:.0f} jobs/s together",
        f"    with {load.worker_cpu_s * 1000:.1f} ms of the workers' CPU a job",
        f"    with {load.redis_cpu_s * 1000:.2f} ms of Redis's thread a job: full at {full:.0f} jobs/s",
        f"    while the rest of the machine keeps {load.other_cores:.2f} cores busy",
        f"{workers} idle workers ({load.processes} processes) take {worker_share:.1%} of a core",
        f"    and {redis_share:.2%} of Redis's",
        f"an ended job leaves {load.redis_bytes:.0f} bytes in Redis",
    ):
        print(line)


def _print_waiting(waiting: Sequence[Waiting]) -> None:
    table = Table("jobs waiting", "bytes of Redis a job", "together, MiB", title="Memory", title_justify="left")
    for one in waiting:
        table.add_row(f"{one.jobs}", f"{one.redis_bytes:.0f}", f"{one.jobs * one.redis_bytes / 2**20:.0f}")
    million = 1_000_000 * waiting[-1].redis_bytes
    table.add_row("1000000, extrapolated", f"{waiting[-1].redis_bytes:.0f}", f"{million / 2**20:.0f}")
    Console(width=140).print(table)
