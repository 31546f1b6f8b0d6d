"""A child is not forked in the middle of what a thread does, unless that takes long."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest

from ocrqueue_worker.fork_gate import FORK_GATE

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")


def in_child(look: Callable[[], bool]) -> bool:
    child = os.fork()
    if not child:
        os._exit(0 if look() else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_child_gets_no_lock_that_a_thread_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that takes a lock again and again, as one does that settles jobs while children are replaced."""
    # a busy machine may let the thread wait for longer than a worker would
    monkeypatch.setattr("ocrqueue_worker.fork_gate._PATIENCE_S", 60)
    lock, done = threading.Lock(), threading.Event()

    def work() -> None:
        while not done.is_set():
            with FORK_GATE.closed(), lock:
                time.sleep(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert all(in_child(lambda: lock.acquire(blocking=False)) for _ in range(20))
    finally:
        done.set()
        thread.join()


def test_the_gate_of_a_child_is_open() -> None:
    def comes_in() -> bool:
        with FORK_GATE.closed():
            return in_child(lambda: True)

    assert in_child(comes_in)


def test_a_thread_that_stays_inside_holds_up_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with FORK_GATE.closed():
            inside.set()
            done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert inside.wait(60)
        assert in_child(lambda: True)
        # nor are all of many held up
        monkeypatch.setattr("ocrqueue_worker.fork_gate._PATIENCE_S", 600)
        assert all(in_child(lambda: True) for _ in range(3))
    finally:
        done.set()
        thread.join()
    assert in_child(lambda: True)
