"""Tesseract where memory or the scratch disk runs out: an error that says so, whichever way it is called."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytesseract
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Page
from ocrqueue.errors import EngineOutOfMemory, OcrQueueError, WorkerDiskFull
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.tesseract import TesseractEngine
from ocrqueue_worker.engines.tesseract.pytesseract_backend import _is_cut_off
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.limits.heap import return_freed_memory
from ocrqueue_worker.limits.memory_limit import data_limit
from ocrqueue_worker.limits.resource_errors import exhaustion_as_errors
from tests.support.pictures import png
from tests.support.processes import need_program

LINE, COUNT, PITCH_PX, BLOCK = "to be or not to be", 20, 40, 4096


def lines() -> Image.Image:
    """A picture whose PNG is smaller than the TSV of what is on it: the same line again and again."""
    line = Image.new("L", (340, PITCH_PX), 255)
    ImageDraw.Draw(line).text((20, 4), LINE, fill=0, font=ImageFont.load_default(size=32))
    picture = Image.new("L", (line.width, COUNT * PITCH_PX + 20), 255)
    for number in range(COUNT):
        picture.paste(line, (0, number * PITCH_PX + 10))
    return picture


LINES = lines()


@pytest.fixture(scope="module")
def pytesseract_engine() -> Iterator[TesseractEngine]:
    need_program("tesseract")
    engine = TesseractEngine(load_worker_settings(tesseract_backend="pytesseract"))
    engine.load()
    yield engine
    engine.close()


def attempt(engine: TesseractEngine, image: Image.Image, language: str = "eng", **options: object) -> Page:
    reading = Reading((language,), engine.parse_options({"psm": 6} | options), time.monotonic() + 600)
    with exhaustion_as_errors():
        (result,) = engine.recognize([PageImage(1, image)], reading)
    if isinstance(result, OcrQueueError):
        raise result
    return result


@contextmanager
def scratch_of(size: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for temporary files that holds `size` bytes and no more."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_scratch_disk_too_small_for_the_page_is_an_error_of_its_own(
    pytesseract_engine: TesseractEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = Image.effect_noise((200, 200), 90)
    assert len(png(noise)) > 20 << 10
    with scratch_of(20 << 10, tmp_path, monkeypatch) as folder:
        with pytest.raises(WorkerDiskFull, match="No space left on device") as error:
            attempt(pytesseract_engine, noise)
        assert error.value.retryable
        assert list(folder.iterdir()) == [], "it cleans up"


def test_what_tesseract_cannot_write_is_noticed_however_little_it_is(
    pytesseract_engine: TesseractEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a little room Tesseract fails; with a little more it says that all is well, and files end too early."""
    blocks = -(-len(png(LINES)) // BLOCK)
    for room in (1, 2):  # the TSV takes two, the text one
        with scratch_of((blocks + room) * BLOCK, tmp_path, monkeypatch), pytest.raises(WorkerDiskFull):
            attempt(pytesseract_engine, LINES)
    with scratch_of((blocks + 3) * BLOCK, tmp_path, monkeypatch):
        assert attempt(pytesseract_engine, LINES).text.count(LINE) == COUNT


def test_an_orientation_that_cannot_be_written_is_noticed(
    pytesseract_engine: TesseractEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = -(-len(png(LINES)) // BLOCK)
    with scratch_of(blocks * BLOCK, tmp_path, monkeypatch), pytest.raises(WorkerDiskFull, match="Tesseract"):
        attempt(pytesseract_engine, LINES, psm=0)


def test_a_file_over_the_limit_ends_tesseract_and_is_the_disks_error(pytesseract_engine: TesseractEngine) -> None:
    """SIGXFSZ ends the program, where Python ignores it and sees EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(png(LINES)) + 64, hard))
        with pytest.raises(WorkerDiskFull, match="Tesseract could not write"):
            attempt(pytesseract_engine, LINES)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
        with pytest.raises(WorkerDiskFull, match="File too large"):
            attempt(pytesseract_engine, LINES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_any_end_that_is_missing_is_noticed() -> None:
    table = "level\tpage_num\n" + "".join(
        "\t".join(["5", "1", "1", "1", "1", str(number), "9", "9", "9", "9", "96.5", word]) + "\n"
        for number, word in enumerate(["the", "the", "the", "쪽", "|"])
    )
    text = "the the\nthe 쪽 |\n"
    assert not _is_cut_off(table, text)
    for end in range(len(table)):
        assert _is_cut_off(table[:end], text), table[end - 20 : end]
    for end in range(len(text.rstrip())):
        assert _is_cut_off(table, text[:end])
    assert not _is_cut_off("level\n", "\n"), "an empty page"
    assert not _is_cut_off(table, text.replace("쪽", "?")), "not the same: no matter of the disk"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('ulimit -d 60000; exec tesseract "$@"', EngineOutOfMemory),
        ("kill -KILL $$", EngineOutOfMemory),
        ("echo terminate called after throwing std::bad_alloc >&2; kill -ABRT $$", EngineOutOfMemory),
        ("echo 'Error, could not create TXT output file: No space left on device' >&2; exit 1", WorkerDiskFull),
    ],
    ids=["limit", "killed", "aborted", "uncreated"],
)
def test_what_ends_the_program_is_told_apart(
    pytesseract_engine: TesseractEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    code: type[OcrQueueError],
) -> None:
    program = tmp_path / "tesseract"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(pytesseract.pytesseract, "tesseract_cmd", str(program))
    with pytest.raises(code):
        attempt(pytesseract_engine, Image.new("RGB", (3000, 3000), "white"))


@pytest.mark.parametrize("mib", [2, 12, 40, 60])
def test_a_page_over_the_memory_limit_fails_and_the_next_is_read(mib: int) -> None:
    """At each of its steps Tesseract must come back, and be of use afterwards.

    In a new process: this one may have freed memory and kept it, which does not count.
    """
    program = f"from {__name__} import read_over_the_limit; read_over_the_limit({mib})"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


def read_over_the_limit(mib: int) -> None:
    engine = TesseractEngine(load_worker_settings(tesseract_backend="tesserocr"))
    engine.load()
    page = Image.new("RGB", (3000, 3000), "white")
    page.paste(LINES, (100, 100))
    with pytest.raises(EngineOutOfMemory), data_limit(mib):
        attempt(engine, page)
    # what the large page took may be free and kept, and would do for the next
    del page
    return_freed_memory()
    with pytest.raises(EngineOutOfMemory), data_limit(mib // 4):
        attempt(engine, LINES, "kor")
    assert attempt(engine, LINES).text.count(LINE) == COUNT
    engine.close()
