"""When the end of a job's time interrupts a child, and when it waits. The signal is a real one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from billiard.pool import soft_timeout_sighandler
from celery.exceptions import SoftTimeLimitExceeded

from ocrqueue_worker.limits.soft_time_limit import SoftTimeLimit


@pytest.fixture
def limit() -> Iterator[SoftTimeLimit]:
    """As in a child of Celery's pool, of which a message begins."""
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    made = SoftTimeLimit()
    made.begin()
    yield made
    signal.signal(signal.SIGUSR1, before)


def strike() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_work_is_interrupted(limit: SoftTimeLimit) -> None:
    with pytest.raises(SoftTimeLimitExceeded), limit.interrupts():
        strike()


def test_what_is_no_work_is_not(limit: SoftTimeLimit) -> None:
    with limit.interrupts(), limit.waits():
        strike()
        limit.check()
    limit.check()


def test_work_does_not_begin_when_time_is_up(limit: SoftTimeLimit) -> None:
    strike()
    with limit.interrupts(), pytest.raises(SoftTimeLimitExceeded):
        limit.check()
    strike()
    limit.forget()
    with limit.interrupts():
        limit.check()


def test_it_is_told_once(limit: SoftTimeLimit) -> None:
    with limit.interrupts():
        with limit.waits():
            strike()
        with pytest.raises(SoftTimeLimitExceeded):
            limit.check()
    with limit.interrupts():
        limit.check()


def test_after_work_that_was_interrupted_nothing_is(limit: SoftTimeLimit) -> None:
    with pytest.raises(SoftTimeLimitExceeded), limit.interrupts():
        strike()
    strike()
    limit.check()


def test_the_next_message_has_time_of_its_own(limit: SoftTimeLimit) -> None:
    strike()
    limit.begin()
    with limit.interrupts():
        limit.check()
    with pytest.raises(SoftTimeLimitExceeded), limit.interrupts():
        strike()


def test_a_thread_beside_the_work_changes_nothing(limit: SoftTimeLimit) -> None:
    def beside() -> None:
        assert threading.current_thread() is not threading.main_thread()
        with limit.waits():
            limit.check()

    with limit.interrupts(), ThreadPoolExecutor(1) as threads:
        threads.submit(beside).result(60)
        with pytest.raises(SoftTimeLimitExceeded):
            strike()


def test_where_the_pool_sends_no_signal_its_handler_stays() -> None:
    """SIGUSR1 has another meaning in Celery's main process, which is the child too in the pool `solo`."""
    before = signal.getsignal(signal.SIGUSR1)
    limit = SoftTimeLimit()
    limit.begin()
    assert signal.getsignal(signal.SIGUSR1) is before
    with limit.interrupts():
        limit.check()
