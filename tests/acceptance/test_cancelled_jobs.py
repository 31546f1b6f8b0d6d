"""A cancelled job takes nobody's place and nobody's time."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

from PIL import Image

from ocrqueue import SubmittedJob
from ocrqueue.settings import WorkerSettings
from ocrqueue.settings.per_engine import PerEngine
from tests.support.outside import from_outside
from tests.support.pictures import text_picture, tiff
from tests.support.processes import wait_until
from tests.support.servers import Exchange, answer, http_server
from tests.support.standstill import time_lost


def test_cancelled_jobs_make_room_for_others(settings: WorkerSettings, tmp_path: Path) -> None:
    with from_outside(settings.model_copy(update={"max_queue_length": PerEngine(50)}), tmp_path) as outside:
        for job in outside.queue.submit_many([outside.stored_page()] * 50, engine="null"):
            assert job.cancel() == "cancelled"
        behind = outside.queue.submit(outside.stored_page(), engine="null")
        assert outside.waiting("ocr.null") == 1
        assert behind.status().state == "queued"


def test_a_job_asked_to_stop_is_not_tried_again(settings: WorkerSettings, tmp_path: Path) -> None:
    """Its attempt fails in a way that may pass, a moment after it was asked."""
    asked, may_answer = threading.Event(), threading.Event()

    def overloaded(exchange: Exchange) -> None:
        asked.set()
        may_answer.wait(60)
        answer(503)(exchange)

    pauses = {"retry_backoff_s": 1000, "retry_backoff_max_s": 1000, "source_allow_private_addresses": True}
    # nor does it fail by itself while the test is held up
    pauses |= {"source_connect_timeout_s": 60}
    with (
        http_server(overloaded) as server,
        from_outside(settings, tmp_path) as outside,
        outside.worker("--engine", "null", "-c", "1", **pauses),
    ):
        job = outside.queue.submit(server.url("/page.png"), engine="null")
        assert asked.wait(60)
        assert job.cancel() == "running"
        may_answer.set()
        assert job.wait(60).state == "cancelled"


def test_a_page_that_tesseract_reads_is_cancelled_within_two_seconds(settings: WorkerSettings, tmp_path: Path) -> None:
    """The quickest of a few: another program may have the processor for a moment."""
    took_s: list[float] = []
    with from_outside(settings, tmp_path) as outside, outside.worker("--engine", "tesseract", "-c", "1"):
        image = outside.queue.storage.put("inputs/long.tif", tiff(text_picture("Hello"), long_page()), "image/tiff")
        while not took_s or (min(took_s) > 2 and len(took_s) < 3):
            job = outside.queue.submit(image, cache=False)
            wait_until(partial(is_at_its_second_page, job), 60, "the long page is read")
            with time_lost() as lost_s:
                asked_at = time.monotonic()
                assert job.cancel() == "running"
                assert job.wait(60).state == "cancelled"
                took_s.append(time.monotonic() - asked_at - lost_s())
    assert min(took_s) <= 2, took_s


def long_page() -> Image.Image:
    """So many words that Tesseract is in one call for far longer than a cancel may take."""
    lines = text_picture("Hello 42 and many", "more words to read")
    picture = Image.new("L", (lines.width * 8, lines.height * 24), 255)
    for row in range(24):
        for column in range(8):
            picture.paste(lines, (column * lines.width, row * lines.height))
    return picture


def is_at_its_second_page(job: SubmittedJob) -> bool:
    return job.status().pages_done == 1
