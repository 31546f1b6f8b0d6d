"""How often a worker looks for retries that are due."""

from __future__ import annotations

import pytest

from ocrqueue.core import Published, Registry
from ocrqueue.settings import load_settings
from ocrqueue_worker.lifecycle import due_retries
from ocrqueue_worker.lifecycle.due_retries import pause_s


def test_all_workers_together_ask_as_often_as_one() -> None:
    for workers in (0, 1, 4, 10):
        pauses = [pause_s(workers) for _ in range(500)]
        assert 0.45 < sum(pauses) / len(pauses) / max(1, workers) < 0.55


def test_a_worker_asks_within_seconds_however_many_there_are() -> None:
    assert max(pause_s(10_000) for _ in range(500)) <= 7.5


def test_an_unexpected_error_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(load_settings())
    answers = iter([ValueError("a bug"), Published(0, 1)])

    def publish_due() -> Published:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(registry, "publish_due", publish_due)
    assert due_retries._publish(registry) > 1
    assert due_retries._publish(registry) < 1
