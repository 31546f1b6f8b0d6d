"""Redis that keeps nothing over a restart: what it forgot says so at the next poll, and nobody waits for ever."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ocrqueue.errors import BrokerUnavailable, JobUnknown, JobWaitTimeout
from tests.faults.broker_faults import RedisKilled
from tests.faults.checks import Broken
from tests.faults.faults import injected
from tests.faults.installation import Installation
from tests.faults.jobs import KINDS, Plan, upload_pictures
from tests.faults.results import result_faults

_DOWN_S: Final = 1.0
_TOLD_WITHIN_S: Final = 15.0
"""Of Redis's return, how it ended or that it is unknown: a worker may have a job in hand."""
_WAIT_S: Final = 60.0
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Told:
    """What the producer of a job was told: the state in which it ended, "unknown", or "nothing"."""

    what: str
    at: float
    """time.monotonic()"""


@dataclass(eq=False)
class Forgetting:
    """Half of the jobs are submitted before Redis is killed, half after its return."""

    into: Installation
    seed: int
    jobs: int
    told: dict[str, Told] = field(default_factory=dict)
    """By job id."""
    back_at: float = 0.0
    """time.monotonic() at Redis's return."""

    def run(self) -> list[Broken]:
        random = Random(self.seed)
        self._references = upload_pictures(self.into.observer.storage)
        plans = [
            Plan(f"forget-{number:04d}", 0.0, KINDS["read"], "one page", 3, delay_s=random.choice((0.1, 0.5, 1.0)))
            for number in range(1, self.jobs + 1)
        ]
        before, after = plans[: self.jobs // 2], plans[self.jobs // 2 :]
        with ThreadPoolExecutor(len(plans), "waiting") as waiting:
            self._submit(before)
            waits = [waiting.submit(self._wait, plan) for plan in before]
            time.sleep(random.uniform(2.0, 4.0))
            with injected(RedisKilled(seconds=_DOWN_S), self.into):
                time.sleep(_DOWN_S)
            self.back_at = time.monotonic()
            self._submit(after)
            waits += [waiting.submit(self._wait, plan) for plan in after]
        for wait in waits:
            wait.result()
        return [*self._hanging(before), *self._forgotten(after), *self._untrue(plans)]

    def counted(self) -> Counter[str]:
        return Counter(told.what for told in self.told.values())

    def last_told_s(self) -> float:
        """How long after Redis's return the last producer of a forgotten job knew, in seconds."""
        return max((told.at - self.back_at for told in self.told.values() if told.what == _UNKNOWN), default=0.0)

    def _submit(self, plans: Sequence[Plan]) -> None:
        while True:
            try:
                self.into.producer.submit_many([plan.job(self._references) for plan in plans])
            except BrokerUnavailable:
                time.sleep(0.1)
            else:
                return

    def _wait(self, plan: Plan) -> None:
        """As an app does: through the outage."""
        what, deadline = "nothing", time.monotonic() + _WAIT_S
        while what == "nothing" and (left := deadline - time.monotonic()) > 0:
            try:
                what = self.into.producer.job(plan.id).wait(left).state
            except BrokerUnavailable:
                time.sleep(0.1)
            except JobUnknown:
                what = _UNKNOWN
            except JobWaitTimeout:
                break
        self.told[plan.id] = Told(what, time.monotonic())

    def _hanging(self, before: Sequence[Plan]) -> Iterator[Broken]:
        for plan in before:
            late_s = self.told[plan.id].at - self.back_at
            if late_s > _TOLD_WITHIN_S:
                yield Broken(
                    "lost", f"its producer was told {self.told[plan.id].what} only after {late_s:.1f} s", plan.id
                )

    def _forgotten(self, after: Sequence[Plan]) -> Iterator[Broken]:
        for plan in after:
            if self.told[plan.id].what != "succeeded":
                yield Broken("lost", f"submitted after Redis's return, and {self.told[plan.id].what}", plan.id)

    def _untrue(self, plans: Sequence[Plan]) -> Iterator[Broken]:
        storage = self.into.observer.storage
        for plan in plans:
            match self.told[plan.id].what:
                case "succeeded":
                    for problem in result_faults(plan, plan.id, "succeeded", storage):
                        yield Broken("incomplete", problem, plan.id)
                case "unknown":
                    pass
                case other:
                    yield Broken("untrue", f"a healthy job: {other}", plan.id)
