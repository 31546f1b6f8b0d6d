"""Two attempts at one job at once: a worker was taken for lost, and wakes up."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import pytest
from celery.exceptions import Ignore
from PIL import Image

from ocrqueue import OcrQueue
from ocrqueue.core import Hold, Outcome, Start, WorkerRegistry
from ocrqueue.document import Block, Document, EngineInfo, Line, Page, Paragraph, Region, Word, box_of, polygon_of
from ocrqueue.errors import EngineTimeout, OcrQueueError, ResultUnreadable, StorageUnavailable, WorkerDiskFull
from ocrqueue.job import CropMode, Job
from ocrqueue.leftovers import tidy
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import Storage, open_storage
from ocrqueue_worker.engines.engine import Engine, EngineOptions, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.layout.word_ids import word_id
from ocrqueue_worker.pipeline.attempt import JobElsewhere, Workplace
from ocrqueue_worker.task.delivery import Delivery
from ocrqueue_worker.task.run_job import read_job
from tests.support.moves import hold_of
from tests.support.pictures import tiff

pytest_plugins = ["tests.support.server_fixtures"]

WORDS = 40


class ShiftingEngine(Engine[EngineOptions]):
    """Finds WORDS words a page, each `shift` pixels from the left; times out on the pages after `pages`."""

    name = "shifting"
    cacheable = False

    def __init__(self, settings: WorkerSettings, shift: int, pages: int) -> None:
        super().__init__(settings)
        self.shift = shift
        self.pages = pages

    def info(self, languages: Sequence[str]) -> EngineInfo:
        return EngineInfo(name=self.name, version="1", model=str(self.shift))

    def languages(self) -> tuple[str, ...]:
        return ()

    def recognize(self, pages: Sequence[PageImage], reading: Reading[EngineOptions]) -> list[Page | OcrQueueError]:
        return [self._page(page) if page.number <= self.pages else EngineTimeout() for page in pages]

    def _page(self, page: PageImage) -> Page:
        boxes = [(float(self.shift), 4.0 * row, self.shift + 20.0, 4.0 * row + 4) for row in range(WORDS)]
        words = tuple(
            Word(id=word_id(page.number, row + 1), text=f"s{self.shift}", polygon=polygon_of(box), bbox=box)
            for row, box in enumerate(boxes)
        )
        line = Line(words=words, **_around(words))
        paragraph = Paragraph(lines=(line,), **_around([line]))
        width, height = page.image.size
        blocks = (Block(paragraphs=(paragraph,), **_around([paragraph])),)
        return Page(number=page.number, width=width, height=height, blocks=blocks)


def _around(parts: Sequence[Region]) -> dict[str, object]:
    box = box_of([part.polygon for part in parts])
    return {"polygon": polygon_of(box), "bbox": box}


def gradient(page: int) -> Image.Image:
    """A page on which no two words look alike, wherever they are found."""
    picture = Image.new("RGB", (200, 4 * WORDS))
    picture.putdata([(x, y, page) for y in range(picture.height) for x in range(picture.width)])
    return picture


PAGES = [gradient(number) for number in (1, 2)]


@pytest.fixture(params=["s3", "file"])
def storage_settings(request: pytest.FixtureRequest, settings: WorkerSettings) -> WorkerSettings:
    """One installation, its results on a server or in a folder."""
    if request.param == "file":
        return settings
    on_s3: WorkerSettings = request.getfixturevalue("s3_settings")
    return settings.model_copy(update={"storage": on_s3.storage, "s3_endpoint": on_s3.s3_endpoint})


@dataclass
class Pausing:
    """Stops a storage's caller at one of its writes, as SIGSTOP does, until it may go on."""

    storage: Storage
    at: Callable[[str], bool]
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._put, self._create = self.storage.put, self.storage._create
        self.storage.put = self.put  # type: ignore[method-assign]  # a caller that stops is what is tested
        self.storage._create = self.create  # type: ignore[method-assign]  # as above

    def put(self, key: str, data: bytes, content_type: str) -> str:
        self._pause(key)
        return self._put(key, data, content_type)

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        self._pause(key)
        return self._create(key, data, content_type)

    def _pause(self, key: str) -> None:
        if self.at(key):
            self.reached.set()
            assert self.go_on.wait(300)


@dataclass
class Installation:
    settings: WorkerSettings
    registry: WorkerRegistry
    hold: Hold = field(init=False)
    """Of the job that was submitted last, as its first attempt has it."""

    def submit(self, crops: CropMode) -> Job:
        image = open_storage(self.settings).put("inputs/pages.tiff", tiff(*PAGES), "image/tiff")
        job = Job(image=image, engine="shifting", crops=crops, crop_padding=0)
        assert list(self.registry.submit([job])) == [job.id]
        self.hold = hold_of(self.registry, "holder", job.queue)
        self.registry.begin(self.hold, "worker@host", "shifting")
        return job

    def attempt(
        self,
        job: Job,
        shift: int,
        pages: int = 2,
        storage: Storage | None = None,
        number: int = 1,
        *,
        is_replayed: bool = False,
    ) -> Outcome:
        """Read the job once, without asking the registry for it: whoever woke up does not ask either."""
        engine = ShiftingEngine(self.settings, shift, pages)
        workplace = Workplace(self.settings, self.registry, storage or open_storage(self.settings), lambda _: engine)
        return read_job(job, self.hold, Start("run", number, may_be_stored=is_replayed or number > 1), workplace)

    def document(self, job: Job) -> Document:
        storage = open_storage(self.settings)
        stored = storage.get(f"results/{job.id}/result.json")
        return Document.model_validate_json(stored).bind(storage)

    @contextmanager
    def paused(self, job: Job, shift: int, at: Callable[[str], bool], pages: int = 2) -> Iterator[Future[Outcome]]:
        """An attempt that is stopped at a write; it goes on at the end of the block."""
        pausing = Pausing(open_storage(self.settings), at)
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(self.attempt, job, shift, pages, pausing.storage)
            try:
                assert pausing.reached.wait(300)
                yield under_way
            finally:
                pausing.go_on.set()


@pytest.fixture
def installation(storage_settings: WorkerSettings) -> Iterator[Installation]:
    registry = WorkerRegistry(storage_settings)
    yield Installation(storage_settings, registry)
    registry.close()


def check_crops(document: Document, shift: int) -> None:
    """Every word of the attempt with this shift has the crop that shows it."""
    words = [(page.number, word) for page in document.pages for word in page.words()]
    assert len(words) == WORDS * sum(page.error is None for page in document.pages)
    for number, word in words:
        assert word.text == f"s{shift}"
        assert word.crop is not None
        left, top, right, bottom = (int(edge) for edge in word.bbox)
        with Image.open(BytesIO(word.crop.open().read())) as crop:
            assert crop.tobytes() == PAGES[number - 1].crop((left, top, right, bottom)).tobytes()


@pytest.mark.parametrize("crops", ["objects", "archive"])
def test_the_first_result_stands(installation: Installation, crops: CropMode) -> None:
    job = installation.submit(crops)
    first = installation.attempt(job, shift=10)
    second = installation.attempt(job, shift=60, pages=1, number=2)
    assert (first.state, first.words) == ("succeeded", 2 * WORDS)
    assert (first.stored_anew, second.stored_anew) == (True, False)
    assert second.model_copy(update={"timings": first.timings, "stored_anew": True}) == first
    check_crops(installation.document(job), shift=10)


@pytest.mark.parametrize(
    ("crops", "stopped_at"),
    [
        ("objects", lambda key: key.endswith("/p001-w0020.png")),
        ("archive", lambda key: key.endswith(".zip")),
        ("objects", lambda key: key.endswith("/result.json")),
        ("archive", lambda key: key.endswith("/result.json")),
    ],
    ids=["objects-crop", "archive-crop", "objects-result", "archive-result"],
)
@pytest.mark.parametrize("number", [1, 2], ids=["of a replayed job", "the second"])
def test_an_attempt_that_wakes_in_the_middle_of_its_writes_leaves_the_other_alone(
    installation: Installation, crops: CropMode, stopped_at: Callable[[str], bool], number: int
) -> None:
    """The attempts at a job that was replayed are counted anew."""
    job = installation.submit(crops)
    with installation.paused(job, 60, stopped_at) as woken:
        first = installation.attempt(job, shift=10, pages=1, number=number, is_replayed=True)
        assert first.state == "partial"
    adopted = woken.result()
    assert (adopted.state, adopted.words, adopted.error) == (first.state, WORDS, first.error)
    document = installation.document(job)
    assert document.status == "partial"
    check_crops(document, shift=10)


@pytest.mark.parametrize("crops", ["objects", "archive"])
def test_an_attempt_that_wakes_after_the_job_has_ended_writes_nothing(
    installation: Installation, crops: CropMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, storage = installation.submit(crops), open_storage(installation.settings)
    recognize = ShiftingEngine.recognize

    def while_stopped(
        engine: ShiftingEngine, pages: Sequence[PageImage], reading: Reading[EngineOptions]
    ) -> list[Page | OcrQueueError]:
        failed = Outcome(job_id=job.id, state="failed", error=EngineTimeout().info)
        installation.registry.finish(installation.hold, job, failed)
        return recognize(engine, pages, reading)

    monkeypatch.setattr(ShiftingEngine, "recognize", while_stopped)
    with pytest.raises(JobElsewhere):
        installation.attempt(job, shift=60)
    assert list(storage.list(f"results/{job.id}")) == []


def test_a_result_that_nobody_knew_of_is_found_where_the_image_is_gone(installation: Installation) -> None:
    """As after a submission whose answer was lost, and which was repeated to a Redis that had forgotten it."""
    job = installation.submit("archive")
    first = installation.attempt(job, shift=10)
    open_storage(installation.settings).delete(["inputs/pages.tiff"])
    again = installation.attempt(job, shift=60)
    assert again.model_copy(update={"timings": first.timings, "stored_anew": True}) == first
    check_crops(installation.document(job), shift=10)


def test_an_attempt_waits_while_what_an_earlier_life_has_stored_is_removed(installation: Installation) -> None:
    job, storage = installation.submit("none"), open_storage(installation.settings)
    storage.put(f"results/{job.id}/result.json", b"of another life, half removed", "application/json")
    workplace = Workplace(installation.settings, installation.registry, storage, lambda _: pytest.fail("it is read"))
    start = Start("run", 1, may_be_stored=True, is_being_removed=True)
    with pytest.raises(StorageUnavailable) as caught:
        read_job(job, installation.hold, start, workplace)
    assert caught.value.retryable


def test_a_disk_that_is_full_while_the_engine_loads_is_worth_another_try(installation: Installation) -> None:
    def load(_: str) -> ShiftingEngine:
        raise OSError(errno.ENOSPC, "No space left on device")

    job = installation.submit("none")
    workplace = Workplace(installation.settings, installation.registry, open_storage(installation.settings), load)
    with pytest.raises(WorkerDiskFull):
        read_job(job, installation.hold, Start("run", 1), workplace)


@pytest.mark.parametrize("may_be_stored", [True, False], ids=["looked for", "met at the end"])
@pytest.mark.parametrize(
    "stands", [b'{"schema_version": 2, "pages": []}', b"", b"\xff{"], ids=["newer", "empty", "torn"]
)
def test_a_result_that_this_version_cannot_read_stays_with_all_that_is_stored(
    installation: Installation, stands: bytes, may_be_stored: bool
) -> None:
    job, storage = installation.submit("objects"), open_storage(installation.settings)
    folder = f"results/{job.id}/"
    mine = {f"{folder}result.json", f"{folder}crops/of-another-life.png"}
    for key in mine:
        storage.put(key, stands, "application/json")
    with pytest.raises(ResultUnreadable):
        installation.attempt(job, shift=10, number=2 if may_be_stored else 1)
    with OcrQueue(installation.settings) as queue:
        outcome = Outcome(job_id=job.id, state="succeeded", result=storage.uri(f"{folder}result.json"))
        with pytest.raises(ResultUnreadable):
            queue.document(queue.job(job.id).status().model_copy(update=dict(outcome)))
    failed = Outcome(job_id=job.id, state="failed", error=ResultUnreadable().info)
    installation.registry.finish(installation.hold, job, failed)
    tidy(installation.registry, storage)
    assert installation.registry.leftovers(1) == []
    assert mine <= set(storage.list(folder))


def test_an_attempt_that_another_has_overtaken_counts_no_end(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though both have come to the same, and the result stays that the first has stored."""
    counted: list[Outcome] = []

    def count(_: Job, outcome: Outcome, *__: object, **___: object) -> None:
        counted.append(outcome)

    monkeypatch.setattr("ocrqueue_worker.task.delivery.metrics.job_ended", count)
    registry, storage = installation.registry, open_storage(installation.settings)
    workplace = Workplace(
        installation.settings, registry, storage, lambda _: ShiftingEngine(installation.settings, 10, 2)
    )
    given = installation.submit("none")
    frozen = Delivery(given, installation.hold, workplace, "frozen@host")
    stored = installation.attempt(given, shift=10)
    assert registry.lost([frozen.hold]) == ["requeued"]
    other = Delivery(given, hold_of(registry, "other", given.queue), workplace, "other@host")
    start = other.begin()
    other.end(read_job(given, other.hold, start, workplace), start)
    assert [outcome.state for outcome in counted] == ["succeeded"]
    with pytest.raises(Ignore):
        frozen.end(stored)
    assert len(counted) == 1
    tidy(registry, storage)
    assert storage.exists(f"results/{given.id}/result.json")
