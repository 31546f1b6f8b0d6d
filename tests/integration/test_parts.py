"""The parts of a document, one attempt at a time: what whole workers do not do at a moment of a test's choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery.exceptions import Ignore, SoftTimeLimitExceeded
from PIL import Image

from ocrqueue.core import Hold, Outcome, Start, TakenPart, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.document import stored_document
from ocrqueue.errors import EngineTimeout, EngineUnavailable
from ocrqueue.job import Job
from ocrqueue.leftovers import remove_leftovers, tidy
from ocrqueue.routing import make_route
from ocrqueue.storage import open_storage
from ocrqueue_worker.broker.hand import Hand, Handful
from ocrqueue_worker.broker.messages import PartMessage
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.null import NullEngine
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline import page_objects
from ocrqueue_worker.pipeline.attempt import Workplace
from ocrqueue_worker.task.celery_request import PartRequest
from ocrqueue_worker.task.celery_task import RecognizeTask
from ocrqueue_worker.task.delivery import Delivery
from ocrqueue_worker.task.run_job import read_job
from tests.support.moves import hold_of, job, submit, take
from tests.support.pictures import tiff

PAGES = 3


class Document:
    """One of three pages, as far as its pages are read."""

    def __init__(self, registry: WorkerRegistry) -> None:
        self.registry, self.storage = registry, open_storage(registry.settings)
        pages = [Image.new("L", (60 + number, 40), 255) for number in range(PAGES)]
        image = self.storage.put("inputs/pages.tiff", tiff(*pages), "image/tiff")
        self.job: Job = job(image=image, options={"split": True})
        self.workplace = Workplace(registry.settings, registry, self.storage, lambda _: NullEngine(registry.settings))
        submit(registry, self.job)
        self.end(hold_of(registry))
        for _ in range(PAGES):
            self.last = hold_of(registry)
            closing = self.end(self.last)
        assert closing is not None
        self.closing = closing

    def delivery(self, hold: Hold) -> Delivery:
        return Delivery(self.job, hold, self.workplace, "worker@host")

    def read(self, hold: Hold) -> tuple[Start, Outcome]:
        start = self.delivery(hold).begin()
        return start, cast("Outcome", read_job(self.job, hold, start, self.workplace))

    def end(self, hold: Hold) -> Delivery | None:
        start, outcome = self.read(hold)
        return self.delivery(hold).end(outcome, start)

    def stored(self) -> set[str]:
        """The folders and files of the job."""
        folder = f"results/{self.job.id}/"
        return {key.removeprefix(folder).partition("/")[0] for key in self.storage.list(folder)}


@pytest.fixture
def document(registry: WorkerRegistry) -> Document:
    return Document(registry)


def test_the_closing_part_gathers_what_the_pages_have_left(document: Document, registry: WorkerRegistry) -> None:
    assert document.closing.hold == document.last.closing
    assert document.stored() == {"pages", "crops"}
    document.end(document.closing.hold)
    assert document.stored() == {"result.json", "crops"}
    assert registry.status(document.job.id).state == "succeeded"
    assert check(registry) == []


def test_a_split_document_has_started_with_its_first_part(document: Document, registry: WorkerRegistry) -> None:
    status = registry.status(document.job.id)
    assert status.started_at is not None
    assert (status.started_at - status.queued_at).total_seconds() == pytest.approx(status.timings.queue_wait_s)
    assert registry.client.hget(registry.keys.record(document.job.id), "restarted_at") is not None


def test_a_closing_part_that_was_lost_after_it_had_stored_the_result_only_says_so(
    document: Document, registry: WorkerRegistry
) -> None:
    _, first = document.read(document.closing.hold)
    assert registry.lost([document.closing.hold]) == ["requeued"]
    # as if it had been lost a moment before
    document.storage.put(f"results/{document.job.id}/pages/0123456789abcdef/00001.json", b"{}", "application/json")
    (part,) = take(registry).parts
    assert (part.closing, part.alone) == (True, True)
    start, again = document.read(part.hold)
    assert (start.number, start.may_be_stored, again.result) == (2, True, first.result)
    assert document.stored() == {"result.json", "crops"}


@pytest.mark.parametrize("limit", ["soft", "hard"])
def test_gathering_that_runs_out_of_the_last_page_s_time_has_a_time_of_its_own(
    document: Document, registry: WorkerRegistry, limit: str
) -> None:
    start = document.closing.begin()
    if limit == "soft":
        with pytest.raises(Ignore):
            document.closing.outcome_of(start, SoftTimeLimitExceeded())
    else:
        page = PartMessage.of(TakenPart(document.last, document.job.model_dump_json()))
        request = cast("PartRequest", SimpleNamespace(task=None, hostname="worker@host"))
        PartRequest._close_begun(request, page, EngineTimeout(), registry)
    assert registry.status(document.job.id).state == "queued"
    (part,) = take(registry).parts
    assert (part.hold.part, part.closing) == (document.job.id, True)
    # of this time no page has used any
    start = registry.begin(part.hold, "worker@host", "null")
    ended = document.delivery(part.hold).outcome_of(start, SoftTimeLimitExceeded())
    assert isinstance(ended, Outcome)
    assert ended.error is not None
    assert ended.error.code == "engine.timeout"


def test_a_page_that_comes_too_late_leaves_nothing_in_storage(document: Document, registry: WorkerRegistry) -> None:
    registry.cancel(document.job.id)
    late = Hold(f"{document.job.id}:00001", "old")
    closing = document.closing
    closing.end(Outcome(job_id=document.job.id, state="cancelled"))
    tidy(registry, document.storage)
    assert document.stored() == set()
    document.storage.put(f"results/{document.job.id}/pages/0123456789abcdef/00001.json", b"{}", "application/json")
    with pytest.raises(Ignore):
        document.delivery(late).end(Outcome(job_id=document.job.id, state="succeeded", result="file:///page", pages=1))
    tidy(registry, document.storage)
    assert document.stored() == set()


def test_a_closing_part_stays_in_hand_when_celery_has_forgotten_its_page() -> None:
    hand, page = Hand(), Hold("job:00001", "token")
    hand.take("tag", Handful((page, page.closing), 60))
    hand.orphan_all_but(set())
    # so Redis says of it as long as the page is being read
    hand.note_gone(page.closing)
    hand.note_gone(page)
    assert page.closing in hand.holds()
    hand.note_gone(page.closing)
    assert hand.holds() == []


class Second(NullEngine):
    """Another engine, which is surer."""

    name = "second"


class RoutedDocument:
    """One that null is sure of nothing on, read by workers of either engine, as far as its pages are."""

    def __init__(self, registry: WorkerRegistry) -> None:
        self.registry, self.storage = registry, open_storage(registry.settings)
        pages = [Image.new("L", (60 + number, 40), 255) for number in range(PAGES)]
        image = self.storage.put("inputs/routed.tiff", tiff(*pages), "image/tiff")
        options = {"null": {"split": True, "confidence": 0.1}, "second": {"confidence": 0.9}}
        asked = job(image=image, fallback=("second",), options=options, outputs=("text",))
        self.job = make_route(asked, registry.settings, {})
        self.read: list[tuple[str, int | None]] = []
        submit(registry, self.job)
        self.turn("null")

    def engine(self, name: str) -> NullEngine:
        made = (NullEngine if name == "null" else Second)(self.registry.settings)
        recognize = made.recognize

        def counted(images: Sequence[PageImage], reading: Reading[Any]) -> Any:
            self.read += [(name, image.number) for image in images]
            return recognize(images, reading)

        made.recognize = counted  # type: ignore[method-assign]  # how often each page is read
        return made

    def begin(self, engine: str) -> tuple[Delivery, Start]:
        (part,) = take(self.registry, 1, "holder", f"ocr.{engine}").parts
        workplace = Workplace(self.registry.settings, self.registry, self.storage, self.engine)
        delivery = Delivery(PartMessage.of(part).read_job(), part.hold, workplace, "worker@host")
        return delivery, delivery.begin()

    def turn(self, engine: str) -> Delivery | None:
        delivery, start = self.begin(engine)
        return delivery.end(read_job(delivery.job, delivery.hold, start, delivery.workplace), start)


@pytest.fixture
def routed(registry: WorkerRegistry) -> Iterator[RoutedDocument]:
    update = {"engines": ("null", "second"), "engines_on_demand": ("second",)}
    with closing(WorkerRegistry(registry.settings.model_copy(update=update))) as on_demand:
        yield RoutedDocument(on_demand)


def test_pages_on_a_route_are_read_once_by_each_engine_whoever_is_lost(routed: RoutedDocument) -> None:
    registry = routed.registry
    for _ in range(PAGES):
        assert routed.turn("null") is None
    assert take(registry).parts == ()
    # the first is lost once it has read its page, and before it has said so; the second before it has read
    delivery, start = routed.begin("second")
    read_job(delivery.job, delivery.hold, start, delivery.workplace)
    unread, _ = routed.begin("second")
    assert registry.lost([delivery.hold, unread.hold]) == ["requeued", "requeued"]
    last = [routed.turn("second") for _ in range(PAGES)][-1]
    assert sorted(routed.read) == [(name, number) for name in ("null", "second") for number in range(1, PAGES + 1)]
    assert last is not None

    def no_engine(name: str) -> NullEngine:
        raise EngineUnavailable(f"There is no {name} here.")

    gathering = replace(last, workplace=replace(last.workplace, engine=no_engine))
    start = gathering.begin()
    gathering.end(read_job(gathering.job, gathering.hold, start, gathering.workplace), start)
    status = registry.status(routed.job.id)
    assert (status.state, status.pages) == ("succeeded", PAGES)
    assert [(step.engine, step.pages, step.pages_sent_on) for step in status.trail] == [
        ("null", PAGES, PAGES),
        ("second", PAGES, 0),
    ]
    document = stored_document(routed.storage.get(f"results/{routed.job.id}/result.json"))
    assert [output.name for output in document.outputs] == ["document.txt"]
    steps = {step.result for step in document.trail}
    folder = f"results/{routed.job.id}/"
    kept = {key.removeprefix(folder).partition("/")[0].partition("-")[0] for key in routed.storage.list(folder)}
    assert (len(steps), kept) == (2, {"result.json", "crops", "steps", "outputs"})
    assert check(registry) == []


def test_a_page_on_a_route_that_is_killed_by_its_last_engine_stays_as_it_stood(routed: RoutedDocument) -> None:
    registry = routed.registry
    task = RecognizeTask(registry.settings)
    for _ in range(PAGES):
        routed.turn("null")
    killed, _ = routed.begin("second")
    page = PartMessage.of(TakenPart(killed.hold, killed.job.model_dump_json()))
    task.close_killed(page, EngineTimeout(), "worker@host", registry)
    last = [routed.turn("second") for _ in range(PAGES - 1)][-1]
    assert last is not None
    start = last.begin()
    last.end(read_job(last.job, last.hold, start, last.workplace), start)
    document = stored_document(routed.storage.get(f"results/{routed.job.id}/result.json"))
    assert (document.status, [page.engine for page in document.pages]) == ("succeeded", ["null", "second", "second"])
    assert check(registry) == []


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents of more than two pages are large."""
    monkeypatch.setattr(page_objects, "MOST_INLINE", 2)


@pytest.mark.usefixtures("large")
def test_a_large_document_on_a_route_has_its_pages_and_each_engine_s_in_objects(routed: RoutedDocument) -> None:
    registry = routed.registry
    for _ in range(PAGES):
        routed.turn("null")
    last = [routed.turn("second") for _ in range(PAGES)][-1]
    assert last is not None
    start = last.begin()
    last.end(read_job(last.job, last.hold, start, last.workplace), start)
    folder = f"results/{routed.job.id}/"
    document = stored_document(routed.storage.get(f"{folder}result.json"), routed.storage)
    assert (document.pages[0].engine, document.word_count) == ("second", PAGES)
    for step, confidence in zip(document.trail, (0.1, 0.9), strict=True):
        alone = stored_document(routed.storage.read_uri(step.result or ""), routed.storage)
        assert alone.mean_confidence == pytest.approx(confidence)
        assert (alone.engine.name, step.mean_confidence) == (step.engine, confidence)
        assert [page.number for page in alone.pages] == list(range(1, PAGES + 1))
    # nothing lies there that is not named, and nothing that is named is gone
    remove_leftovers(routed.storage, routed.job.id, document)
    names = [key.removeprefix(folder) for key in routed.storage.list(folder)]
    pages = [name for name in names if name.startswith("pages/")]
    assert len(pages) == 3 * PAGES
    assert sum("-standing" in name for name in pages) == 0
    assert check(registry) == []


@pytest.mark.usefixtures("large")
def test_a_large_result_that_stands_is_adopted_with_its_pages(document: Document, registry: WorkerRegistry) -> None:
    start, first = document.read(document.closing.hold)
    before = sorted(document.storage.list(f"results/{document.job.id}/"))
    assert registry.lost([document.closing.hold]) == ["requeued"]
    (part,) = take(registry).parts
    start, again = document.read(part.hold)
    assert (start.may_be_stored, again.result, again.words) == (True, first.result, PAGES)
    document.delivery(part.hold).end(again, start)
    assert sorted(document.storage.list(f"results/{document.job.id}/")) == before
    assert document.stored() == {"result.json", "crops", "pages"}


class Cacheable(NullEngine):
    cacheable = True


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("split", [True, False])
def test_an_answer_from_the_cache_has_pages_and_crops_of_its_own(registry: WorkerRegistry, split: bool) -> None:
    storage = open_storage(registry.settings)
    pages = [Image.new("L", (60 + number, 40), 255) for number in range(PAGES)]
    image = storage.put("inputs/cached.tiff", tiff(*pages), "image/tiff")
    workplace = Workplace(registry.settings, registry, storage, lambda _: Cacheable(registry.settings))

    def read(tag: str) -> Job:
        given = job(image=image, options={"split": split}, tag=tag)
        submit(registry, given)
        while parts := take(registry).parts:
            closing: Delivery | None = Delivery(given, parts[0].hold, workplace, "worker@host")
            while closing is not None:
                start = closing.begin()
                closing = closing.end(read_job(given, closing.hold, start, workplace), start)
        return given

    first, second = read("first"), read("second")
    assert registry.status(second.id).cached
    storage.delete_prefix(f"results/{first.id}")
    answer = stored_document(storage.get(f"results/{second.id}/result.json"), storage)
    answer.bind(storage)
    assert (len(answer.pages), answer.word_count) == (PAGES, PAGES)
    for word in answer.words():
        assert word.crop is not None
        assert word.crop.image().format == "PNG"
    assert b"first" not in b"".join(
        storage.get(key) for key in storage.list(f"results/{second.id}") if key.endswith(".json")
    )
    # of the first nothing is left to answer with
    third = read("third")
    assert registry.status(third.id).state == "succeeded"
