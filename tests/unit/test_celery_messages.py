"""Headers of Celery's messages, which are made once for each task."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ocrqueue.core import celery_messages


def test_a_handler_that_interrupts_its_own_thread_makes_messages_too(monkeypatch: pytest.MonkeyPatch) -> None:
    make = celery_messages._make_headers
    within: list[dict[str, Any]] = []

    def interrupted(task: str, ignore_result: bool) -> dict[str, Any]:
        if task == "interrupted.task":
            within.append(celery_messages.call_message("handlers.task", "2", "q"))
        return make(task, ignore_result)

    monkeypatch.setattr(celery_messages, "_make_headers", interrupted)
    made: list[dict[str, Any]] = []
    # a thread of its own, since one that waits for itself would never end
    thread = threading.Thread(
        target=lambda: made.append(celery_messages.call_message("interrupted.task", "1", "q")), daemon=True
    )
    thread.start()
    thread.join(60)
    assert [message["headers"]["task"] for message in (*within, *made)] == ["handlers.task", "interrupted.task"]
