"""Whether a replica of the gateway is ready: by what Redis and storage have answered lately."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ocrqueue.errors import StorageUnavailable
from ocrqueue_gateway.operating import readiness
from ocrqueue_gateway.operating.readiness import Readiness


class Dependencies:
    """Redis and storage, as they are told to be."""

    def __init__(self) -> None:
        self.pings = self.checks = 0
        self.now = 1000.0
        self.hangs = self.fails = False

    @property
    def queue(self) -> Any:
        registry = SimpleNamespace(client=SimpleNamespace(ping=self._ping))
        return SimpleNamespace(_registry=registry, storage=SimpleNamespace(check=self._check))

    async def _ping(self) -> None:
        self.pings += 1
        if self.hangs:
            await asyncio.Event().wait()

    def _check(self) -> None:
        self.checks += 1
        if self.fails:
            raise StorageUnavailable("s3.internal does not answer")


WELL = {"redis": True, "storage": True}


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Dependencies:
    monkeypatch.setattr(readiness, "_PATIENCE_S", 0.05)
    return Dependencies()


async def test_what_was_asked_is_not_asked_again_at_once(around: Dependencies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE_S", 60.0)
    made = Readiness(around.queue, lambda: around.now)
    assert await asyncio.gather(made.check(), made.check(), made.check()) == [WELL] * 3
    assert (around.pings, around.checks) == (1, 1)
    around.now += 3
    assert await made.check() == WELL
    assert (around.pings, around.checks) == (2, 2)
    await made.close()


async def test_what_fails_is_not_ready_at_once(around: Dependencies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE_S", 60.0)
    made = Readiness(around.queue, lambda: around.now)
    around.fails = True
    assert await made.check() == {"redis": True, "storage": False}
    around.fails, around.now = False, around.now + 3
    assert await made.check() == WELL
    around.fails, around.now = True, around.now + 3
    assert await made.check() == {"redis": True, "storage": False}
    await made.close()


async def test_who_does_not_answer_is_asked_once_and_is_not_ready_after_a_while(around: Dependencies) -> None:
    made = Readiness(around.queue, lambda: around.now)
    async with asyncio.timeout(60):
        while await made.check() != WELL:  # the thread of storage may take a moment
            pass
    around.hangs = True
    for seconds in (3, 6, 9):
        around.now += 3
        assert (await made.check())["redis"], f"it has answered {seconds} s ago"
    around.now += 9
    assert not (await made.check())["redis"]
    assert around.pings == 2
    await made.close()
