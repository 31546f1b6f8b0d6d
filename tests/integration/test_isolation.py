"""The processes that open untrusted files: none is told a secret, and each starts within what its parent may take."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue.settings import load_worker_settings
from ocrqueue_gateway.pictures.process import Processes
from ocrqueue_worker.pdf import process
from ocrqueue_worker.pdf.document import open_pdf
from tests.integration.gateway.pages.test_pictures import task
from tests.integration.test_isolated_pdf import THREE, started, written

SECRETS = ("PATH_SECRET", "COV_TOKEN", "LANG_KEY", "LC_PASSWORD", "PYTHON_KEYRING", "AWS_SECRET_ACCESS_KEY")
NEEDED = {"PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "hush-hush-hush")
    # coverage measures nothing by an empty name of a file
    monkeypatch.setenv("COVERAGE_PROCESS_START", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def end_idle() -> None:
    while process._idle:
        process._idle.pop().end()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Also of what other tests have started, in another environment."""
    end_idle()
    yield
    end_idle()


def check(environ: bytes) -> None:
    """`environ`: as in /proc/PID/environ."""
    names = {each.partition(b"=")[0].decode() for each in environ.split(b"\0")}
    assert names >= NEEDED
    assert names.isdisjoint(SECRETS)
    assert b"hush-hush-hush" not in environ


def test_what_draws_pdfs_is_told_no_secret() -> None:
    with open_pdf(THREE, load_worker_settings()) as pdf:
        assert pdf.page_count == 3
        assert pdf._process is not None
        check(Path(f"/proc/{pdf._process._process.pid}/environ").read_bytes())


def test_what_writes_pdfs_is_told_no_secret() -> None:
    seen = []

    def on_page() -> None:
        (child,) = started(os.getpid())
        seen.append(Path(f"/proc/{child}/environ").read_bytes())

    written(THREE, on_page=on_page)
    check(seen[0])


async def test_what_makes_pictures_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = tmp_path / "python"
    # the next one is started meanwhile, and ended at any time
    kept = tmp_path / "environ"
    interpreter.write_text(f"#!/bin/sh\ncat /proc/self/environ > {kept}.$$ && mv {kept}.$$ {kept}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    processes = Processes()
    await processes.carry_out(task(tmp_path, "tiles"), 120)
    await processes.close()
    check(kept.read_bytes())


_LIMITED = """
import resource
for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE):
    resource.setrlimit(limit, (3 << 30, 3 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (50, 50))

import asyncio, os, sys
from pathlib import Path
from PIL import Image
from ocrqueue.document.formats.isolated_pdf import PdfLimits
from ocrqueue.settings import load_worker_settings
from ocrqueue_gateway.pictures.process import Processes
from ocrqueue_worker.pdf import process
from ocrqueue_worker.pdf.document import PdfReading, open_pdf
from tests.integration.gateway.pages.test_pictures import png, task
from tests.integration.test_isolated_pdf import THREE, started, written
from tests.integration.test_pdf_pages import SETTINGS

def tell(process):
    for row in Path(f"/proc/{process}/limits").read_text().splitlines():
        if row.startswith(("Max address space", "Max data size", "Max cpu time")):
            print(*row.split()[1:5], flush=True)
"""
_DRAWS = """
with open_pdf(THREE, SETTINGS, PdfReading(memory_mib=8192)) as pdf:
    pdf.page(1)
    tell(pdf._process._process.pid)
process._idle.pop().end()
"""
_WRITES = """
written(THREE, limits=PdfLimits(8192, 30), on_page=lambda: tell(*started(os.getpid())))
"""
_MAKES_PICTURES = """
folder = Path(sys.argv[1])
(folder / "source").write_bytes(png((60, 40)))

async def make():
    processes = Processes()
    # of addresses, for so many pixels, 8 GiB; of processor time 60 s
    await processes.carry_out(task(folder, "tiles").model_copy(update={"max_pixels": 500_000_000}), 120)
    await processes.close()

asyncio.run(make())
print((folder / "target").stat().st_size > 0)
"""


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (_DRAWS, f"data size {3 << 30} {3 << 30}"),
        # 30 s were asked for, and 5 more until the end; 8 GiB of addresses
        (_WRITES, "cpu time 30 35"),
        (_WRITES, f"address space {3 << 30} {3 << 30}"),
        (_MAKES_PICTURES, "True"),
    ],
    ids=["draws", "writes: time", "writes: memory", "pictures"],
)
def test_a_lower_limit_of_the_parent_is_kept_and_no_error(program: str, told: str, tmp_path: Path) -> None:
    """A hard limit cannot be raised: whoever asks for more than is allowed would end before it has begun."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED + program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert told in done.stdout.splitlines()
