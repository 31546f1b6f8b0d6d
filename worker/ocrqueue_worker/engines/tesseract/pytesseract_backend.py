"""Tesseract as a process of its own a call, through pytesseract: where tesserocr is not, or isolation is wanted."""

from __future__ import annotations

import os
import shlex
import signal
from functools import cached_property
from pathlib import Path
from typing import Final

import pytesseract
from PIL.Image import Image
from pytesseract.pytesseract import osd_to_dict, run_tesseract, save

from ocrqueue.errors import (
    EngineFailed,
    EngineOutOfMemory,
    EngineTimeout,
    EngineUnavailable,
    OptionInvalid,
    WorkerDiskFull,
)
from ocrqueue_worker.engines.tesseract.backend import Call, Orientation, Output
from ocrqueue_worker.limits.resource_errors import DISK_FULL

_WORD_ROW: Final = "5\t"
_TEXT_COLUMN: Final = 11

_NO_MEMORY: Final = ("std::bad_alloc", "alloc fail")
"""In what it says on stderr: libstdc++'s last words, and Leptonica's ("pixdata_malloc fail for data")."""
_NOT_PROCESSED: Final = "Error during processing"
"""Tesseract's word for a renderer that failed, among other things."""
_NOT_WRITTEN: Final = "Tesseract could not write all that it read to the worker's folder for temporary files."


class SubprocessTesseract:
    """Needs the program `tesseract` on PATH."""

    def __init__(self, tessdata: Path) -> None:
        self._tessdata = tessdata

    @cached_property
    def _version(self) -> str:
        try:
            return str(pytesseract.get_tesseract_version())
        except pytesseract.TesseractNotFoundError:
            raise EngineUnavailable(
                "The program tesseract is not on PATH.", remedy="apt-get install tesseract-ocr."
            ) from None

    def version(self) -> str:
        return f"{self._version} (pytesseract {pytesseract.__version__})"

    def read(self, image: Image, call: Call) -> Output:
        arguments = ["--tessdata-dir", str(self._tessdata), "--oem", str(call.oem), "--psm", str(call.psm)]
        if call.dpi:
            arguments += ["--dpi", str(call.dpi)]
        variables = {"tessedit_create_tsv": "1", "tessedit_create_txt": "1", "preserve_interword_spaces": "1"}
        if call.whitelist:
            variables["tessedit_char_whitelist"] = call.whitelist
        if call.blacklist:
            variables["tessedit_char_blacklist"] = call.blacklist
        for name, value in variables.items():
            arguments += ["-c", f"{name}={value}"]
        try:
            tsv, text = _run(image, arguments, call, ("tsv", "txt"))
        except pytesseract.TesseractError as error:
            raise _failure(error, call) from error
        return Output(tsv, text)

    def orientation(self, image: Image, call: Call) -> Orientation | None:
        arguments = ["--tessdata-dir", str(self._tessdata), "--psm", "0"]
        try:
            (osd,) = _run(image, arguments, call, ("osd",))
        except pytesseract.TesseractError as error:
            if "Too few characters" in error.message or "Invalid resolution" in error.message:
                return None
            raise _failure(error, call) from error
        found = osd_to_dict(osd)
        return Orientation(found["orientation"], found["orientation_conf"])

    def close(self) -> None:
        pass


def _run(image: Image, arguments: list[str], call: Call, extensions: tuple[str, ...]) -> list[str]:
    """The files that Tesseract writes for the image, by their extensions: pytesseract's own functions return but one.

    Raises TesseractError, EngineTimeout, EngineOutOfMemory, WorkerDiskFull, and what writing the image raises.
    """
    with save(image) as (base, source):
        paths = [Path(f"{base}.{extension}") for extension in extensions]
        try:
            run_tesseract(
                input_filename=source,
                output_filename_base=base,
                extension=extensions[0],
                lang="+".join(call.languages),
                config=shlex.join(arguments),
                timeout=max(0.001, call.timeout_s),
            )
        except pytesseract.TesseractError as error:
            ran_out = _exhaustion(error, [_read(path) for path in paths])
            if ran_out is None:
                raise
            raise ran_out from error
        except RuntimeError as error:  # what pytesseract raises for a timeout
            raise EngineTimeout(f"Tesseract did not finish within {call.timeout_s:.0f} s.") from error
        written = [_read(path) for path in paths]
    if _is_cut_off(*written):
        raise WorkerDiskFull(_NOT_WRITTEN)
    return written


def _read(path: Path) -> str:
    # a file that is cut off may end within a character
    return path.read_text("utf-8", errors="ignore") if path.exists() else ""


def _is_cut_off(table: str, text: str | None = None) -> bool:
    """Whether not all was written of an OSD, or of a TSV and the text of the same words.

    Tesseract takes no notice where the last write to a file fails, at its fclose(3), and ends with status 0 (5.3,
    TessResultRenderer). An OSD and the head of a TSV end their line; beyond it, one file of the two ends before the
    other.
    """
    if not table.endswith("\n") or text is None:
        return not table.endswith("\n")
    rows = (row.split("\t") for row in table.split("\n") if row.startswith(_WORD_ROW))
    words = "".join("".join(row[_TEXT_COLUMN].split()) for row in rows if len(row) > _TEXT_COLUMN)
    plain = "".join(text.split())
    return words != plain and (words.startswith(plain) or plain.startswith(words))


def _exhaustion(error: pytesseract.TesseractError, written: list[str]) -> EngineOutOfMemory | WorkerDiskFull | None:
    """The error of the job where Tesseract failed for want of memory or disk; else None."""
    if error.status == -signal.SIGKILL or any(sign in error.message for sign in _NO_MEMORY):
        return EngineOutOfMemory(_message(error))
    if (
        error.status == -signal.SIGXFSZ
        or any(os.strerror(number) in error.message for number in DISK_FULL)
        # an OSD is too short for a write before the last; none is there where the page has no text
        or (_NOT_PROCESSED in error.message and len(written) > 1 and _is_cut_off(*written))
    ):
        return WorkerDiskFull(_NOT_WRITTEN)
    return None


def _failure(error: pytesseract.TesseractError, call: Call) -> EngineFailed | OptionInvalid:
    if call.oem in (0, 2) and "load" in error.message:
        return OptionInvalid(
            f"The packs for {'+'.join(call.languages)} have no legacy model, which oem {call.oem} needs.",
            remedy="Use oem 1 or 3.",
        )
    return EngineFailed(_message(error))


def _message(error: pytesseract.TesseractError) -> str:
    return f"Tesseract ended with status {error.status}: {error.message[:200]}"
