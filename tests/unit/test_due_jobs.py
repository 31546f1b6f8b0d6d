"""How often a worker looks for retries that are due."""

from __future__ import annotations

from ocrqueue_worker.due_jobs import pause_s


def test_all_workers_together_ask_as_often_as_one() -> None:
    for workers in (0, 1, 4, 10):
        pauses = [pause_s(workers) for _ in range(500)]
        assert 0.45 < sum(pauses) / len(pauses) / max(1, workers) < 0.55


def test_a_worker_asks_within_seconds_however_many_there_are() -> None:
    assert max(pause_s(10_000) for _ in range(500)) <= 7.5
