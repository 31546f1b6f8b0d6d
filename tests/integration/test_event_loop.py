"""What takes long is done beside the event loop: messages, imports, storage, Documents."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import celery
import pytest

import ocrqueue.aio
from ocrqueue import AsyncOcrQueue, JobStatus
from ocrqueue.core import celery_messages
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.settings import Settings
from ocrqueue.storage import open_storage
from tests.unit.test_document import document, word

Threads = dict[str, set[int]]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    """By function: the threads that have called it."""
    found: Threads = {}

    def watch(owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def noted(*arguments: Any, **named: Any) -> Any:
            found.setdefault(name, set()).add(threading.get_ident())
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, noted)

    celery_messages._headers.cache_clear()
    celery_messages._protocol.cache_clear()
    watch(celery, "Celery")
    watch(ScriptArguments, "submit")
    watch(ocrqueue.aio, "open_storage")
    watch(ocrqueue.aio, "document_for_app")
    return found


async def test_messages_and_uploads(threads: Threads, settings: Settings) -> None:
    async with AsyncOcrQueue(settings) as queue:
        await queue.submit_many([b"GIF8 no picture"])
    assert {"submit", "open_storage"} <= set(threads)
    assert not [name for name, where in threads.items() if threading.get_ident() in where]


@pytest.mark.parametrize("action", ["cancel", "cancel_many", "delete", "close"])
async def test_the_import_of_celery(threads: Threads, settings: Settings, action: str) -> None:
    async with AsyncOcrQueue(settings) as queue:
        job = await queue.submit("s3://b/a.png", batch="b")
        match action:
            case "cancel":
                assert await job.cancel() == "cancelled"
            case "cancel_many":
                assert (await queue.cancel_many(batch="b")).jobs == 1
            case "delete":
                assert await job.delete()
            case "close":
                await queue.batch("b").close(reply_to="mine")
    assert threads["Celery"]
    assert threading.get_ident() not in threads["Celery"]


async def test_documents(threads: Threads, settings: Settings) -> None:
    stored = document([word(1, "a", 0.5)])
    uri = open_storage(settings).put("results/j/result.json", stored.model_dump_json().encode(), "application/json")
    now = datetime.now(UTC)
    status = JobStatus(id="j", state="succeeded", engine="e", image="i", queue="ocr.e", queued_at=now, result=uri)
    async with AsyncOcrQueue(settings) as queue:
        assert await queue.document(status) == stored
    assert {"open_storage", "document_for_app"} <= set(threads)
    assert not [name for name, where in threads.items() if threading.get_ident() in where]
