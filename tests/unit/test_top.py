"""One frame of `ocrqueue top`, and what it says of the last minutes."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from rich.console import Console

from ocrqueue.cli.top_frame import frame
from ocrqueue.core import EngineOffer, QueueInfo, WorkerInfo
from ocrqueue.core.rates import KEPT_PERIODS, PERIOD_S
from ocrqueue.core.recent_counts import count_by_kind, wait_quantile
from ocrqueue.job.names import LANES
from ocrqueue.monitoring.snapshot import InstallationSnapshot, RecentCounts
from ocrqueue.routing import EngineStatus

NOTHING = RecentCounts(None, None, {})


def worker(name: str, engine: str, **given: object) -> WorkerInfo:
    offer = EngineOffer(name=engine, version="1", model="none", languages=(), device="gpu:0")
    fields = {"concurrency": 4, "running": 3, "memory_bytes": 700 << 20, **given}
    return WorkerInfo(name=name, queues=(), engines=(offer,), pid=1, started_at=datetime.now(UTC), **fields)


def lane(engine: str, name: str, waiting: int = 0, oldest_s: float | None = None) -> QueueInfo:
    queue = f"ocr.{engine}.{name}"
    return QueueInfo(
        name=queue, engine=engine, lane=name, waiting=waiting, limit=None, workers=1, oldest_wait_s=oldest_s
    )


def installation(engines: int, workers: int, errors: int = 0) -> InstallationSnapshot:
    names = [f"engine-{number}" for number in range(engines)]
    statuses = [
        EngineStatus(
            name=name,
            workers=tuple(
                worker(f"{name}-{number}@a-machine-with-a-long-name.example.org", name) for number in range(workers)
            ),
            waiting={"high": 1, "normal": 99_000, "low": 12_345},
            jobs_per_minute=118.25,
            pages_per_minute=2036.5,
        )
        for name in names
    ]
    lately = {name: RecentCounts(1.5, 200.0, {f"engine.error_{n}": n + 1 for n in range(errors)}) for name in names}
    lanes = [lane(name, each, 99_000, 95.3) for name in names for each in LANES]
    return InstallationSnapshot(statuses, lanes, lately, running=12, delayed=3, dead=2)


def lines(now: InstallationSnapshot, width: int = 80, height: int | None = 23) -> list[str]:
    console = Console(width=width, height=1000, file=None, record=True, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(frame(now, "127.0.0.1:6379", height))
    return captured.get().rstrip("\n").split("\n")


def test_a_frame_fits_80_by_24_however_much_there_is() -> None:
    for engines, workers, errors in ((1, 1, 0), (3, 2, 2), (6, 40, 9), (30, 1, 9), (30, 50, 0)):
        shown = lines(installation(engines, workers, errors))
        assert len(shown) <= 23, (engines, workers, errors)
        assert max(map(len, shown)) <= 80
        text = "\n".join(shown)
        assert "engine-0 " in text
        if engines * workers > 20:
            assert "more workers" in text


def test_all_is_shown_where_there_is_room() -> None:
    shown = lines(installation(6, 20, 2), width=200, height=None)
    assert sum("a-machine" in line or "700 MiB" in line for line in shown) == 120
    assert not any("more engines" in line or "more workers" in line for line in shown)


def test_what_a_frame_says() -> None:
    busy = EngineStatus(
        name="null",
        workers=(worker("null-1@a", "null"),),
        waiting={"high": 0, "normal": 412, "low": 3},
        jobs_per_minute=118.2,
    )
    forgotten = EngineStatus(name="vision", waiting={"high": 0, "normal": 2, "low": 0})
    idle = EngineStatus(name="keras", waiting={"high": 0, "normal": 0, "low": 0})
    now = InstallationSnapshot(
        [busy, forgotten, idle],
        [lane("null", "normal", 412, 95.3), lane("null", "low", 3, 300.0), lane("vision", "normal", 2, 7300.0)],
        {
            "null": RecentCounts(0.5, 12.0, {"engine.timeout": 3, "source.not_found": 1}),
            "vision": NOTHING,
            "keras": NOTHING,
        },
        running=4,
        delayed=1,
        dead=7,
    )
    shown = [line.split() for line in lines(now)]
    assert " ".join(shown[0]) == "1 worker 417 waiting 4 running 1 delayed 7 dead 127.0.0.1:6379"
    assert ["null", "1", "0/412/3", "5", "min", "118.2", "-", "0.5", "s", "12.0", "s"] in shown
    assert ["vision", "0", "0/2/0", "2.0", "h", "-", "-", "-", "-"] in shown
    assert ["no", "worker", "and", "no", "job:", "keras"] in shown
    assert ["null-1@a", "null", "3/4", "700", "MiB", "gpu:0"] in shown
    assert ["3", "engine.timeout", "null"] in shown


def test_messages_that_were_set_aside_are_counted() -> None:
    status = EngineStatus(name="null", workers=(worker("null-1@a", "null"),))

    def told(*set_aside: int) -> list[str]:
        lanes = [lane("null", "normal").model_copy(update={"set_aside": count}) for count in set_aside]
        now = InstallationSnapshot([status], lanes, {"null": NOTHING}, 0, 0, 0)
        return [line.rstrip() for line in lines(now) if "set aside" in line]

    assert told(0, 0) == []
    assert told(1) == ["1 message by name was set aside: see ocrqueue check"]
    assert told(1_200, 1) == ["1,201 messages by name were set aside: see ocrqueue check"]


def test_names_from_redis_move_no_cursor() -> None:
    name = "evil\x1b[2J\r\nworker"
    status = EngineStatus(name="null", workers=(worker(name, "null", running=None, memory_bytes=None),))
    text = "\n".join(lines(InstallationSnapshot([status], [], {"null": NOTHING}, 0, 0, 0)))
    assert "\x1b" not in text
    assert "\r" not in text
    assert "-/4" in text


def test_quantiles_are_within_a_fifth() -> None:
    def bucket(milliseconds: float) -> str:
        return str(math.floor(2 * math.log2(max(milliseconds, 1))))

    for true_s in (0.002, 0.05, 0.7, 3.0, 250.0, 86_400.0):
        counts = {bucket(true_s * 1000): 90, bucket(true_s * 100_000): 10}
        assert abs((wait_quantile(counts, 0.5) or 0) / true_s - 1) <= 0.2, true_s
        assert (wait_quantile(counts, 0.95) or 0) > 50 * true_s
    assert wait_quantile({bucket(0): 3}, 0.5) == 0.0
    assert wait_quantile({}, 0.5) is None


def test_only_the_last_minutes_count() -> None:
    now_s = 1_800_000_000.0
    period = int(now_s // PERIOD_S)
    stored = {
        f"{period}:engine.failed".encode(): b"2",
        f"{period - KEPT_PERIODS + 1}:engine.failed".encode(): b"3",
        f"{period - KEPT_PERIODS}:engine.failed".encode(): b"100",
        b"nonsense": b"7",
    }
    assert count_by_kind(stored, now_s) == {"engine.failed": 5}
