"""Jobs that go through several engines: a real worker for Tesseract and the null engine, Redis and S3."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from ocrqueue import Document, JobStatus, OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.celery_messages import TASK
from ocrqueue.core.check import check
from ocrqueue.errors import JobMalformed
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.brokers import Messages, celery_app
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import RedisServer, Worker, as_environment, wait_until, worker

pytest_plugins = ["tests.support.server_fixtures"]

HELLO = png(text_picture("Hello queue", "of engines"))
UNSURE, SURE = {"confidence": 0.3, "words": 4}, {"confidence": 0.95, "words": 4}


@pytest.fixture(scope="module")
def routed_settings(redis: RedisServer, s3_endpoint: str, s3_bucket: str) -> WorkerSettings:
    return load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"routes-{uuid.uuid4().hex[:8]}:",
        storage=f"s3://{s3_bucket}/{uuid.uuid4().hex[:8]}",
        s3_endpoint=s3_endpoint,
        worker_heartbeat_s=1,
        auto_engines=("null", "tesseract"),
        # Tesseract is never sure of a page
        fallback_page_below="75,tesseract=100",
        fallback_lines_page_below="60,tesseract=100",
        soft_time_limit_s=25,
        hard_time_limit_s=26,
        retry_limit=1,
        retry_backoff_s=0.1,
        delivery_cap=2,
    )


@pytest.fixture(scope="module")
def started(routed_settings: WorkerSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    arguments = ("--engine", "tesseract", "--engine", "null", "--concurrency", "1")
    with worker(as_environment(routed_settings), tmp_path_factory.mktemp("routes"), *arguments) as at_work:
        yield at_work


@pytest.fixture
def queue(routed_settings: WorkerSettings, started: Worker) -> Iterator[OcrQueue]:
    with OcrQueue(routed_settings) as connected:
        yield connected
        assert check(registry_of(connected)) == []


def read(queue: OcrQueue, image: bytes = HELLO, **fields: Any) -> tuple[JobStatus, Document]:
    job = queue.submit(image, **fields)
    return job.wait(100), job.result()


def stored_keys(queue: OcrQueue, job_id: str) -> set[str]:
    prefix = f"results/{job_id}/"
    return {key.removeprefix(prefix) for key in queue.storage.list(prefix)}


def check_crops(document: Document) -> None:
    for word in document.words():
        assert word.crop is not None
        with Image.open(BytesIO(word.crop.open().read())) as crop:
            crop.load()


@pytest.mark.parametrize("crops", ["objects", "archive", "none"])
def test_what_one_engine_is_not_sure_of_the_next_reads(queue: OcrQueue, crops: str) -> None:
    status, document = read(
        queue, engine="null", fallback=["tesseract"], options={"null": UNSURE, "tesseract": {"psm": 6}}, crops=crops
    )
    assert (status.state, status.engine, status.attempts) == ("succeeded", "tesseract", 2)
    assert document.text == "Hello queue\nof engines"
    first, second = document.trail
    assert (first.engine, first.pages, first.pages_sent_on, first.mean_confidence) == ("null", 1, 1, 0.3)
    assert (second.engine, second.pages_sent_on, second.error) == ("tesseract", 0, None)
    assert status.trail == document.trail
    assert status.route is not None
    assert (status.route.asked, status.route.engines) == ("null", ("null", "tesseract"))
    (page,) = document.pages
    assert page.engine == document.engine.name == "tesseract"
    assert [(entry.engine, entry.verdict) for entry in page.trail] == [("null", "page sent on"), ("tesseract", "kept")]
    assert page.trail[0].reason == "mean confidence 0.30 is below 0.75"
    alone = Document.model_validate_json(queue.storage.read_uri(first.result or ""))
    assert [word.text for word in alone.words()] == ["null1", "null2", "null3", "null4"]
    if crops != "none":
        check_crops(document)
    kept = sorted(key for key in stored_keys(queue, document.job_id) if key.startswith("steps/"))
    assert re.fullmatch(r"steps/1-null\.json steps/2-[0-9a-f]{8}-tesseract\.json", " ".join(kept))


def test_what_it_is_sure_of_stays(queue: OcrQueue) -> None:
    status, document = read(queue, engine="auto", options={"null": SURE})
    assert (status.engine, status.attempts, [step.engine for step in status.trail]) == ("null", 1, ["null"])
    assert status.route is not None
    assert status.route.engines == ("null", "tesseract")
    assert status.route.reason
    assert (document.pages[0].engine, document.pages[0].trail[0].verdict) == ("null", "kept")
    check_crops(document)


def test_a_page_without_words_goes_on(queue: OcrQueue) -> None:
    status, document = read(queue, engine="null", fallback=["tesseract"], options={"null": {"words": 0}})
    assert (status.engine, document.pages[0].trail[0].reason) == ("tesseract", "no words found")
    assert document.text == "Hello queue\nof engines"


def test_only_the_pages_that_need_it_go_on(queue: OcrQueue) -> None:
    image = tiff(*(text_picture(f"page {number}") for number in (1, 2, 3)))
    options = {"null": {**SURE, "fault": "error", "fault_page": 2}}
    status, document = read(queue, image, engine="null", fallback=["tesseract"], options=options)
    assert (status.state, status.pages) == ("succeeded", 3)
    assert [page.engine for page in document.pages] == ["null", "tesseract", "null"]
    assert document.pages[1].text == "page 2"
    assert [entry.verdict for entry in document.pages[1].trail] == ["failed", "kept"]
    check_crops(document)
    assert [(step.pages, step.pages_sent_on) for step in document.trail] == [(3, 1), (1, 0)]
    assert document.trail[1].result is None


def test_each_page_of_a_document_in_parts_takes_the_route_by_itself(queue: OcrQueue) -> None:
    image = tiff(*(text_picture(f"page {number}") for number in (1, 2, 3)))
    options = {"null": {**SURE, "fault": "error", "fault_page": 2, "split": True}}
    job = queue.submit(image, engine="null", fallback=["tesseract"], options=options)
    assert [page.number for page in job.pages(100)] == [1, 2, 3]
    status, document = job.wait(100), job.result()
    assert (status.state, status.pages, status.attempts) == ("succeeded", 3, 1)
    assert [page.engine for page in document.pages] == ["null", "tesseract", "null"]
    assert document.engine.name == "tesseract"
    assert document.pages[1].text == "page 2"
    check_crops(document)
    assert [(step.engine, step.pages, step.error) for step in document.trail] == [
        ("null", 2, None),
        ("tesseract", 1, None),
    ]
    assert {key.partition("/")[0].partition("-")[0] for key in stored_keys(queue, job.id)} == {"result.json", "crops"}


def test_documents_in_parts_have_what_each_engine_has_read_alone(queue: OcrQueue) -> None:
    image = tiff(*(text_picture(f"page {number}") for number in (1, 2, 3)))
    options = {"null": {**UNSURE, "split": True}}
    status, document = read(queue, image, engine="null", fallback=["tesseract"], options=options)
    assert (status.state, [page.engine for page in document.pages]) == ("succeeded", ["tesseract"] * 3)
    first, second = document.trail
    assert (first.pages, first.pages_sent_on, first.mean_confidence) == (3, 3, 0.3)
    assert (second.pages, second.pages_sent_on) == (3, 0)
    for step in document.trail:
        alone = Document.model_validate_json(queue.storage.read_uri(step.result or ""))
        assert [page.number for page in alone.pages] == [1, 2, 3]
        assert (alone.engine.name, step.remember_as) == (step.engine, None)
    # what Tesseract read is known now, to jobs that name it alone too
    again, cached = read(queue, image, engine="null", fallback=["tesseract"], options=options)
    assert cached.trail[1].seconds == 0
    assert [page.text for page in cached.pages] == [page.text for page in document.pages]
    alone_again, _ = read(queue, image, engine="tesseract", crops="none")
    assert (again.state, alone_again.cached) == ("succeeded", True)


def test_documents_in_parts_are_compared(queue: OcrQueue) -> None:
    image = tiff(*(text_picture(f"page {number}") for number in (1, 2)))
    options = {"null": {"split": True}}
    status, document = read(queue, image, compare=["null", "tesseract"], options=options)
    assert (status.state, status.agreement) == ("succeeded", document.mean_agreement)
    assert [step.engine for step in document.trail] == ["null", "tesseract"]
    for word in document.words():
        assert set(word.readings or {}) == {"tesseract"}
    other = Document.model_validate_json(queue.storage.read_uri(document.trail[1].result or ""))
    assert [page.text for page in other.pages] == ["page 1", "page 2"]
    check_crops(document)


@pytest.mark.parametrize("fault", ["segfault", "hang"])
def test_a_page_in_parts_that_takes_its_engine_down_is_read_by_the_next(queue: OcrQueue, fault: str) -> None:
    image = tiff(*(text_picture(f"page {number}") for number in (1, 2)))
    options = {"null": {**SURE, "fault": fault, "fault_page": 2, "split": True}}
    limit_s = 8 if fault == "hang" else None
    status, document = read(queue, image, engine="null", fallback=["tesseract"], options=options, time_limit_s=limit_s)
    assert status.state == "succeeded"
    assert [page.engine for page in document.pages] == ["null", "tesseract"]
    assert document.pages[1].text == "page 2"


@pytest.mark.parametrize("fault", ["error", "bug", "garbage", "memory", "segfault", "stall", "hang"])
def test_an_engine_that_fails_is_followed_by_the_next(queue: OcrQueue, fault: str) -> None:
    limit_s = 8 if fault in ("stall", "hang") else None
    options = {"null": {"fault": fault}}
    status, document = read(queue, engine="null", fallback=["tesseract"], options=options, time_limit_s=limit_s)
    assert (status.state, status.engine) == ("succeeded", "tesseract")
    assert document.text == "Hello queue\nof engines"
    assert document.trail[0].engine == "null"
    assert (document.trail[0].error or document.pages[0].trail[0].verdict) is not None


@pytest.mark.parametrize(
    ("fault", "code"),
    [("error", "engine.failed"), ("segfault", "job.poison"), ("hang", "engine.timeout")],
)
def test_where_the_last_engine_fails_what_stood_is_the_result(queue: OcrQueue, fault: str, code: str) -> None:
    limit_s = 8 if fault == "hang" else None
    options = {"null": {"fault": fault}}
    status, document = read(queue, engine="tesseract", fallback=["null"], options=options, time_limit_s=limit_s)
    assert (status.state, document.text) == ("succeeded", "Hello queue\nof engines")
    assert [(step.engine, step.error) for step in status.trail] == [("tesseract", None), ("null", code)]
    if fault == "error":
        check_crops(document)
    assert not [key for key in stored_keys(queue, document.job_id) if "standing" in key]


def test_where_all_fail_the_job_fails_with_the_last_error(queue: OcrQueue) -> None:
    job = queue.submit(
        HELLO, engine="null", fallback=["tesseract"], options={"null": {"fault": "error"}, "tesseract": {"psm": 99}}
    )
    status = job.wait(100)
    assert (status.state, status.error and status.error.code) == ("failed", "option.invalid")
    assert status.route is not None
    assert status.route.trail[0].error == "engine.failed"
    assert stored_keys(queue, job.id) == set()


def test_a_replay_begins_with_the_first_engine(queue: OcrQueue) -> None:
    faults = {"null": {"fault": "error"}, "tesseract": {"psm": 99}}
    job = queue.submit(HELLO, engine="tesseract", fallback=["null"], options=faults)
    assert job.wait(100).error is not None
    queue.dead_letters.replay(job.id)
    again = job.wait(100)
    assert (again.state, len(again.history)) == ("failed", 1)
    assert again.route is not None
    assert [step.error for step in again.route.trail] == ["option.invalid"]
    assert again.error is not None
    assert again.error.code == "engine.failed"


def test_an_engine_without_a_worker_is_passed_over(queue: OcrQueue) -> None:
    status, document = read(queue, engine="null", fallback=["vision"], options={"null": UNSURE})
    assert (status.state, status.engine, [step.engine for step in status.trail]) == ("succeeded", "null", ["null"])
    assert document.pages[0].trail[0].reason == "mean confidence 0.30 is below 0.75; no engine is left"
    check_crops(document)


def test_all_read_where_engines_are_compared(queue: OcrQueue) -> None:
    status, document = read(queue, compare=["tesseract", "null"], options={"null": {"words": 1}})
    assert (status.state, status.agreement, document.engine.name) == ("succeeded", 0.0, "tesseract")
    assert document.text == "Hello queue\nof engines"
    assert {word.agreement for word in document.words()} == {0.0}
    assert {tuple(word.readings) for word in document.words()} == {("null",)}
    check_crops(document)
    readings = [Document.model_validate_json(queue.storage.read_uri(step.result or "")) for step in document.trail]
    assert [reading.engine.name for reading in readings] == ["tesseract", "null"]
    assert [len(list(reading.words())) for reading in readings] == [4, 1]


def test_a_comparison_goes_on_without_an_engine_that_fails(queue: OcrQueue) -> None:
    status, document = read(queue, compare=["null", "tesseract"], options={"null": {"fault": "error"}})
    assert (status.state, document.text) == ("succeeded", "Hello queue\nof engines")
    assert [step.error for step in document.trail] == ["engine.failed", None]
    check_crops(document)
    status, document = read(queue, compare=["tesseract", "null"], options={"null": {"fault": "error"}})
    assert (status.state, document.engine.name) == ("succeeded", "tesseract")
    assert [step.error for step in document.trail] == [None, "engine.failed"]
    check_crops(document)


def test_an_earlier_reading_is_an_engines_turn(queue: OcrQueue) -> None:
    image = png(text_picture(f"again {uuid.uuid4().hex[:6]}"))
    plain, _ = read(queue, image, engine="tesseract", crops="none")
    assert not plain.cached
    _, document = read(queue, image, compare=["tesseract", "null"])
    assert document.trail[0].seconds == 0
    check_crops(document)
    # and what an engine read in its turn need not be read again
    other = png(text_picture(f"once {uuid.uuid4().hex[:6]}"))
    read(queue, other, compare=["null", "tesseract"])
    assert read(queue, other, engine="tesseract", crops="none")[0].cached


@pytest.mark.parametrize("queue_name", ["ocr.auto", "ocr.tesseract", "ocr.null"])
def test_a_job_by_name_is_routed_by_the_worker(
    queue: OcrQueue, routed_settings: WorkerSettings, queue_name: str
) -> None:
    image = queue.storage.put(f"inputs/{uuid.uuid4().hex}.png", HELLO, "image/png")
    with celery_app(routed_settings) as app:
        job = {"image": image, "engine": "auto", "options": {"null": UNSURE}}
        sent = app.send_task(TASK, kwargs={"job": job}, queue=queue_name)
        summary = sent.get(timeout=100)
    assert (summary["state"], [step["engine"] for step in summary["trail"]]) == ("succeeded", ["null", "tesseract"])
    assert queue.job(sent.id).result().text == "Hello queue\nof engines"


def test_it_is_cancelled_wherever_it_is(queue: OcrQueue) -> None:
    def is_cancelled_at_work() -> bool:
        options = {"tesseract": {}, "null": {"delay_s": 2.5}}
        job = queue.submit(HELLO, engine="tesseract", fallback=["null"], options=options, cache=False)
        jobs.append(job)

        def is_there() -> bool:
            status = job.status()
            return status.finished or (status.engine, status.state) == ("null", "running")

        wait_until(is_there, 60, "its second turn")
        return job.cancel() == "running"

    jobs: list[SubmittedJob] = []
    # a busy machine may look, or cancel, when the second turn is over
    wait_until(is_cancelled_at_work, 300, "it is cancelled in its second turn")
    job = jobs[-1]
    assert job.wait(100).state == "cancelled"
    wait_until(lambda: not stored_keys(queue, job.id), 60, "nothing is left of it")


def test_routes_that_cannot_be(queue: OcrQueue) -> None:
    def refused(**fields: Any) -> str:
        with pytest.raises(JobMalformed) as error:
            queue.submit(HELLO, **fields)
        return error.value.message

    assert "named twice" in refused(engine="null", fallback=["null"])
    assert "at least two engines" in refused(compare=["null"])
    assert "either fallback or compare" in refused(compare=["null", "tesseract"], fallback=["keras"])
    assert "{engine: {option: value}}" in refused(engine="auto", options={"psm": 6})


def test_a_forged_route_reads_the_image_all_the_same(queue: OcrQueue) -> None:
    image = queue.storage.put(f"inputs/{uuid.uuid4().hex}.png", HELLO, "image/png")
    trail = [{"engine": "null", "attempt": 7, "result": "file:///etc/passwd"}]
    route = {"asked": "null", "engines": ["null", "tesseract"], "reason": "forged", "trail": trail}
    job_id = Messages(queue, "ocr.tesseract").send({"image": image, "engine": "tesseract", "route": route})
    wait_until(lambda: _ended(queue, job_id), 60, "it has ended")
    assert queue.job(job_id).result().text == "Hello queue\nof engines"


def _ended(queue: OcrQueue, job_id: str) -> bool:
    known = next(registry_of(queue).statuses([job_id]))
    return known is not None and known.finished
