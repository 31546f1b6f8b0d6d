"""What takes long is done beside the event loop: messages, imports, storage, Documents."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import celery.app.base
import pytest

import ocrqueue.aio
from ocrqueue import AsyncOcrQueue, JobStatus, OcrQueue
from ocrqueue.core import QueueInfo, celery_messages
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.errors import JobNotFailed, JobUnknown
from ocrqueue.routing import EngineStatus
from ocrqueue.settings import WorkerSettings
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

    celery_messages._made.clear()
    celery_messages._protocol.cache_clear()
    watch(celery.app.base, "Celery")
    watch(ScriptArguments, "submit")
    watch(ocrqueue.aio, "open_storage")
    watch(ocrqueue.aio, "document_from_json")
    return found


async def test_messages_and_uploads(threads: Threads, settings: WorkerSettings) -> None:
    async with AsyncOcrQueue(settings) as queue:
        await queue.submit_many([b"GIF8 no picture"])
    assert {"submit", "open_storage"} <= set(threads)
    assert not [name for name, where in threads.items() if threading.get_ident() in where]


async def test_a_loop_that_stood_still_says_nothing_of_redis(settings: WorkerSettings) -> None:
    """Whatever it was busy with: the answer has come meanwhile, and asyncio looks at the clock first."""
    within_s = 0.6
    async with AsyncOcrQueue(settings.model_copy(update={"redis_timeout_s": within_s})) as queue:
        asking = asyncio.create_task(queue.statuses(["none"]))
        for _ in range(3):
            # it waits for a connection, then for answers
            await asyncio.sleep(0)
            if not asking.done():
                time.sleep(2 * within_s)
        assert await asking == [None]


@pytest.mark.parametrize("action", ["cancel", "cancel_many", "delete", "close"])
async def test_the_import_of_celery(threads: Threads, settings: WorkerSettings, action: str) -> None:
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


async def test_documents(threads: Threads, settings: WorkerSettings) -> None:
    stored = document([word(1, "a", 0.5)])
    uri = open_storage(settings).put("results/j/result.json", stored.model_dump_json().encode(), "application/json")
    now = datetime.now(UTC)
    status = JobStatus(id="j", state="succeeded", engine="e", image="i", queue="ocr.e", queued_at=now, result=uri)
    async with AsyncOcrQueue(settings) as queue:
        assert await queue.document(status) == stored
    assert {"open_storage", "document_from_json"} <= set(threads)
    assert not [name for name, where in threads.items() if threading.get_ident() in where]


async def test_both_clients_tell_the_same(settings: WorkerSettings) -> None:
    async with AsyncOcrQueue(settings) as queue:
        job = await queue.submit("s3://b/a.png")

        def blocking() -> list[Any]:
            with OcrQueue(settings) as other:
                dead = other.dead_letters.ids()
                known = other.statuses([job.id, "never"])
                return [other.engines(), names(other.engine_statuses()), lanes(other.queues()), dead, known]

        awaited = [
            await queue.engines(),
            names(await queue.engine_statuses()),
            lanes(await queue.queues()),
            await queue.dead_letters.ids(),
            await queue.statuses([job.id, "never"]),
        ]
        assert awaited == await asyncio.to_thread(blocking)
        with OcrQueue(settings) as other:
            assert other.status(job.id).state == "queued"
            assert other.cancel(job.id) == "cancelled"
            with pytest.raises(JobNotFailed):
                other.replay(job.id)
        with pytest.raises(JobUnknown):
            await queue.dead_letters.get("never")


def names(found: Sequence[EngineStatus]) -> list[str]:
    return [status.name for status in found]


def lanes(found: Sequence[QueueInfo]) -> list[tuple[str, int]]:
    return [(lane.name, lane.waiting) for lane in found]
