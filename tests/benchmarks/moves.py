"""What Redis's one thread bears: jobs from TAKE to FINISH by the scripts alone, as fast as it answers."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha1
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import click
from redis import Redis
from rich.console import Console
from rich.table import Table

from ocrqueue.core import Hold, Outcome, Used, WorkerRegistry
from ocrqueue.core.script_arguments import Arguments
from ocrqueue.core.scripts import load_script
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.processes import redis_server

_LANES = [("ocr.null.high", 1), ("ocr.null", 1), ("ocr.null.low", 1)]


@click.command()
@click.option("--jobs", "count", type=click.IntRange(100), default=40_000, show_default=True)
@click.option("--clients", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--together", type=click.IntRange(1), default=50, show_default=True, help="Scripts in a round trip.")
def moves(count: int, clients: int, together: int) -> None:
    """Jobs a second by the scripts alone: how far Redis's own limit is, as far as it can be driven here."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        settings = load_worker_settings(redis_url=server.url, storage=f"file://{folder}", max_queue_length=0)
        registry = WorkerRegistry(settings)
        for _ in registry.submit(Job(image="s3://bucket/scans/0001.png", engine="null") for _ in range(count)):
            pass
        with ProcessPoolExecutor(clients, mp_context=get_context("spawn")) as pool:
            # imports are not to be timed
            list(pool.map(_drive, repeat(settings, clients), repeat(0)))
            before, begin = _thread_s(registry.client), time.perf_counter()
            ended = sum(pool.map(_drive, repeat(settings, clients), repeat(together)))
            wall_s, thread_s = time.perf_counter() - begin, _thread_s(registry.client) - before
        if ended != count:
            raise click.ClickException(f"{ended} of {count} jobs have ended.")
        registry.close()
    table = Table("clients", "jobs/s", "of Redis's thread", "its ms a job", title=f"{count:,} jobs, scripts alone")
    table.add_row(
        str(clients), f"{count / wall_s:.0f}", f"{100 * thread_s / wall_s:.0f} %", f"{1000 * thread_s / count:.3f}"
    )
    Console(width=100).print(table)


def _drive(settings: WorkerSettings, together: int) -> int:
    """TAKE, BEGIN and FINISH, so many of each in a round trip, until nothing waits. Returns how many have ended."""
    registry = WorkerRegistry(settings)
    for move in ("take", "begin", "finish"):
        registry.client.script_load(load_script(move))
    holder, arguments, ended = uuid4().hex, registry.arguments, 0
    while together:
        tokens = [uuid4().hex for _ in range(together)]
        taken = _ask(registry, "take", [arguments.take(token, holder, _LANES, 1) for token in tokens])
        found = [
            (answer[2][0].decode(), token, answer[2][1]) for answer, token in zip(taken, tokens, strict=True) if answer
        ]
        holds = [Hold(part, token) for part, token, _ in found]
        _ask(registry, "begin", [arguments.begin(hold, "null@host", "null") for hold in holds])
        finishes = [
            arguments.finish(hold, Job.model_validate_json(job), _outcome(hold), Used(1, 0.004), by_name=False)
            for hold, (_, _, job) in zip(holds, found, strict=True)
        ]
        ended += sum(answer == b"succeeded" for answer in _ask(registry, "finish", finishes))
        if len(found) < together:
            break
    registry.close()
    return ended


def _ask(registry: WorkerRegistry, move: str, calls: list[Arguments]) -> list[Any]:
    sha = sha1(load_script(move).encode(), usedforsecurity=False).hexdigest()
    with registry.client.pipeline(transaction=False) as pipeline:
        for arguments in calls:
            pipeline.evalsha(sha, 0, *arguments)
        return list(pipeline.execute())


def _answered(taken: list[Any], tokens: list[str]) -> list[tuple[Any, str]]:
    return [(answer, token) for answer, token in zip(taken, tokens, strict=True) if answer]


def _outcome(hold: Hold) -> Outcome:
    return Outcome(job_id=hold.job_id, state="succeeded", result="s3://bucket/result.json", pages=1, words=1)


def _thread_s(client: Redis) -> float:
    used = cast("dict[str, float]", client.info("cpu"))
    return used["used_cpu_user_main_thread"] + used["used_cpu_sys_main_thread"]
