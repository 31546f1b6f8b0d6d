"""Searchable PDFs of PDFs, whose pages are taken over in a process of its own: what a hostile file can cost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.document import Document
from ocrqueue.document.formats.isolated_pdf import PdfLimits, write_isolated
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.document.formats.pdf import searchable_pdf
from ocrqueue.errors import (
    OcrQueueError,
    PageNotFound,
    PdfDamaged,
    PdfOutputFailed,
    PdfPasswordRequired,
    PdfPasswordWrong,
)
from ocrqueue.job.names import OutputFormat
from tests.integration.conftest import Installation
from tests.integration.test_documents import PASSWORD, encrypted
from tests.support.documents import document_of, page_of
from tests.support.hostile_pdfs import looped_tree
from tests.support.pdfs import PdfPage, pdf_of, text_at
from tests.support.processes import wait_until
from tests.support.qpdf_traps import object_bomb, object_chain

pytest.importorskip("pikepdf", reason="pip install 'ocrqueue[pdf]'")

pytest_plugins = ["tests.support.server_fixtures"]

LIMITS = PdfLimits(memory_mib=512, seconds=120)
THREE = pdf_of(*(PdfPage(text_at(60, 700, f"Page {number}"), size=(400, 300)) for number in range(1, 4)))


def reading(pages: int = 3) -> Document:
    return document_of(*(page_of(number, [[["Hello", f"{number}"]]]) for number in range(1, pages + 1)))


def written(
    data: bytes,
    document: Document | None = None,
    limits: PdfLimits = LIMITS,
    *,
    annotated: bool = False,
    password: str | None = None,
    on_page: Callable[[], None] = lambda: None,
) -> bytes:
    target = BytesIO()
    source = ImageFile(data, password=lambda: password)
    write_isolated(document or reading(), source, target, limits, annotated=annotated, on_page=on_page)
    return target.getvalue()


def started(parent: int) -> list[int]:
    """The processes that `parent` has for writing PDFs."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent and b"isolated_pdf_child" in command:
            found.append(int(folder.name))
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert started(os.getpid()) == []


@pytest.mark.parametrize("annotated", [False, True])
def test_the_file_is_that_which_is_made_in_process(annotated: bool) -> None:
    pages: list[None] = []
    made = written(THREE, annotated=annotated, on_page=lambda: pages.append(None))
    assert made == searchable_pdf(reading(), THREE, annotated=annotated)
    assert len(pages) >= 3
    assert written(encrypted(THREE), password=PASSWORD) != b""


@pytest.mark.parametrize(
    ("data", "document", "password", "error"),
    [
        (b"%PDF-1.7\nnonsense", None, None, PdfDamaged),
        (looped_tree(), reading(1), None, PdfDamaged),
        (THREE, reading(4), None, PageNotFound),
        (None, None, None, PdfPasswordRequired),
        (None, None, "wrong", PdfPasswordWrong),
    ],
    ids=["nonsense", "looped-tree", "no-such-page", "no-password", "wrong-password"],
)
def test_errors_are_those_that_are_raised_in_process(
    data: bytes | None, document: Document | None, password: str | None, error: type[OcrQueueError]
) -> None:
    with pytest.raises(error) as raised:
        written(data or encrypted(THREE), document, password=password)
    assert type(raised.value) is error
    assert raised.value.info.code == error.code
    assert raised.value.message
    assert raised.value.info.remedy


def test_a_chain_of_objects_ends_its_own_process_alone() -> None:
    with pytest.raises(PdfOutputFailed, match="ended by signal"):
        written(object_chain(), reading(1), PdfLimits(2048, 120))


_MEASURED = """
import resource, sys
from io import BytesIO
from ocrqueue.document.formats.isolated_pdf import PdfLimits, write_isolated
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.errors import PdfOutputFailed
from tests.support.documents import document_of, page_of

try:
    write_isolated(document_of(page_of(1, [])), ImageFile(sys.stdin.buffer.read()), BytesIO(), PdfLimits(256, 300))
except PdfOutputFailed:
    pass
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
"""


def test_a_small_file_that_unpacks_to_gigabytes_stays_within_the_limit_of_memory() -> None:
    bomb = object_bomb()
    assert len(bomb) < 4096
    done = subprocess.run([sys.executable, "-c", _MEASURED], input=bomb, capture_output=True, check=True, timeout=300)
    # of MiB; the program itself has some 50
    assert 200 < int(done.stdout) < 400


class _Enough(Exception):
    pass


@pytest.mark.parametrize("stopped", [False, True], ids=["after-a-page", "in-the-midst-of-a-page"])
def test_what_on_page_raises_ends_the_process(stopped: bool) -> None:
    seen: list[int] = []

    def on_page() -> None:
        seen.extend(started(os.getpid()))
        if len(seen) == 2:
            raise _Enough
        if stopped:
            # it says no more: only time passes
            os.kill(seen[0], signal.SIGSTOP)

    with pytest.raises(_Enough):
        written(THREE, on_page=on_page)
    assert seen[0] == seen[1]
    assert started(os.getpid()) == []


def test_a_process_that_says_nothing_has_a_limit_of_time() -> None:
    def stop() -> None:
        for each in started(os.getpid()):
            os.kill(each, signal.SIGSTOP)

    with pytest.raises(PdfOutputFailed, match="takes longer than 3 s"):
        written(THREE, limits=PdfLimits(512, 3), on_page=stop)


def test_the_process_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")
    seen = []

    def on_page() -> None:
        (child,) = started(os.getpid())
        seen.append(Path(f"/proc/{child}/environ").read_bytes() + Path(f"/proc/{child}/cmdline").read_bytes())

    written(encrypted(THREE), password=PASSWORD, on_page=on_page)
    assert b"isolated_pdf_child" in seen[0]
    for secret in (b"hush-hush-hush", PASSWORD.encode(), b"OCRQUEUE"):
        assert not any(secret in each for each in seen)


_HELD = """
import time
from io import BytesIO
from ocrqueue.document.formats.isolated_pdf import PdfLimits, write_isolated
from ocrqueue.document.formats.page_image import ImageFile
from tests.integration.test_isolated_pdf import THREE, reading, started
import os

def hold():
    print(*started(os.getpid()), flush=True)
    time.sleep(600)

write_isolated(reading(), ImageFile(THREE), BytesIO(), PdfLimits(512, 900), on_page=hold)
"""


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGKILL])
def test_the_process_ends_with_the_one_that_asked_for_it(with_signal: int) -> None:
    with subprocess.Popen([sys.executable, "-c", _HELD], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        # as in the midst of what never ends
        os.kill(child, signal.SIGSTOP)
        parent.send_signal(with_signal)
    wait_until(lambda: not _runs(child), 30, "the process has ended with its parent")


def _runs(process: int) -> bool:
    try:
        # where nobody waits for it, it stays as a zombie
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_job_whose_searchable_pdf_cannot_be_made_succeeds(queue: OcrQueue, installation: Installation) -> None:
    for dpi in (72, 73):
        # not answered from the cache: of another resolution each time
        outputs: list[OutputFormat] = ["pdf", "alto", "overlay-pdf"]
        job = queue.submit(object_chain(), engine="null", dpi=dpi, crops="none", outputs=outputs, pages="1")
        document = job.result(120)
        assert [each.code for each in document.warnings] == ["output.failed"] * 2
        assert all("pdf.output_failed: " in each.message for each in document.warnings)
        assert [each.format for each in document.outputs] == ["alto"]
        status = job.status()
        assert (status.state, status.attempts) == ("succeeded", 1)
    good = queue.submit(THREE, engine="null", dpi=72, crops="none", outputs=["pdf"]).result(60)
    assert good.output("pdf").open().read() == searchable_pdf(good, THREE)
    assert installation.worker.process.poll() is None
