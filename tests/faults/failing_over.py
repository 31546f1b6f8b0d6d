"""Redis behind Sentinels that fails over again and again: who asked for replicas loses nothing, the others no more than
replication had not carried, and every loss is an unknown id."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.core.keys import Keys
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.faults.checks import Broken
from tests.faults.installation import QUICK
from tests.support.load import UNKNOWN, Load
from tests.support.pictures import png, text_picture
from tests.support.processes import Worker, as_environment, worker
from tests.support.sentinels import DATABASE, Node, Replicated, replicated_redis

_PATIENT_S: Final = 180.0
_WORKERS: Final = 2
_LOSSES: Final[tuple[Callable[[Replicated], Node], ...]] = (
    Replicated.kill_primary,
    Replicated.ask_for_failover,
    Replicated.freeze_primary,
)


@dataclass(eq=False)
class FailingOver:
    """Each kind of failover once at least, in an order that the seed makes."""

    folder: Path
    seed: int
    failovers: int = 5
    careful: Load = field(init=False)
    """That of an app that asks for replicas."""
    careless: Load = field(init=False)
    carried: dict[str, float] = field(default_factory=dict)
    """Ids of jobs that a replica had when its primary was lost -> time.monotonic() of the first time.

    What is lost can come later: a worker that has it in hand tells how it ended.
    """

    def run(self) -> list[Broken]:
        random = Random(self.seed)
        losses = [*_LOSSES, *random.choices(_LOSSES, k=self.failovers - len(_LOSSES))]
        random.shuffle(losses)
        (self.folder / "storage").mkdir(parents=True)
        (self.folder / "hello.png").write_bytes(png(text_picture("Hello 42")))
        with replicated_redis(self.folder) as servers, ExitStack() as stack:
            settings = self._settings(servers)
            self.careless = self._load(settings)
            self.careful = self._load(settings.model_copy(update={"submit_replicas": 1}))
            environment = as_environment(settings)
            workers = [
                stack.enter_context(worker(environment, self.folder, "-e", "null", "-c", "1")) for _ in range(_WORKERS)
            ]
            with self.careful.running(), self.careless.running():
                for lose in losses:
                    time.sleep(random.uniform(1.0, 4.0))
                    # a failover on purpose takes a replica that is in step
                    cut_s = 0.0 if lose is Replicated.ask_for_failover else random.choice((0.0, 1.0))
                    self._fail_over(servers, lose, cut_s)
            with OcrQueue(settings) as queue:
                return [*self._untold(), *self._lost(), *self._disagreeing(queue), *_dead(workers)]

    def counted(self) -> Counter[str]:
        return Counter([*self.careful.told.values(), *self.careless.told.values()])

    def _settings(self, servers: Replicated) -> WorkerSettings:
        places = {"redis_url": servers.url, "storage": f"file://{self.folder}/storage"}
        # an answer has longer than in the rehearsal: there is no promise of how soon an app is told in here
        return load_worker_settings(**QUICK | {"source_file_roots": str(self.folder), "redis_timeout_s": 5} | places)

    def _load(self, settings: WorkerSettings) -> Load:
        return Load(settings, (self.folder / "hello.png").as_uri(), _PATIENT_S)

    def _fail_over(self, servers: Replicated, lose: Callable[[Replicated], Node], cut_s: float) -> None:
        """`cut_s`: for so long before it, what is submitted is not replicated; 0: it is."""
        if cut_s:
            servers.cut_replication()
            time.sleep(cut_s)
        with servers.replica().client() as replica:
            replica.select(DATABASE)
            record = Keys().record("")
            for key in replica.scan_iter(match=f"{record}*", count=1000):
                self.carried.setdefault(key.removeprefix(record), time.monotonic())
        before = lose(servers)
        servers.wait_for_failover(before)
        if before.process is None:
            before.start()
        servers.mend_replication()
        servers.wait_for_replicas()

    def _untold(self) -> Iterator[Broken]:
        for load in (self.careful, self.careless):
            for job_id in load.accepted:
                told = load.told.get(job_id, "nothing")
                if told not in ("succeeded", UNKNOWN):
                    yield Broken("untrue", f"a healthy job: {told}", job_id)

    def _lost(self) -> Iterator[Broken]:
        for job_id, told in self.careful.told.items():
            if told == UNKNOWN:
                yield Broken("lost", "unknown, and a replica was to have it", job_id)
        for job_id, told in self.careless.told.items():
            if told == UNKNOWN and self.carried.get(job_id, math.inf) < self.careless.told_at[job_id]:
                yield Broken("lost", "unknown, and a replica had it", job_id)

    def _disagreeing(self, queue: OcrQueue) -> Iterator[Broken]:
        yield from (Broken("disagreeing", sentence) for sentence in check(registry_of(queue)))


def _dead(workers: list[Worker]) -> Iterator[Broken]:
    for each in workers:
        if not each.alive():
            yield Broken("worker died", each.log_text()[-2000:])
