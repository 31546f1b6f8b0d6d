"""`python -m tests.faults`, or `./run faults`: nothing is lost, whatever fails.

Prints the seed, what was injected and how long recovery took, what became of the jobs, and every broken promise.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults.checks import Broken, broken_promises, end_of, worker_deaths
from tests.faults.evidence import keep_histories, keep_logs
from tests.faults.failing_over import FailingOver
from tests.faults.forgetting import Forgetting
from tests.faults.fuzzing import run_fuzzing
from tests.faults.installation import installation
from tests.faults.recovery import recovery_rows, table
from tests.faults.rehearsal import Rehearsal
from tests.faults.schedule import ALL_FAULTS, make_schedule

_STALLED_AFTER_S: Final = 120.0
_FORGETTING_JOBS: Final = 60
_FUZZED: Final = 2000
_WORKERS: Final = ("w1", "w2", "w3")
_SHOWN: Final = 50
_TELL_EVERY_S: Final = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every promise was kept, else 1."""
    given = _parse(arguments)
    print(f"seed {given.seed}: `./run faults --seed {given.seed}` gives the same schedule", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="ocrqueue-faults-"))
    began = time.monotonic()
    parts: list[Callable[[argparse.Namespace, Path], list[str]]] = [_rehearse]
    if not given.only:
        parts += [_fail_over, _forget, _fuzz]
    broken = [each for part in parts for each in part(given, folder)]
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if not broken:
        shutil.rmtree(folder)
        print("every promise was kept")
        return 0
    print("\n".join(broken[:_SHOWN]))
    print(f"{len(broken)} promises were broken; histories and logs: {folder}")
    return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [kind.__name__ for kind in ALL_FAULTS]
    parser = argparse.ArgumentParser(
        prog="./run faults",
        description="Kills, outages, poison and malformed input by a random schedule: nothing may be lost.",
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="the same seed, the same schedule")
    parser.add_argument("--jobs", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=6.0, help="for submitting the jobs; default: %(default)s")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="FAULT", help=f"one fault, repeatable: {', '.join(names)}"
    )
    return parser.parse_args(arguments)


def _rehearse(given: argparse.Namespace, folder: Path) -> list[str]:
    """Jobs and faults by a random schedule, with a Redis that keeps its data."""
    kinds = [kind for kind in ALL_FAULTS if not given.only or kind.__name__ in given.only]
    jobs, seconds = given.jobs - (0 if given.only else _FORGETTING_JOBS), given.minutes * 60
    schedule = make_schedule(given.seed, jobs, seconds, _WORKERS, kinds, long_stop=not given.only and seconds >= 200)
    print(f"{jobs} jobs within {seconds:.0f} s, {len(schedule.faults)} faults, {len(_WORKERS)} workers", flush=True)
    with installation(folder / "rehearsal", workers=len(_WORKERS)) as into:
        rehearsal = Rehearsal(into, schedule)
        with _progress(rehearsal):
            rehearsal.run(_STALLED_AFTER_S)
        broken = broken_promises(rehearsal)
        broken += worker_deaths(rehearsal)
        if broken:
            keep_logs(into, folder / "rehearsal-logs")
            keep_histories(rehearsal, broken, folder / "histories.txt")
    print(f"\n{table(recovery_rows(rehearsal))}\n\n{_summary(rehearsal, broken)}", flush=True)
    return list(map(str, broken))


@contextmanager
def _progress(rehearsal: Rehearsal) -> Iterator[None]:
    """Say now and then how far it is."""
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(_TELL_EVERY_S):
            injected = sum(injection.done for injection in rehearsal.injector.injections)
            ended = len(rehearsal.by_id) - len(rehearsal.unfinished())
            seconds = time.monotonic() - began
            print(f"{seconds:4.0f} s: {injected} faults, {ended} of {len(rehearsal.by_id)} jobs have ended", flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _summary(rehearsal: Rehearsal, broken: Sequence[Broken]) -> str:
    last = [rehearsal.watcher.last(job_id) for job_id in rehearsal.by_id]
    ends = Counter(str(end_of(sight)) for sight in last if sight is not None and sight.final)
    more_than_once = sum(sight is not None and sight.attempts > 1 for sight in last)
    forgotten = sum(map(rehearsal.forgotten, rehearsal.by_id))
    count = Counter(each.promise for each in broken)
    return "\n".join(
        [
            f"all had ended after {rehearsal.took_s:.0f} s: "
            + ", ".join(f"{number} {end}" for end, number in ends.most_common()),
            f"started more than once: {more_than_once}, as at-least-once allows; "
            f"gone with the last second before Redis was killed: {forgotten}, as `appendfsync everysec` allows",
            f"lost {count['lost']}, in a state that is not true {count['untrue']}, "
            f"with a result that is not all there {count['incomplete']}, "
            f"ended and then changed {count['overwritten']}, left behind {count['left behind']}, "
            f"keys that disagree {count['disagreeing']}, "
            f"wrongly refused {count['refused']}, workers that ended by themselves {count['worker died']}",
        ]
    )


def _fail_over(given: argparse.Namespace, folder: Path) -> list[str]:
    """A phase of its own with a Redis that has a replica, and Sentinels."""
    failing_over = FailingOver(folder / "failing-over", given.seed)
    broken = failing_over.run()
    counted = ", ".join(f"{number} {what}" for what, number in failing_over.counted().most_common())
    print(
        f"\nRedis failed over {failing_over.failovers} times: {counted}; "
        f"{len(failing_over.careful.accepted)} jobs were accepted with replicas asked for, "
        f"{len(failing_over.careless.accepted)} without",
        flush=True,
    )
    return list(map(str, broken))


def _forget(given: argparse.Namespace, folder: Path) -> list[str]:
    """A phase of its own with a Redis that keeps nothing."""
    with installation(folder / "forgetting", workers=2, append_only=False) as into:
        forgetting = Forgetting(into, given.seed, _FORGETTING_JOBS)
        broken = forgetting.run()
        if broken:
            keep_logs(into, folder / "forgetting-logs")
    counted = ", ".join(f"{number} {what}" for what, number in forgetting.counted().most_common())
    print(
        f"\nRedis killed and restarted without persistence, {_FORGETTING_JOBS} jobs: {counted}; "
        f"the last producer knew {forgetting.last_told_s():.1f} s after its return",
        flush=True,
    )
    return list(map(str, broken))


def _fuzz(given: argparse.Namespace, folder: Path) -> list[str]:
    """Malformed images and messages."""
    (folder / "fuzzing").mkdir()
    report = run_fuzzing(given.seed, _FUZZED, folder / "fuzzing")
    print(f"\n{report.text()}", flush=True)
    return list(report.problems)


if __name__ == "__main__":
    sys.exit(main())
