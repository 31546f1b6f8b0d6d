"""PDFs through the whole system: which pages, what opens them, and the text that they hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from io import BytesIO
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from tests.integration.conftest import Installation
from tests.support.brokers import Messages
from tests.support.hostile_pdfs import paper
from tests.support.pdfs import PdfPage, pdf_of, scan, text_at
from tests.support.pictures import tiff
from tests.support.processes import as_environment, wait_until

pytest_plugins = ["tests.support.server_fixtures"]

PASSWORD = "hush, hush"
FOUR = pdf_of(*(PdfPage(text_at(60, 700, f"Page {number}"), size=(200 + number, 800)) for number in range(1, 5)))


def encrypted(data: bytes) -> bytes:
    pikepdf = pytest.importorskip("pikepdf", reason="pip install 'ocrqueue[pdf]'")
    written = BytesIO()
    with pikepdf.open(BytesIO(data)) as opened:
        opened.save(written, encryption=pikepdf.Encryption(user=PASSWORD, owner="owner"))
    return written.getvalue()


def everything(queue: OcrQueue, job_id: str) -> bytes:
    """All that Redis and storage have of the installation."""
    client, found = registry_of(queue).client, []
    for key in client.scan_iter(match=f"{queue.settings.key_prefix}*"):
        found += [key, client.dump(key) or b""]
    found += [queue.storage.get(key) for key in queue.storage.list(f"results/{job_id}/")]
    return b"\n".join(found)


@pytest.mark.parametrize("make", ["pdf", "tiff", "gif"])
def test_some_pages_are_read(queue: OcrQueue, make: str) -> None:
    pictures = [Image.new("L", (200 + number, 80), 50 * number) for number in range(1, 5)]
    animated = BytesIO()
    pictures[0].save(animated, "GIF", save_all=True, append_images=pictures[1:])
    data = {"pdf": FOUR, "tiff": tiff(*pictures), "gif": animated.getvalue()}[make]
    job = queue.submit(data, engine="null", pages="4,2-3", dpi=72, crops="none")
    assert [page.number for page in job.result(60).pages] == [2, 3, 4]
    split = queue.submit(data, engine="null", pages="3-", dpi=72, crops="none", options={"split": True})
    assert [(page.number, page.error) for page in split.result(60).pages] == [(3, None), (4, None)]
    status = queue.submit(data, engine="null", pages="5-9").wait(60)
    assert status.error is not None
    assert status.error.code == "page.not_found"


def test_a_page_part_that_fails_is_told_by_its_own_number(queue: OcrQueue) -> None:
    options = {"split": True, "fault": "error", "fault_page": 4}
    document = queue.submit(FOUR, engine="null", pages="2,4", dpi=72, crops="none", options=options).result(60)
    assert [(page.number, page.error is None) for page in document.pages] == [(2, True), (4, False)]


def test_a_password_opens_a_pdf_and_is_gone_after_that(installation: Installation) -> None:
    queue, data = installation.queue, encrypted(FOUR)
    jobs = [queue.submit(data, password=given, engine="null", dpi=72) for given in (PASSWORD, None, "wrong")]
    codes = [status.error and status.error.code for status in (job.wait(60) for job in jobs)]
    assert codes == [None, "pdf.password_required", "pdf.password_wrong"]
    split = queue.submit(data, password=PASSWORD, engine="null", dpi=72, options={"split": True})
    assert len(split.result(60).pages) == 4
    for job in (*jobs, split):
        assert PASSWORD.encode() not in everything(queue, job.id)
    assert PASSWORD not in installation.worker.log.read_text(encoding="utf-8")
    assert check(registry_of(queue)) == []


@pytest.mark.parametrize("split", [False, True])
def test_the_searchable_pdf_of_an_encrypted_one_is_stored_while_its_password_is_there(
    queue: OcrQueue, split: bool
) -> None:
    data = encrypted(FOUR)
    options = {"split": True} if split else {}
    asked = {"password": PASSWORD, "outputs": ["pdf"], "existing_text": "use", "crops": "none", "options": options}
    document = queue.submit(data, engine="null", dpi=72, **asked).result(60)  # type: ignore[arg-type]  # fields of several types in one dict
    assert document.warnings == ()
    with pypdfium2.PdfDocument(document.output("pdf").open().read()) as pdf:
        assert ["Page 1" in page.get_textpage().get_text_range() for page in pdf] == [True, False, False, False]


def test_the_command_line_writes_the_searchable_pdf_of_an_encrypted_one(
    installation: Installation, tmp_path: Path
) -> None:
    path, secret = tmp_path / "four.pdf", tmp_path / "password"
    path.write_bytes(encrypted(FOUR))
    secret.write_text(f"{PASSWORD}\n")
    given = as_environment(installation.settings).items()
    environment = os.environ | {f"OCRQUEUE_{name.upper()}": str(value) for name, value in given}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ocrqueue.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    opened = ["--password-file", str(secret)]
    done = run("submit", "-e", "null", "--dpi", "72", *opened, "-f", "pdf", "-O", "read", "--json", str(path))
    assert done.returncode == 0, done.stderr
    job_id = json.loads(done.stdout.splitlines()[-1])["id"]
    for arguments in (["result", job_id, "-f", "pdf", "-O", "one.pdf"], ["overlay", job_id, "-O", "two.pdf"]):
        refused = run(*arguments)
        assert refused.returncode != 0
        assert "pdf.password_required" in refused.stderr
        assert "--password-file" in refused.stderr
        done = run(*arguments, *opened)
        assert done.returncode == 0, done.stderr
    for written in ("read/four.pdf", "one.pdf", "two.pdf"):
        with pypdfium2.PdfDocument(tmp_path / written) as pdf:
            assert len(pdf) == 4


def test_a_password_is_gone_with_a_job_that_is_cancelled_before_it_begins(installation: Installation) -> None:
    queue = installation.queue
    queue.pause(engine="null")
    try:
        job = queue.submit(FOUR, password=PASSWORD, engine="null")
        assert PASSWORD.encode() in everything(queue, job.id)
        assert check(registry_of(queue)) == []
        assert PASSWORD not in str(job.status())
        job.cancel()
    finally:
        queue.resume(engine="null")
    assert PASSWORD.encode() not in everything(queue, job.id)


def test_what_a_password_opened_is_not_remembered_for_who_has_none(queue: OcrQueue) -> None:
    data = encrypted(pdf_of(scan(paper())))
    assert queue.submit(data, password=PASSWORD, engine="tesseract", crops="none").result(60).text == "Hello 42"
    status = queue.submit(data, engine="tesseract", crops="none").wait(60)
    assert status.error is not None
    assert status.error.code == "pdf.password_required"


def test_by_name_and_on_the_command_line_it_is_the_same(installation: Installation, tmp_path: Path) -> None:
    queue, job_id = installation.queue, str(uuid.uuid4())
    image = queue.storage.put("inputs/secret.pdf", encrypted(FOUR), "application/pdf")
    asked = {"image": image, "engine": "null", "pages": "1", "dpi": 72, "password": PASSWORD, "existing_text": "use"}
    Messages(queue, "ocr.null").send(asked, task_id=job_id)
    wait_until(lambda: registry_of(queue).client.exists(registry_of(queue).keys.record(job_id)), 60, "it is taken in")
    assert queue.job(job_id).result(60).text == "Page 1"
    assert PASSWORD.encode() not in everything(queue, job_id)
    path, secret = tmp_path / "four.pdf", tmp_path / "password"
    path.write_bytes(encrypted(FOUR))
    secret.write_text(f"{PASSWORD}\n")
    options = ["-e", "null", "--pages", "2-3", "--existing-text", "use", "--password-file", str(secret), "--dpi", "72"]
    command = [sys.executable, "-m", "ocrqueue.cli", "submit", *options, "-f", "text", str(path)]
    given = as_environment(installation.settings).items()
    environment = os.environ | {f"OCRQUEUE_{name.upper()}": str(value) for name, value in given}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Page", "2", "Page", "3"]


def test_text_that_is_there_is_used_and_cut(queue: OcrQueue) -> None:
    mixed = pdf_of(PdfPage(text_at(60, 700, "Own words")), scan(paper()))
    document = queue.submit(mixed, engine="tesseract", existing_text="auto", dpi=100).result(60)
    assert [(page.text, page.source) for page in document.pages] == [("Own words", "pdf"), ("Hello 42", None)]
    own, word, *_ = document.words()
    assert (own.confidence, word.crop is not None) == (None, True)
    assert own.crop is not None
    assert own.crop.image().width > 30


def test_pages_can_be_had_before_the_last_is_read(queue: OcrQueue) -> None:
    options = {"split": True, "fault": "error", "fault_page": 3}
    job = queue.submit(FOUR, engine="null", pages="2-", dpi=72, options=options)
    assert [(page.number, page.error is None) for page in job.pages(60)] == [(2, True), (3, False), (4, True)]
    # it has ended
    assert [page.number for page in job.pages(60, in_order=False)] == [2, 3, 4]
