"""Very many jobs of ten tags and three tenants, and actions on half of them: killed midway, repeated, beside a load."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast
from uuid import uuid4

from ocrqueue import OcrQueue
from ocrqueue.core import JobStatus, Outcome, WorkerRegistry
from ocrqueue.core.job_filter import Wanted
from ocrqueue.errors import EngineFailed, LanguageMissing
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from tests.support.processes import as_environment, environment

TAGS: Final = tuple(f"tag{number}" for number in range(10))
HALF: Final = "tenant0"
"""The tenant of every other job."""
OTHERS: Final = ("tenant1", "tenant2")
CODES: Final = (LanguageMissing().info, EngineFailed().info)
_TAKES: Final = 20
_PAGE: Final = 1000


@dataclass
class ManyJobs:
    """Those of one installation, in the order of submission."""

    registry: WorkerRegistry
    half: list[Job] = field(default_factory=list)
    others: list[Job] = field(default_factory=list)
    beside: list[Job] = field(default_factory=list)
    """Of the others' tenants, in whatever state: no action means them."""

    def submit(self, count: int) -> None:
        made = [_job(number) for number in range(count)]
        for _ in self.registry.submit(made):
            pass
        self.half, self.others = made[::2], made[1::2]

    def fail_others(self) -> None:
        """All of them, half with each of CODES."""
        codes = itertools.cycle(CODES)
        for made, part in self._taken(self.others):
            self.registry.begin(part.hold, "w@h", "null")
            outcome = Outcome(job_id=made.id, state="failed", error=next(codes))
            self.registry.finish(part.hold, made, outcome)

    def submit_beside(self, count: int) -> None:
        """A third of them succeeds, a third runs, the rest waits."""
        made = [_job(2 * number + 1) for number in range(count)]
        for _ in self.registry.submit(made):
            pass
        self.beside = made
        for number, (job, part) in enumerate(self._taken(made[: 2 * count // 3])):
            self.registry.begin(part.hold, "w@h", "null")
            if number % 2:
                self.registry.finish(part.hold, job, Outcome(job_id=job.id, state="succeeded", result="file:///r.json"))

    def _taken(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
        """So many of what waits, which are to be of these; tenants have their turns."""
        left = len(jobs)
        known = {job.id: job for job in (*self.others, *self.beside)}
        while left:
            parts = self.registry.take(uuid4().hex, "holder", [("ocr.null", min(left, _TAKES))], 1).parts
            assert parts, "they wait"
            for part in parts:
                yield known[part.hold.job_id], part
            left -= len(parts)

    def statuses(self) -> list[JobStatus]:
        """A plain look at each."""
        ids = [job.id for job in (*self.half, *self.others, *self.beside)]
        return [status for status in self.registry.statuses(ids) if status is not None]

    def states(self, jobs: Sequence[Job]) -> Counter[str]:
        """ "none" for those without a record."""
        found = self.registry.statuses([job.id for job in jobs])
        return Counter("none" if status is None else status.state for status in found)


def _job(number: int) -> Job:
    tenant = OTHERS[number // 2 % 2] if number % 2 else HALF
    return Job(image="s3://bucket/scans/0001.png", engine="null", tag=TAGS[number // 2 % 10], tenant=tenant)


def is_meant(status: JobStatus, wanted: Wanted) -> bool:
    """The plain way."""
    since, code = wanted.get("since"), wanted.get("code")
    return (
        all(getattr(status, name) == wanted[name] for name in ("tag", "tenant", "state") if name in wanted)
        and (code is None or (status.state == "failed" and status.error is not None and status.error.code == code))
        and (since is None or (status.finished_at or status.queued_at) >= since)
    )


def filters(statuses: Sequence[JobStatus]) -> list[Wanted]:
    """Of every kind, and together; `since` is a time in the middle of these."""
    middle = sorted(status.finished_at or status.queued_at for status in statuses)[len(statuses) // 2]
    choices: list[list[Wanted]] = [
        [{}, {"tag": TAGS[3]}],
        [{}, {"tenant": HALF}, {"tenant": OTHERS[0]}],
        [
            {},
            {"state": "queued"},
            {"state": "running"},
            {"state": "succeeded"},
            {"state": "failed"},
            {"state": "cancelled"},
            {"code": CODES[0].code},
            {"code": "image.empty"},
        ],
        [{}, {"since": middle}],
    ]
    return [_together(parts) for parts in itertools.product(*choices)]


def _together(parts: Sequence[Wanted]) -> Wanted:
    wanted: Wanted = {}
    for part in parts:
        wanted.update(part)
    return wanted


def listed(queue: OcrQueue, wanted: Wanted) -> list[str]:
    """The ids on all pages."""
    page = queue.jobs(limit=_PAGE, **wanted)
    found = [status.id for status in page.jobs]
    while page.next:
        page = queue.jobs(limit=_PAGE, after=page.next, **wanted)
        found += [status.id for status in page.jobs]
    return found


def timed(look: Callable[[], object]) -> float:
    began = time.perf_counter()
    look()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Interrupted:
    """A command that was killed and repeated."""

    by_then: int
    """Jobs that were changed when it was killed, or had ended: who kills it may be held up."""
    jobs: int
    """By both, as the audit has it."""

    @property
    def is_midway(self) -> bool:
        return 0 < self.by_then < self.jobs


def killed_and_repeated(registry: WorkerRegistry, settings: WorkerSettings, after: int, *arguments: str) -> Interrupted:
    """`ocrqueue ARGUMENTS` is killed once it has changed so many jobs, and given again."""
    command = [sys.executable, "-m", "ocrqueue.cli", *arguments]
    environ, before = environment(as_environment(settings)), jobs_changed(registry)
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as killed:
        while jobs_changed(registry) - before < after and killed.poll() is None:
            time.sleep(0.001)
        killed.send_signal(signal.SIGKILL)
    by_then = jobs_changed(registry) - before
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
    return Interrupted(by_then, jobs_changed(registry) - before)


def jobs_changed(registry: WorkerRegistry) -> int:
    """As the audit counts, over all actions."""
    fields = cast("dict[bytes, bytes]", registry.client.hgetall(registry.keys.audit()))
    return sum(int(value) for name, value in fields.items() if name.endswith(b":jobs"))


@contextmanager
def load(settings: WorkerSettings) -> Iterator[list[float]]:
    """Jobs of a lane of their own are submitted and worked on; after the block the list has how long each TAKE took, in
    seconds, sorted."""
    spawned = multiprocessing.get_context("spawn")
    stop, told = spawned.Event(), spawned.Queue()
    process = spawned.Process(target=_load, args=(settings, stop, told))
    process.start()
    seconds: list[float] = []
    try:
        yield seconds
    finally:
        stop.set()
        seconds += sorted(told.get())
        process.join()


def _load(settings: WorkerSettings, stop: Any, told: Any) -> None:
    registry, seconds = WorkerRegistry(settings), []
    for number in itertools.count():
        given = Job(image="s3://bucket/load.png", engine="rapid", tag="load")
        list(registry.submit([given]))
        began = time.perf_counter()
        (part,) = registry.take(f"load{number}", "loader", [("ocr.rapid", 1)]).parts
        seconds.append(time.perf_counter() - began)
        registry.begin(part.hold, "w@h", "rapid")
        registry.finish(part.hold, given, Outcome(job_id=given.id, state="succeeded", result="file:///r.json"))
        time.sleep(0.002)
        if stop.is_set():
            break
    told.put(seconds)
