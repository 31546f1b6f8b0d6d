"""The pool looks again for a child that has ended: it may not be there to be waited for yet."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery.concurrency import asynpool, prefork

from ocrqueue_worker.lifecycle import child_exits
from ocrqueue_worker.lifecycle.child_exits import PromptPool


class Loop:
    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.later.append((seconds, call))


def test_the_end_of_a_child_is_looked_for_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(asynpool.AsynPool, "_event_process_exit", lambda *_: looks.append("by the pool"))
    monkeypatch.setattr(asynpool.AsynPool, "maintain_pool", lambda _: looks.append("again"))
    pool, loop = PromptPool.__new__(PromptPool), Loop()
    pool._event_process_exit(loop, object())
    assert looks == ["by the pool"]
    assert [seconds for seconds, _ in loop.later] == sorted(child_exits._LOOK_AFTER_S)
    for _, look in loop.later:
        look()
    assert looks == ["by the pool"] + ["again"] * len(loop.later)


def test_workers_have_that_pool() -> None:
    import ocrqueue_worker.app  # noqa: F401  # it is what a worker imports

    assert prefork.TaskPool.Pool is PromptPool
