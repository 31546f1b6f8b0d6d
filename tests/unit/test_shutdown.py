"""How a worker ends: what its signals ask for, and what its exit status says."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
from celery.apps.worker import Worker

from ocrqueue_worker.lifecycle import shutdown_signals
from ocrqueue_worker.lifecycle.celery_worker import CeleryWorker
from ocrqueue_worker.lifecycle.shutdown_signals import ShutdownSignals

_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)


def ended_with(status: int | None, monkeypatch: pytest.MonkeyPatch) -> CeleryWorker:
    monkeypatch.setattr(Worker, "start", lambda _: None)
    worker: CeleryWorker = CeleryWorker.__new__(CeleryWorker)
    worker.exitcode = status
    return worker


def test_a_worker_that_ended_by_an_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        ended_with(1, monkeypatch).start()
    assert ended.value.code == 1


@pytest.mark.parametrize("status", [None, 0])
def test_a_worker_that_was_told_to_end_ends_in_order(status: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_with(status, monkeypatch).start()


class Asked:
    """What the signals asked for, in order: the seconds of a grace, or the end by force."""

    def __init__(self) -> None:
        self._told: list[float | str] = []
        self._changed = threading.Condition()

    def begin(self, grace_s: float) -> None:
        self.note(grace_s)

    def note(self, what: float | str) -> None:
        with self._changed:
            self._told.append(what)
            self._changed.notify_all()

    def are(self, *told: float | str) -> bool:
        """Within a minute."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._told) >= len(told), 60)
            return self._told == list(told)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    asked = Asked()
    monkeypatch.setattr(shutdown_signals, "SHUTDOWN", asked)
    monkeypatch.setattr(shutdown_signals, "end_by_force", lambda: asked.note("force"))
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    yield asked
    for number, handler in before.items():
        signal.signal(number, handler)


def test_each_signal_asks_for_a_quicker_end(asked: Asked) -> None:
    ShutdownSignals(iter([0.0, 1.5, 9.0]).__next__).listen()
    signal.raise_signal(signal.SIGINT)
    assert asked.are(10)
    signal.raise_signal(signal.SIGTERM)
    assert asked.are(10, 0)
    signal.raise_signal(signal.SIGQUIT)
    assert asked.are(10, 0, "force")


def test_who_is_started_by_nohup_outlives_its_terminal(asked: Asked) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = ShutdownSignals(iter([0.0, 1.5]).__next__)
    signal.signal(signal.SIGHUP, signal.default_int_handler)  # as Celery does
    signals.listen()
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGTERM)
    assert asked.are(10)


def test_a_terminal_that_is_closed_ends_it(asked: Asked) -> None:
    ShutdownSignals(iter([0.0]).__next__).listen()
    signal.raise_signal(signal.SIGHUP)
    assert asked.are(10)


def test_several_at_once_are_one(asked: Asked) -> None:
    ShutdownSignals(iter([0.0, 0.1, 0.9, 5.0]).__next__).listen()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGTERM):
        signal.raise_signal(number)
    assert asked.are(10, 0)
