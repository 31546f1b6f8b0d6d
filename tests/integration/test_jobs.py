"""Jobs through the whole system: a real Redis, a real S3 server, a real worker process."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
import zipfile
from io import BytesIO

import pytest
from celery import Celery
from PIL import Image

from ocrqueue import AsyncOcrQueue, Document, JobStatus, OcrQueue
from ocrqueue.aio import redis_of
from ocrqueue.client import registry_of
from ocrqueue.errors import (
    EngineFailed,
    EngineUnknown,
    JobCancelled,
    JobMalformed,
    JobNotFinished,
    JobUnknown,
    JobWaitTimeout,
    SourceNotFound,
)
from ocrqueue.job import Job
from ocrqueue.storage import open_storage
from tests.integration.conftest import Installation
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]

HELLO = png(text_picture("Hello 42", "second line"))


def fresh_picture(text: str = "Hello 42") -> bytes:
    """A picture that no cache knows."""
    picture = text_picture(text)
    picture.putpixel((639, 159), uuid.uuid4().int % 255)
    return png(picture) + uuid.uuid4().bytes


def test_an_image_submitted_becomes_words_with_boxes_confidences_and_crops(queue: OcrQueue) -> None:
    job = queue.submit(HELLO, tag="first")
    status = job.wait(60)
    assert (status.state, status.words, status.pages, status.tag) == ("succeeded", 4, 1, "first")
    assert status.worker is not None
    assert status.timings.ocr_s > 0
    document = job.result()
    assert document.text == "Hello 42\nsecond line"
    assert (document.job_id, document.tag, document.input.format) == (job.id, "first", "PNG")
    assert document.engine.name == "tesseract"
    assert document.engine.model.startswith("eng:")
    for word in document.words():
        assert word.confidence is not None
        assert 0.5 < word.confidence <= 1
        left, top, right, bottom = word.bbox
        assert 0 <= left < right <= 640
        assert 0 <= top < bottom <= 160
        assert word.crop is not None
        crop = word.crop.image()
        assert crop.size == (right - left + 4, bottom - top + 4)
        assert min(crop.convert("L").tobytes()) < 100, "the crop shows ink"


@pytest.mark.parametrize("crops", ["objects", "archive"])
def test_crops_open_the_same_way_however_they_are_kept(queue: OcrQueue, installation: Installation, crops: str) -> None:
    job = queue.submit(HELLO, crops=crops, crop_padding=7, cache=False)
    words = list(job.result(timeout=60).words())
    pictures = [word.crop.image() for word in words if word.crop]
    assert len(pictures) == 4
    assert pictures[0].width == words[0].bbox[2] - words[0].bbox[0] + 14
    storage = open_storage(installation.settings)
    crop_keys = sorted(key for key in storage.list(f"results/{job.id}/") if not key.endswith("/result.json"))
    assert {storage.uri(key) for key in crop_keys} == {word.crop.uri for word in words if word.crop}
    # the names of a second attempt, of a worker that gave the job back, are its own
    if crops == "objects":
        pattern = rf"results/{job.id}/crops(-[0-9a-z-]+)?/p001-w000[1-4]\.png"
        assert len(crop_keys) == 4
    else:
        pattern = rf"results/{job.id}/crops(-[0-9a-z-]+)?\.zip"
        assert len(crop_keys) == 1
        archive = zipfile.ZipFile(BytesIO(storage.get(crop_keys[0])))
        assert archive.testzip() is None
        assert [archive.read(name) for name in archive.namelist()] == [w.crop.open().read() for w in words if w.crop]
    assert all(re.fullmatch(pattern, key) for key in crop_keys)
    assert storage.exists(f"results/{job.id}/result.json")


def test_no_crops_means_none(queue: OcrQueue, installation: Installation) -> None:
    job = queue.submit(HELLO, crops="none", cache=False)
    assert all(word.crop is None for word in job.result(timeout=60).words())
    assert list(open_storage(installation.settings).list(f"results/{job.id}/")) == [f"results/{job.id}/result.json"]


def test_the_same_image_is_not_read_twice(queue: OcrQueue) -> None:
    image = fresh_picture()
    first = queue.submit(image)
    assert first.wait(60).cached is False
    second = queue.submit(image, tag="again")
    status = second.wait(60)
    assert (status.cached, status.words, status.state) == (True, 2, "succeeded")
    read, again = first.result(), second.result()
    assert (again.job_id, again.tag, again.cached, again.text) == (second.id, "again", True, read.text)
    assert pictures_of(again) == pictures_of(read)
    assert len(pictures_of(again)) == 2


def pictures_of(document: Document) -> list[bytes]:
    return [word.crop.open().read() for word in document.words() if word.crop is not None]


@pytest.mark.parametrize("crops", ["archive", "objects"])
def test_a_cached_result_outlives_the_job_that_read_the_image(queue: OcrQueue, crops: str) -> None:
    image = tiff(*(text_picture(f"Page {uuid.uuid4().hex[:4]}") for _ in range(2)))
    first = queue.submit(image, crops=crops)
    pictures = pictures_of(first.result(60))
    second = queue.submit(image, crops=crops)
    again = second.result(60)
    assert (again.cached, len(pictures) > 2) == (True, True)
    queue.storage.delete_prefix(f"results/{first.id}/")
    assert pictures_of(again) == pictures
    named = {word.crop.uri for word in again.words() if word.crop is not None}
    stored = {queue.storage.uri(key) for key in queue.storage.list(f"results/{second.id}/")}
    assert stored == named | {queue.storage.uri(f"results/{second.id}/result.json")}


@pytest.mark.parametrize("crops", ["archive", "objects"])
def test_an_image_of_whose_crops_some_were_deleted_is_read_anew(queue: OcrQueue, crops: str) -> None:
    image = fresh_picture()
    first = queue.submit(image, crops=crops)
    uri = [word.crop.uri for word in first.result(60).words() if word.crop is not None][-1]
    queue.storage.delete([f"results/{first.id}/{uri.rpartition(f'/{first.id}/')[2]}"])
    second = queue.submit(image, crops=crops)
    assert second.wait(60).cached is False
    assert len(pictures_of(second.result())) == 2


@pytest.mark.parametrize(
    "change",
    [{"options": {"psm": 6}}, {"languages": ["kor"]}, {"crops": "none"}, {"crop_padding": 9}, {"cache": False}],
    ids=lambda change: next(iter(change)),
)
def test_what_would_be_read_otherwise_is_read_anew(queue: OcrQueue, change: dict[str, object]) -> None:
    image = fresh_picture()
    queue.submit(image).wait(60)
    assert queue.submit(image, **change).wait(60).cached is False


def test_an_option_spelled_out_is_the_default(queue: OcrQueue) -> None:
    image = fresh_picture()
    queue.submit(image).wait(60)
    assert queue.submit(image, options={"psm": 3}).wait(60).cached is True


def test_a_cached_result_that_was_deleted_is_read_anew(queue: OcrQueue, installation: Installation) -> None:
    image = fresh_picture()
    first = queue.submit(image)
    first.wait(60)
    open_storage(installation.settings).delete_prefix(f"results/{first.id}/")
    assert queue.submit(image).wait(60).cached is False


def test_all_pages_of_a_tiff_are_read_with_progress(queue: OcrQueue) -> None:
    image = tiff(*(text_picture(f"page {number}") for number in (1, 2, 3)))
    seen: list[tuple[str, int, int | None]] = []

    def note(status: JobStatus) -> None:
        seen.append((status.state, status.pages_done, status.pages))

    status = queue.submit(image, cache=False).wait(300, on_progress=note)
    assert (status.state, status.pages) == ("succeeded", 3)
    assert seen[-1] == ("succeeded", 3, 3)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_progress_is_told_while_pages_are_read(queue: OcrQueue) -> None:
    job = queue.submit(many_pages(), engine="null", options={"delay_s": 0.2}, crops="none")
    seen: list[tuple[str, int, int | None]] = []

    def note(status: JobStatus) -> None:
        seen.append((status.state, status.pages_done, status.pages))
        if status.state == "running" and status.pages == MANY and status.pages_done:
            job.cancel()

    assert job.wait(300, on_progress=note).state == "cancelled"
    told = [(done, pages) for state, done, pages in seen if state == "running" and done]
    assert {pages for _, pages in told} == {MANY}
    assert told == sorted(told)


def test_a_page_that_fails_leaves_the_others(queue: OcrQueue) -> None:
    image = tiff(*(text_picture(f"page {number}") for number in (1, 2, 3)))
    job = queue.submit(image, engine="null", options={"fault": "error", "fault_page": 2, "words": 3})
    status = job.wait(60)
    assert (status.state, status.words) == ("partial", 6)
    assert status.error is not None
    document = job.result()
    assert [page.error.code if page.error else None for page in document.pages] == [None, "engine.failed", None]
    assert [error.code for error in document.errors] == ["engine.failed"]
    assert next(document.words()).confidence is None


def test_a_failed_job_raises_its_own_error(queue: OcrQueue, installation: Installation) -> None:
    job = queue.submit(HELLO, engine="null", options={"fault": "error"})
    assert job.wait(60).state == "failed"
    with pytest.raises(EngineFailed, match="told to fail"):
        job.result()
    storage = open_storage(installation.settings)
    wait_until(lambda: not list(storage.list(f"results/{job.id}/")), 60, "the worker on duty has removed its crops")


def test_a_retryable_error_is_tried_again_and_counted(queue: OcrQueue) -> None:
    job = queue.submit(HELLO, engine="null", options={"fault": "retryable"})
    status = job.wait(60)
    # a worker that doubts its own access, as storage answers late on a busy machine, gives the job back
    became = [attempt.became for attempt in queue.history(job.id) if attempt.became != "given back"]
    assert became == ["retried", "failed"]
    assert status.attempts >= 2
    assert status.error is not None
    assert status.error.code == "source.unavailable"


@pytest.mark.parametrize(
    ("fault", "code"), [("bug", "engine.failed"), ("memory", "engine.out_of_memory")], ids=["bug", "memory"]
)
def test_an_engine_that_breaks_is_an_error_of_the_job_alone(
    queue: OcrQueue, installation: Installation, fault: str, code: str
) -> None:
    children = installation.worker.children()
    status = queue.submit(HELLO, engine="null", options={"fault": fault}).wait(60)
    assert status.error is not None
    assert (status.state, status.error.code) == ("failed", code)
    assert queue.submit(HELLO, engine="null").wait(60).state == "succeeded"
    assert installation.worker.children() == children


@pytest.mark.parametrize("fault", ["kill", "segfault"])
def test_a_job_that_kills_its_worker_is_delivered_three_times(
    queue: OcrQueue, installation: Installation, fault: str
) -> None:
    job = queue.submit(HELLO, engine="null", options={"fault": fault})
    behind = queue.submit(HELLO, engine="null")
    status = job.wait(300)
    assert status.error is not None
    assert (status.state, status.error.code, status.attempts) == ("failed", "job.poison", 3)
    assert behind.wait(60).state == "succeeded"
    assert installation.worker.alive()


MANY = 200


def many_pages() -> bytes:
    """Of a job that is still at them when a test gets to look, and ends between two of them once it is cancelled."""
    return tiff(*(Image.new("L", (8, 8), number) for number in range(MANY)))


def test_cancel_before_and_while_it_runs(queue: OcrQueue, installation: Installation) -> None:
    running = queue.submit(many_pages(), engine="null", options={"delay_s": 0.4, "words": 2})
    queued = queue.submit(HELLO, engine="null")
    wait_until(lambda: running.status().pages_done >= 1, 60, "a page is done")
    assert queued.cancel() == "cancelled"
    assert running.cancel() == "running"
    assert running.status().cancel_requested or running.status().state == "cancelled"
    assert running.wait(60).state == "cancelled"
    assert running.status().pages_done < MANY
    storage = open_storage(installation.settings)
    wait_until(lambda: not list(storage.list(f"results/{running.id}/")), 60, "its crops are gone")
    for job in (running, queued):
        assert job.cancel() == "cancelled"
        with pytest.raises(JobCancelled):
            job.result()
    done = queue.submit(HELLO, engine="null")
    done.wait(60)
    assert done.cancel() == "succeeded"


def test_results_before_the_end_and_of_unknown_ids(queue: OcrQueue) -> None:
    job = queue.submit(many_pages(), engine="null", options={"delay_s": 0.2}, crops="none")
    with pytest.raises(JobNotFinished):
        job.result(timeout=0)
    with pytest.raises(JobWaitTimeout):
        job.wait(0.2)
    with pytest.raises(TimeoutError):
        job.result(0.2)
    for call in (queue.job("never").status, queue.job("never").wait, queue.job("never").result):
        with pytest.raises(JobUnknown):
            call()
    job.cancel()
    job.wait(60)


def test_wait_is_woken_at_once(queue: OcrQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than when it would look by itself."""
    monkeypatch.setattr("ocrqueue.waiting.watch._SILENCE_S", 100)
    job = queue.submit(HELLO, engine="null", options={"delay_s": 1.0})
    status = job.wait(200)
    assert status.finished_at is not None
    seconds, microseconds = registry_of(queue).client.time()
    assert seconds + microseconds / 1e6 - status.finished_at.timestamp() < 50


def test_as_completed_yields_each_job_once_and_subscribes_few_channels(queue: OcrQueue) -> None:
    jobs = queue.submit_many([HELLO] * 60, engine="null", crops="none")
    # it is not read, so that the others are still waited for as the channels are counted
    held = queue.submit(HELLO, engine="keras", crops="none")
    ended: list[str] = []
    for job in queue.as_completed([*jobs, held], timeout=300):
        ended.append(job.id)
        if len(ended) == 1:
            found = len(registry_of(queue).client.pubsub_channels(f"{registry_of(queue).keys.root}events:*"))
            assert 1 <= found <= 16
        if len(ended) == len(jobs):
            assert held.cancel() == "cancelled"
    assert sorted(ended) == sorted(job.id for job in [*jobs, held])


def test_idempotency_key_gives_the_same_job(queue: OcrQueue) -> None:
    key = uuid.uuid4().hex
    first = queue.submit(HELLO, engine="null", idempotency_key=key)
    assert queue.submit(HELLO, engine="null", idempotency_key=key).id == first.id
    first.wait(60)
    assert queue.submit(HELLO, engine="null", idempotency_key=key).id == first.id


def test_what_is_uploaded_is_kept_once_by_content(queue: OcrQueue, installation: Installation) -> None:
    image = fresh_picture()
    first, second = queue.submit(image, engine="null"), queue.submit(image, engine="null")
    references = {job.status().image for job in (first, second)}
    assert len(references) == 1
    assert references.pop().endswith(".png")


def test_what_cannot_be_submitted_is_refused_before_anything_is_queued(queue: OcrQueue) -> None:
    with pytest.raises(EngineUnknown, match="'tesser-act'"):
        queue.submit(HELLO, engine="tesser-act")
    with pytest.raises(SourceNotFound, match="no file"):
        queue.submit("/no/such/file.png")
    for fields in ({"crops": "all"}, {"langages": ["eng"]}, {"priority": "urgent"}):
        with pytest.raises(JobMalformed):
            queue.submit(HELLO, **fields)
    with pytest.raises(JobMalformed):
        queue.submit(Job(image="s3://b/k"), engine="null")


def test_high_goes_before_normal_before_low(queue: OcrQueue) -> None:
    plug = queue.submit(many_pages(), engine="null", options={"delay_s": 0.2}, crops="none")
    wait_until(lambda: plug.status().state == "running", 60, "it runs")
    # one of ten takes looks at the low lane first, and may be among these
    spare = queue.submit(HELLO, engine="null", priority="low")
    low = queue.submit_many([HELLO] * 3, engine="null", priority="low")
    normal = queue.submit_many([HELLO] * 3, engine="null")
    high = queue.submit_many([HELLO] * 3, engine="null", priority="high")
    plug.cancel()
    ended = list(queue.as_completed([plug, spare, *low, *normal, *high], timeout=60))
    assert len(ended) == 11
    started = {job.id: job.status().started_at for job in ended}
    order = sorted((job.id for job in [*low, *normal, *high]), key=lambda job_id: str(started[job_id]))
    assert set(order[:3]) == {job.id for job in high}
    assert set(order[6:]) == {job.id for job in low}


def plain_celery(installation: Installation) -> Celery:
    """An app that knows nothing of ocrqueue."""
    url = installation.settings.redis_url.get_secret_value()
    app = Celery("theirs", broker=url, backend=url, set_as_current=False)
    options = {"global_keyprefix": installation.settings.key_prefix}
    app.conf.update(broker_transport_options=options, result_backend_transport_options=options)
    return app


def test_a_plain_celery_app_sends_by_name_and_gets_the_summary(installation: Installation) -> None:
    image = installation.file_root / "hello.png"
    image.write_bytes(HELLO)
    app = plain_celery(installation)
    sent = app.send_task("ocrqueue.recognize", kwargs={"job": {"image": image.as_uri()}}, queue="ocr.tesseract")
    summary = sent.get(timeout=60)
    assert summary["state"] == "succeeded"
    assert summary["words"] == 4
    stored = open_storage(installation.settings).read_uri(summary["result"])
    assert Document.model_validate_json(stored).text == "Hello 42\nsecond line"
    assert installation.queue.job(sent.id).status().state == "succeeded"
    app.close()


def test_a_plain_celery_app_gets_the_error_with_its_code(installation: Installation) -> None:
    app = plain_celery(installation)
    sent = app.send_task(
        "ocrqueue.recognize", kwargs={"job": {"image": "s3://no-such-bucket-of-mine/k"}}, queue="ocr.tesseract"
    )
    with pytest.raises(Exception, match=r"source\.bucket_not_found: ") as error:
        sent.get(timeout=60)
    assert type(error.value).__name__ == "JobFailed"
    app.close()


def test_the_end_of_a_job_is_told_to_its_reply_queue(installation: Installation) -> None:
    reply_to = f"replies-{uuid.uuid4().hex[:8]}"
    job = installation.queue.submit(HELLO, engine="null", options={"words": 2}, reply_to=reply_to)
    job.wait(60)
    app = plain_celery(installation)
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue(reply_to).get(timeout=60)
        message.ack()
    assert message.headers["task"] == "ocrqueue.finished"
    summary = message.payload[1]["summary"]
    assert (summary["job_id"], summary["state"], summary["words"]) == (job.id, "succeeded", 2)
    app.close()


async def test_the_same_from_an_event_loop(installation: Installation) -> None:
    async with AsyncOcrQueue(installation.settings) as queue:
        job = await queue.submit(HELLO)
        document = await job.result(timeout=60)
        assert document.text == "Hello 42\nsecond line"
        assert next(document.words()).crop is not None
        jobs = await queue.submit_many([HELLO] * 5, engine="null")
        seen: list[JobStatus] = []

        async def note(status: JobStatus) -> None:
            seen.append(status)

        ended = [job.id async for job in queue.as_completed(jobs, timeout=100, on_progress=note)]
        assert sorted(ended) == sorted(job.id for job in jobs)
        assert {status.id for status in seen} == set(ended)
        with pytest.raises(JobUnknown):
            await queue.job("never").status()
        with pytest.raises(JobUnknown):
            await queue.job("never").cancel()
        with pytest.raises(EngineUnknown):
            await queue.submit(HELLO, engine="unheard-of")
        slow = await queue.submit(many_pages(), engine="null", options={"delay_s": 0.2}, crops="none")
        with pytest.raises(JobWaitTimeout):
            await slow.wait(0.2)
        with pytest.raises(JobNotFinished):
            await slow.result(timeout=0)
        with pytest.raises(TimeoutError):
            await slow.result(0.2)
        await slow.cancel()
        assert (await slow.wait(60)).state == "cancelled"


def test_workers_and_queues_are_seen(installation: Installation) -> None:
    engines = installation.queue.engines()

    def is_seen() -> bool:
        nonlocal engines
        engines = installation.queue.engines()
        found = {queue.workers for queue in installation.queue.queues() if engines[queue.engine]}
        return found == {1}

    wait_until(is_seen, 60, "it beats: one that a busy machine keeps from it does not count meanwhile")
    assert {worker.pid for worker in engines["tesseract"]} == {installation.worker.pid}
    (offer,) = [offer for offer in engines["tesseract"][0].engines if offer.name == "tesseract"]
    assert {"eng", "kor"} <= set(offer.languages)


def test_log_lines_are_json_with_the_job_id_and_without_references(installation: Installation) -> None:
    job = installation.queue.submit("https://user:hunter2@127.0.0.1:1/scan.png?X-Amz-Signature=hunter3")
    job.wait(60)

    def events() -> list[dict[str, str]]:
        return [json.loads(line) for line in installation.worker.log_text().splitlines() if job.id in line]

    wait_until(lambda: {"job started", "job ended"} <= {event["event"] for event in events()}, 60, "both are logged")
    assert all(event["job_id"] == job.id for event in events() if event["logger"].startswith("ocrqueue"))
    assert "hunter" not in installation.worker.log_text()
    assert "hunter" not in job.status().model_dump_json()


def test_a_result_is_plain_json_for_anyone(queue: OcrQueue, installation: Installation) -> None:
    job = queue.submit(HELLO, crops="none")
    job.wait(60)
    stored = json.loads(open_storage(installation.settings).get(f"results/{job.id}/result.json"))
    assert stored["schema_version"] == 1
    assert stored["pages"][0]["text"] == "Hello 42\nsecond line"
    assert set(stored["timings"]) >= {"queue_wait_s", "fetch_s", "ocr_s", "total_s"}


async def test_after_its_end_a_client_connects_no_more(installation: Installation) -> None:
    queue = AsyncOcrQueue(installation.settings)
    await queue.submit("s3://bucket/page.png")
    await queue.close()
    # as the thread does that still builds what is to be submitted, while whoever waited for it has given up
    with pytest.raises(RuntimeError, match="no submission"):
        await asyncio.to_thread(lambda: queue._wait_in_thread(queue._read_engines()))
    pool = redis_of(queue).connection_pool
    assert [connection.is_connected for connection in pool._available_connections] == [False]
    assert pool._in_use_connections == set()


async def test_results_of_many_are_read_in_their_order(queue: OcrQueue, installation: Installation) -> None:
    job, other = queue.submit(HELLO), queue.submit(b"GIF8 no picture")
    for each in (job, other):
        each.wait(60)
    ids = [other.id, "never-submitted", job.id]
    found = list(queue.results(ids))
    assert [(status and status.state, document and document.job_id) for status, document in found] == [
        ("failed", None),
        (None, None),
        ("succeeded", job.id),
    ]
    async with AsyncOcrQueue(installation.settings) as awaited:
        assert [each async for each in awaited.results(ids)] == found
        with pytest.raises(TypeError):
            await awaited.statuses("abc")
        with pytest.raises(TypeError):
            await anext(awaited.as_completed("abc"))  # type: ignore[arg-type]  # as an app may
