"""Parts that a child has at once: each is dealt with as if it had come alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import structlog
from billiard.pool import soft_timeout_sighandler
from celery.exceptions import Ignore
from PIL import Image
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from ocrqueue.core import PartEnd, TakenPart, WorkerRegistry
from ocrqueue.core.script_arguments import Arguments
from ocrqueue.document import Page
from ocrqueue.errors import OcrQueueError
from ocrqueue.job import Job
from ocrqueue.storage import open_storage
from ocrqueue_worker.broker.messages import PartMessage
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.engines.null import NullEngine, NullOptions
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.limits.soft_time_limit import SOFT_TIME_LIMIT
from ocrqueue_worker.pipeline.attempt import Workplace
from ocrqueue_worker.task import batch
from ocrqueue_worker.task.batch import BatchReading
from ocrqueue_worker.task.delivery import Delivery
from ocrqueue_worker.telemetry.tracing import AttemptSpan
from tests.support.moves import LANE, end_lease, end_pauses, job, reclaimed, submit, take
from tests.support.pictures import png
from tests.support.processes import wait_until


@pytest.fixture
def image(registry: WorkerRegistry) -> str:
    return open_storage(registry.settings).put("inputs/page.png", png(Image.new("L", (60, 40), 255)), "image/png")


Read = Callable[..., Sequence[TakenPart]]


@pytest.fixture
def read(registry: WorkerRegistry) -> Read:
    """Read what waits, `engine` one page in a call."""

    def read_together(engine: Engine[NullOptions] | None = None, most: int = 8) -> Sequence[TakenPart]:
        engine = engine or NullEngine(registry.settings)
        storage = open_storage(registry.settings)
        workplace = Workplace(registry.settings, registry, storage, lambda _: engine)
        parts = take(registry, most, "holder", LANE).parts
        jobs = [PartMessage.of(part).read_job() for part in parts]
        deliveries = [Delivery(job, part.hold, workplace, "worker@host") for part, job in zip(parts, jobs, strict=True)]
        BatchReading(deliveries, workplace, are_short=True).run()
        return parts

    return read_together


def states(registry: WorkerRegistry, jobs: Sequence[Job]) -> list[str]:
    found = [registry.status(job.id) for job in jobs]
    return [status.error.code if status.error else status.state for status in found]


def test_a_result_that_stands_is_found_where_the_image_is_gone(
    registry: WorkerRegistry, read: Read, image: str
) -> None:
    storage = open_storage(registry.settings)
    jobs = [job(image=image, crops="none") for _ in range(2)]
    submit(registry, *jobs)
    read()
    # as where Redis has lost the end of the first
    registry.client.delete(*registry.client.scan_iter(f"{registry.settings.key_prefix}*"))
    submit(registry, *jobs)
    storage.delete(["inputs/page.png"])
    read()
    assert states(registry, jobs) == ["succeeded"] * 2


def test_a_job_waits_while_what_an_earlier_life_has_stored_is_removed(
    registry: WorkerRegistry, read: Read, image: str
) -> None:
    jobs = [job(image=image, crops="none") for _ in range(3)]
    submit(registry, *jobs)
    (part,) = take(registry, 1, "before", LANE).parts
    registry.begin(part.hold, "before@host", "null")
    registry.release(part.hold, None)
    removal = f"{registry.keys.root}removal:{jobs[0].id}"
    registry.client.set(removal, "somebody")
    read()
    assert [registry.status(each.id).state for each in jobs] == ["queued", "succeeded", "succeeded"]
    registry.client.delete(removal)
    end_pauses(registry)
    reclaimed(registry)
    read()
    assert states(registry, jobs) == ["succeeded"] * 3


class ReferringEngine(NullEngine):
    """Fetches some images itself."""

    reference_schemes = ("gs",)

    def recognize_reference(self, uri: str, reading: Reading[NullOptions]) -> Page:
        assert uri == "gs://bucket/page.png"
        return Page(number=1, width=60, height=40)


def test_an_image_is_left_to_an_engine_that_fetches_it_itself(registry: WorkerRegistry, read: Read, image: str) -> None:
    jobs = [job(image=each, crops="none") for each in (image, "gs://bucket/page.png", image)]
    submit(registry, *jobs)
    read(ReferringEngine(registry.settings))
    assert states(registry, jobs) == ["succeeded"] * 3


def test_ends_are_told_in_one_round_trip(
    registry: WorkerRegistry, read: Read, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(image=image, crops="none") for _ in range(8)]
    submit(registry, *jobs)
    told: list[tuple[str, int]] = []
    run_each = registry.run_each

    def noting(move: str, calls: Sequence[Arguments]) -> list[Any]:
        told.append((move, len(calls)))
        return run_each(move, calls)

    # however slow the machine
    monkeypatch.setattr(batch, "TOLD_AFTER_S", 120)
    monkeypatch.setattr(registry, "run_each", noting)
    read()
    assert states(registry, jobs) == ["succeeded"] * 8
    assert told == [("begin", 8), ("finish", 8)]


class WaitingEngine(NullEngine):
    """Its second page is read once `until` is so."""

    def __init__(self, registry: WorkerRegistry, until: Callable[[], bool]) -> None:
        super().__init__(registry.settings)
        self._until, self._pages = until, 0

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        self._pages += 1
        if self._pages == 2:
            wait_until(self._until, 60, "what came before is told")
        return super().recognize(pages, reading)


def test_an_end_does_not_wait_for_a_job_that_takes_long(
    registry: WorkerRegistry, read: Read, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # however slow the machine
    monkeypatch.setattr(batch, "_SHORT_JOBS_S", 120)
    jobs = [job(image=image, crops="none") for _ in range(3)]
    submit(registry, *jobs)
    read(WaitingEngine(registry, lambda: registry.status(jobs[0].id).state == "succeeded"))
    assert states(registry, jobs) == ["succeeded"] * 3


class LoggingEngine(NullEngine):
    """Says something in each call."""

    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        structlog.get_logger("its own").info("it reads")
        return super().recognize(pages, reading)


def test_what_an_engine_logs_names_the_job_that_it_reads(registry: WorkerRegistry, read: Read, image: str) -> None:
    jobs = [job(image=image, crops="none") for _ in range(3)]
    submit(registry, *jobs)
    with capture_logs(processors=[merge_contextvars]) as logs:
        read(LoggingEngine(registry.settings))
    assert [line.get("job_id") for line in logs if line["event"] == "it reads"] == [each.id for each in jobs]


class InterruptedThread(threading.Thread):
    """The soft time limit is over while its end is awaited; `goes_on` is set after that."""

    goes_on: threading.Event

    def join(self, timeout: float | None = None) -> None:
        signal.raise_signal(signal.SIGUSR1)
        self.goes_on.set()
        super().join(timeout)


def test_a_batch_is_not_over_while_an_end_is_told(
    registry: WorkerRegistry, read: Read, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(image=image, crops="none") for _ in range(2)]
    submit(registry, *jobs)
    is_telling, goes_on = threading.Event(), threading.Event()
    finish_each = registry.finish_each

    def slowly(ends: Sequence[PartEnd]) -> Sequence[str]:
        is_telling.set()
        assert goes_on.wait(60)
        return finish_each(ends)

    monkeypatch.setattr(InterruptedThread, "goes_on", goes_on, raising=False)
    monkeypatch.setattr(batch.threading, "Thread", InterruptedThread)
    monkeypatch.setattr(registry, "finish_each", slowly)
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    try:
        SOFT_TIME_LIMIT.begin()
        read(WaitingEngine(registry, is_telling.is_set))
        assert states(registry, jobs) == ["succeeded"] * 2
    finally:
        goes_on.set()
        signal.signal(signal.SIGUSR1, before)
        SOFT_TIME_LIMIT.forget()


def test_a_span_ends_where_redis_does_not_hear_of_its_job(
    registry: WorkerRegistry, read: Read, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(registry, *(job(image=image, crops="none") for _ in range(3)))
    ended: list[AttemptSpan] = []

    def away(*_: object) -> Sequence[str]:
        raise Ignore

    def note(span: AttemptSpan) -> None:
        ended.append(span)

    monkeypatch.setattr(Delivery, "finish_each", away)
    monkeypatch.setattr(AttemptSpan, "end", note)
    read()
    assert len(set(ended)) == len(ended) == 3


class UnusedEngine(NullEngine):
    def recognize(self, pages: Sequence[PageImage], reading: Reading[NullOptions]) -> list[Page | OcrQueueError]:
        raise AssertionError("there was nothing to read")


@pytest.mark.parametrize(("call", "engine"), [("begin_each", NullEngine), ("finish_each", UnusedEngine)])
def test_what_redis_refuses_of_one_leaves_the_others_theirs(
    registry: WorkerRegistry,
    read: Read,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    engine: type[NullEngine],
) -> None:
    """`engine`: what the next attempt at that one has, which finds a result that was stored."""
    jobs = [job(image=image, crops="none") for _ in range(4)]
    submit(registry, *jobs)
    strange = registry.keys.record(jobs[1].id)
    records: list[bytes] = []
    told = getattr(registry, call)

    def strangely(*given: object) -> object:
        if not records:
            records.append(registry.client.dump(strange))
            registry.client.set(strange, "of somebody else")
        return told(*given)

    with monkeypatch.context() as patch:
        patch.setattr(registry, call, strangely)
        with capture_logs() as logs:
            parts = read()
    assert "cannot tell of the job; its lease will end if it has not" in [line["event"] for line in logs]
    assert states(registry, [jobs[0], *jobs[2:]]) == ["succeeded"] * 3
    registry.client.restore(strange, 0, records[0], replace=True)
    end_lease(registry, *(part.hold for part in parts if part.hold.job_id == jobs[1].id))
    assert reclaimed(registry).requeued == (jobs[1].id,)
    read(engine(registry.settings))
    assert states(registry, jobs) == ["succeeded"] * 4
