"""How a worker ends: what its exit status says."""

from __future__ import annotations

import pytest
from celery.apps.worker import Worker

from ocrqueue_worker.lifecycle.shutdown import DrainingWorker


def ended_with(status: int | None, monkeypatch: pytest.MonkeyPatch) -> DrainingWorker:
    monkeypatch.setattr(Worker, "start", lambda _: None)
    worker: DrainingWorker = DrainingWorker.__new__(DrainingWorker)
    worker.exitcode = status
    return worker


def test_a_worker_that_ended_by_an_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        ended_with(1, monkeypatch).start()
    assert ended.value.code == 1


@pytest.mark.parametrize("status", [None, 0])
def test_a_worker_that_was_told_to_end_ends_in_order(status: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_with(status, monkeypatch).start()
