"""`ocrqueue queues` and `ocrqueue engines`."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Final

import click

from ocrqueue.cli.output import duration, json_option, number, one_line, print_fields, print_json, print_table, say
from ocrqueue.cli.waiting import no_worker_for, set_aside_text
from ocrqueue.client import OcrQueue
from ocrqueue.core import QueueInfo
from ocrqueue.core.job_filter import NO_NAME
from ocrqueue.job.names import LANES
from ocrqueue.routing import EngineStatus

_LANGUAGES_SHOWN: Final = 10
_MODEL_SHOWN: Final = 32
_TENANTS_SHOWN: Final = 10


@click.command()
@click.option("--all", "all_queues", is_flag=True, help="Also those of engines without jobs and workers.")
@json_option
def queues(all_queues: bool, as_json: bool) -> None:
    """Show the queues, and the workers that take from them.

    `waiting` counts what no worker has taken yet. `by name` counts messages of Celery apps that become jobs in a
    moment. Messages that were set aside are told below. `jobs/min` is the rate at which jobs of the engine ended
    lately. `empty in` says when the queue should be empty at that rate. Workers take nothing from a lane that is
    `paused`, or whose engine is paused. The queues of `auto` are shown while they hold a message. The lines below show
    which tenants wait: first those that are next in turn, then those that are paused. The queues of engines that have
    no worker, and in which nothing waits, are left out. With --json, one array, of all queues.
    """
    with OcrQueue() as queue:
        known = queue.queues()
    in_use = {lane.engine for lane in known if _is_in_use(lane)}
    lanes = [lane for lane in known if lane.engine in in_use or all_queues or as_json]
    if as_json:
        print_json([lane.model_dump(mode="json") for lane in lanes])
        return
    print_table(
        ["queue", "waiting>", "paused", "by name>", "workers>", "jobs/min>", "empty in>", "oldest>", "oldest job"],
        (
            [
                lane.name,
                str(lane.waiting),
                "yes" if lane.paused else "-",
                str(lane.foreign),
                str(lane.workers),
                number(lane.jobs_per_minute, 1),
                duration(lane.empty_in_s) if lane.waiting else "-",
                duration(lane.oldest_wait_s),
                lane.oldest_job or "-",
            ]
            for lane in lanes
        ),
    )
    if told := [line for lane in lanes if (line := _tenants_of(lane)) is not None]:
        click.echo()
        print_fields(told)
    for lane in lanes:
        if lane.waiting and not lane.workers and not lane.paused:
            say(no_worker_for(lane))
    if any(lane.foreign for lane in lanes) and not any(lane.workers for lane in lanes):
        say("messages by name become jobs when a worker is up, or by: ocrqueue reconcile")
    for lane in lanes:
        if lane.set_aside:
            say(f"{set_aside_text(lane.set_aside)} from {lane.name}: ocrqueue check says why, and how to put them back")
    _say_full(lanes)
    if left_out := sorted({lane.engine for lane in known} - {lane.engine for lane in lanes}):
        say(f"without jobs and workers: {', '.join(left_out)}; --all shows their queues")


def _is_in_use(lane: QueueInfo) -> bool:
    return bool(lane.waiting or lane.foreign or lane.set_aside or lane.workers or lane.paused or lane.paused_tenants)


def _tenants_of(lane: QueueInfo) -> tuple[str, str] | None:
    """None where only jobs without a tenant wait."""
    if not any(lane.tenants) and not lane.paused_tenants:
        return None
    paused = dict.fromkeys(lane.paused_tenants, " (paused)")
    first = dict.fromkeys([*islice(lane.tenants, _TENANTS_SHOWN), *lane.paused_tenants])
    shown = [f"{tenant or NO_NAME} {lane.tenants[tenant]}{paused.get(tenant, '')}" for tenant in first]
    more = len(lane.tenants) - len(shown)
    return lane.name, ", ".join(shown) + (f" and {more} more" if more else "")


def _say_full(lanes: list[QueueInfo]) -> None:
    waiting = Counter[str]()
    for lane in lanes:
        waiting[lane.engine] += lane.waiting
    for engine, limit in {lane.engine: lane.limit for lane in lanes}.items():
        if limit is not None and waiting[engine] >= limit:
            say(f"{engine}'s queue is full: {waiting[engine]:,} of {limit:,} jobs (OCRQUEUE_MAX_QUEUE_LENGTH)")


@click.command()
@json_option
def engines(as_json: bool) -> None:
    """Show the engines: workers, queues, pace and cost.

    `high`, `normal` and `low` count what waits in these lanes. `pages/min` is the rate at which pages were read lately.
    `this month` is the cost of the pages of this calendar month (UTC), by OCRQUEUE_ENGINE_PAGE_COST. You can submit
    jobs for an engine without workers; they wait. With --json, one object: engine -> what is known of it, including its
    workers.
    """
    with OcrQueue() as queue:
        known = queue.engine_statuses()
    if as_json:
        print_json({status.name: status.model_dump(mode="json") for status in known})
        return
    print_table(
        ["engine", "workers>", "paused", "high>", "normal>", "low>", "pages/min>", "this month>"],
        (
            [
                status.name,
                str(len(status.workers)),
                "yes" if status.paused else "-",
                *(str(status.waiting[lane]) for lane in LANES),
                number(status.pages_per_minute, 1),
                number(status.cost, 2),
            ]
            for status in known
        ),
    )
    if told := [line for status in known for line in _offers(status)]:
        click.echo()
        print_fields(told)
    for worker in {worker.holder or worker.name: worker for status in known for worker in status.workers}.values():
        for trouble in worker.troubles:
            say(f"{one_line(worker.name)} {one_line(str(trouble))}")


def _offers(status: EngineStatus) -> list[tuple[str, str]]:
    """A line for each kind of worker that is alive."""
    kinds = Counter((offer.version, offer.model, offer.device, offer.languages) for offer in status.offers)
    lines = []
    for (version, model, device, languages), workers in kinds.items():
        which = f"at {workers} workers" if len(kinds) > 1 else ""
        parts = ", ".join(filter(None, [version, _cut(model), device, which]))
        lines.append((status.name, f"{parts}; reads {_languages(languages)}"))
    return lines


def _cut(model: str) -> str:
    return model if len(model) <= _MODEL_SHOWN else f"{model[: _MODEL_SHOWN - 3]}..."


def _languages(languages: tuple[str, ...]) -> str:
    more = len(languages) - _LANGUAGES_SHOWN
    return " ".join(languages[:_LANGUAGES_SHOWN]) + (f" and {more} more" if more > 0 else "") or "any"
