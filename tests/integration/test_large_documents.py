"""Documents of more pages than one object in storage is to hold, through the whole system."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import AsyncOcrQueue, Document, OcrQueue, SubmittedJob
from ocrqueue.document import MOST_INLINE, PageObjects, document_from_json
from ocrqueue.errors import PageNotFound, ResultUnreadable, StorageNotFound
from ocrqueue.job.names import NEEDS_IMAGE, OUTPUTS
from tests.integration.conftest import Installation
from tests.support.pictures import tiff
from tests.support.processes import as_environment

pytest_plugins = ["tests.support.server_fixtures"]

PAGES = MOST_INLINE + 10
FAILED = 7
IMAGE = tiff(*(Image.new("L", (60 + number, 40), 255) for number in range(PAGES)))


def options(*, split: bool) -> dict[str, object]:
    return {"words": 3, "confidence": 0.5, "fault": "error", "fault_page": FAILED, "split": split}


@pytest.fixture(scope="module")
def jobs(installation: Installation) -> dict[bool, str]:
    """The same document, read in parts and as a whole; by whether it was in parts."""
    with OcrQueue(installation.settings) as queue:
        given = {
            split: queue.submit(IMAGE, engine="null", options=options(split=split), outputs=["text", "page"])
            for split in (True, False)
        }
        for job in given.values():
            job.wait(600)
        return {split: job.id for split, job in given.items()}


@pytest.fixture(params=[True, False], ids=["in parts", "whole"])
def job(request: pytest.FixtureRequest, jobs: dict[bool, str], queue: OcrQueue) -> SubmittedJob:
    return queue.job(jobs[request.param])


def stored(queue: OcrQueue, job_id: str) -> list[str]:
    folder = f"results/{job_id}/"
    return [key.removeprefix(folder) for key in queue.storage.list(folder)]


def test_the_result_is_an_envelope_and_an_object_a_page(queue: OcrQueue, job: SubmittedJob) -> None:
    status, document = job.status(), job.result()
    envelope = queue.storage.get(f"results/{job.id}/result.json")
    read = json.loads(envelope)
    assert (read["pages"], len(read["page_objects"])) == ([], PAGES)
    assert isinstance(document.pages, PageObjects)
    assert (status.state, status.pages, status.words) == ("partial", PAGES, 3 * (PAGES - 1))
    assert (status.mean_confidence, document.mean_confidence, document.word_count) == (0.5, 0.5, status.words)
    kept = {re.split(r"[/.-]", name)[0] for name in stored(queue, job.id)}
    assert kept == {"result", "pages", "crops", "outputs"}
    named = {known["uri"] for known in read["page_objects"] if known["uri"]}
    lying = {
        queue.storage.uri(f"results/{job.id}/{name}") for name in stored(queue, job.id) if name.startswith("pages/")
    }
    assert named == lying
    text = next(output for output in document.outputs if output.format == "text")
    assert b"".join(text.pieces()).decode() == document.to_text()
    assert sum(output.format == "page" for output in document.outputs) == PAGES


def test_its_pages_are_there_as_those_of_any_document(job: SubmittedJob) -> None:
    document = job.result()
    pages: Sequence[object] = document.pages
    assert [page.number for page in document.pages] == list(document.page_numbers) == list(range(1, PAGES + 1))
    assert (len(pages), document.pages[-1].number) == (PAGES, PAGES)
    assert [page.number for page in document.pages[2:4]] == [3, 4]
    assert (document.page(FAILED).error is None, document.page(FAILED + 1).error) == (False, None)
    assert [error.code for error in document.errors] == ["engine.failed"]
    assert list(document.failed_pages) == [FAILED]
    with pytest.raises(PageNotFound):
        document.page(PAGES + 1)
    word = next(document.words())
    assert word.crop is not None
    assert word.crop.image().format == "PNG"
    assert [page.number for page in job.pages(60)] == list(document.page_numbers)


def test_it_can_be_copied_compared_and_pickled_without_its_storage(queue: OcrQueue, job: SubmittedJob) -> None:
    document = job.result()
    for other in (copy.deepcopy(document), pickle.loads(pickle.dumps(document))):  # our own
        assert other == document
        with pytest.raises(ResultUnreadable, match="not bound"):
            next(other.words())
        other.bind(queue.storage)
        assert other.text == document.text
    whole = Document.model_validate_json(document.to_json())
    assert (whole.page_objects, whole.text, whole.word_count) == ((), document.text, document.word_count)
    assert whole.pages == tuple(document.pages)
    assert Document.model_validate_json(document.model_dump_json()).text == document.text
    with pytest.raises(ValueError, match=r"job\.result\(\)"):
        Document.model_validate_json(queue.storage.get(f"results/{job.id}/result.json"))


def test_every_format_is_as_of_a_document_that_is_whole(
    installation: Installation, queue: OcrQueue, job: SubmittedJob, tmp_path: Path
) -> None:
    document = job.result()
    whole = document.with_pages(document.pages)
    given = as_environment(installation.settings).items()
    environment = os.environ | {f"OCRQUEUE_{name.upper()}": str(value) for name, value in given}
    for name in sorted(set(OUTPUTS) - set(NEEDS_IMAGE) - {"page"}):
        assert document._rendered(name) == whole._rendered(name)
    command = [sys.executable, "-m", "ocrqueue.cli", "result", job.id, "-f", "jsonl"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == whole.to_jsonl()


async def test_the_asyncio_client_hands_out_its_pages_without_holding_up_the_loop(
    installation: Installation, jobs: dict[bool, str]
) -> None:
    async with AsyncOcrQueue(installation.settings) as queue:
        for job_id in jobs.values():
            numbers = [page.number async for page in queue.job(job_id).pages(60)]
            assert numbers == list(range(1, PAGES + 1))
            document = await queue.job(job_id).result()
            assert await asyncio.to_thread(lambda read: read.text.count("\f"), document) == PAGES - 1


def test_deleting_the_job_deletes_its_pages(queue: OcrQueue) -> None:
    job = queue.submit(IMAGE, engine="null", options={"split": True}, crops="none")
    job.wait(600)
    document = job.result()
    assert len(stored(queue, job.id)) == PAGES + 1
    assert job.delete()
    assert stored(queue, job.id) == []
    with pytest.raises(StorageNotFound):
        next(iter(document.pages))


def test_a_small_document_is_one_object(queue: OcrQueue) -> None:
    job = queue.submit(IMAGE, engine="null", options={"split": True}, crops="none", pages=f"1-{MOST_INLINE}")
    job.wait(600)
    assert stored(queue, job.id) == ["result.json"]
    document = document_from_json(queue.storage.get(f"results/{job.id}/result.json"))
    assert (type(document.pages), len(document.pages), document.summary) == (tuple, MOST_INLINE, None)
