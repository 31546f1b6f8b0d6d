"""Who cleans all the time takes nothing from jobs at work, and leaves nothing of those that are gone."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.cleaning import Cleaning
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import open_storage
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import as_environment, wait_until, worker

pytest_plugins = ["tests.support.server_fixtures"]


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_cleaning_beside_jobs_at_work(
    settings: WorkerSettings, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    """Of no age at all: only what records say keeps anything."""
    if where == "s3":
        theirs: WorkerSettings = request.getfixturevalue("s3_settings")
        settings = settings.model_copy(update={"storage": theirs.storage, "s3_endpoint": theirs.s3_endpoint})
    stop = threading.Event()
    rounds = [0]

    def clean_on() -> None:
        with closing(WorkerRegistry(settings)) as registry:
            while not stop.is_set():
                Cleaning(
                    registry, open_storage(settings), dry_run=False, results_older_than_s=-60, least_age_s=-60
                ).run()
                rounds[0] += 1

    cleaner = threading.Thread(target=clean_on)
    with OcrQueue(settings) as queue, worker(as_environment(settings), tmp_path, "--engine", "null", "-c", "2"):
        queue.submit("s3://bucket/nothing", engine="null")
        for number in range(20):
            queue.storage.put(f"results/gone-{number}/crops.zip", b"crops", "application/zip")
            queue.storage.put(f"results/gone-{number}/result.json", b"{}", "application/json")
            queue.storage.put(f"inputs/{number:064x}.png", b"image", "image/png")
        cleaner.start()
        try:
            images = [png(text_picture(f"Page {number}")) for number in range(15)]
            images += [tiff(*(text_picture(f"{number}") for _ in range(3))) for number in range(5)]
            jobs = queue.submit_many(images * 2, engine="null", options={"words": 3, "split": True})
            jobs += queue.submit_many(images, engine="null", options={"words": 3}, crops="objects")
            documents = [job.result(100) for job in jobs]
            wait_until(lambda: rounds[0] > 1, 60, "it has been cleaned beside them")
        finally:
            stop.set()
            cleaner.join(60)
        assert not cleaner.is_alive()
        for document in documents:
            words = list(document.words())
            assert len(words) == 3 * len(document.pages)
            assert all(word.crop is not None and word.crop.open().read() for word in words)
        assert [key for key in queue.storage.list("") if "gone" in key or "00000000" in key] == []
        assert len(list(queue.storage.list("inputs"))) == len(images)
    with closing(WorkerRegistry(settings)) as registry:
        assert check(registry) == []
