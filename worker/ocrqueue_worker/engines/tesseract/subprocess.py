"""Tesseract as a process of its own a call, through pytesseract: where tesserocr is not, or isolation is wanted."""

from __future__ import annotations

import shlex
from functools import cached_property
from pathlib import Path

import pytesseract
from PIL.Image import Image
from pytesseract.pytesseract import run_tesseract, save

from ocrqueue.errors import EngineFailed, EngineTimeout, EngineUnavailable, OptionInvalid
from ocrqueue_worker.engines.tesseract.backend import Call, Orientation, Output


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
            # image_to_data gives the TSV alone: this is its body, with the text kept too
            with save(image) as (base, source):
                run_tesseract(
                    input_filename=source,
                    output_filename_base=base,
                    extension="tsv",
                    lang="+".join(call.languages),
                    config=shlex.join(arguments),
                    timeout=max(0.001, call.timeout_s),
                )
                return Output(Path(f"{base}.tsv").read_text("utf-8"), Path(f"{base}.txt").read_text("utf-8"))
        except pytesseract.TesseractError as error:
            raise _failure(error, call) from error
        except RuntimeError as error:  # what pytesseract raises for a timeout
            raise EngineTimeout(f"Tesseract did not finish within {call.timeout_s:.0f} s.") from error

    def orientation(self, image: Image, call: Call) -> Orientation | None:
        arguments = ["--tessdata-dir", str(self._tessdata), "--psm", "0"]
        try:
            found = pytesseract.image_to_osd(
                image,
                config=shlex.join(arguments),
                timeout=max(0.001, call.timeout_s),
                output_type=pytesseract.Output.DICT,
            )
        except pytesseract.TesseractError as error:
            if "Too few characters" in error.message or "Invalid resolution" in error.message:
                return None
            raise _failure(error, call) from error
        except RuntimeError as error:
            raise EngineTimeout(f"Tesseract did not finish within {call.timeout_s:.0f} s.") from error
        return Orientation(found["orientation"], found["orientation_conf"])

    def close(self) -> None:
        pass


def _failure(error: pytesseract.TesseractError, call: Call) -> EngineFailed | OptionInvalid:
    if call.oem in (0, 2) and "load" in error.message:
        return OptionInvalid(
            f"The packs for {'+'.join(call.languages)} have no legacy model, which oem {call.oem} needs.",
            remedy="Use oem 1 or 3.",
        )
    return EngineFailed(f"Tesseract ended with status {error.status}: {error.message[:200]}")
