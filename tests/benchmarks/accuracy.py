"""Words read right: the whole system against Tesseract alone, on images whose text is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import click
import pytesseract
from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.tesseract.tessdata import tessdata_dir
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.stage import CORES, file_stage, image_files, images_option, system_worker
from tests.support.accuracy import score_words

_CSV_COLUMNS = 9


@click.command()
@images_option
@click.option(
    "--truth",
    type=click.Choice(["txt", "csv"]),
    default="txt",
    show_default=True,
    help="Beside each image: its text, or one line `x1,y1,x2,y2,x3,y3,x4,y4,text` for each line of text.",
)
@click.option("--language", default="eng", show_default=True)
def accuracy(folder: Path, truth: Literal["txt", "csv"], language: str) -> None:
    """Micro-F1 of words: this system, and Tesseract alone, in-process and through pytesseract."""
    files, true = zip(*labelled_images(folder, truth, language), strict=True)
    readers: dict[str, Callable[[Sequence[Path]], list[str]]] = {
        "ocrqueue, in-process": partial(_system, "tesserocr", language),
        "ocrqueue, through pytesseract": partial(_system, "pytesseract", language),
        "Tesseract alone, in-process": partial(_tesserocr, language),
        "Tesseract alone, through pytesseract": partial(_pytesseract, language),
    }
    table = Table("", "F1", "precision", "recall", "words", "words read", title=f"{len(files)} images")
    for name, read in readers.items():
        score = score_words(zip(true, read(files), strict=True))
        shares = (f"{share:.4f}" for share in (score.f1, score.precision, score.recall))
        table.add_row(name, *shares, str(score.true), str(score.read))
    Console(width=140).print(table)


def labelled_images(folder: Path, truth: str | None, language: str = "eng") -> list[tuple[Path, str]]:
    """The images of a folder that have their text beside them in a file of this ending, .csv or .txt; and that text.

    None: of either. Samples say in a .json what they need: those in another language, or with options of their own, are
    left out. Raises click.ClickException where there is none.
    """
    endings = (truth,) if truth else ("csv", "txt")
    found = [
        (path, true_text(beside[0]))
        for path in image_files(folder)
        if (beside := [named for ending in endings if (named := path.with_suffix(f".{ending}")).is_file()])
        and _is_comparable(path, language)
    ]
    if not found:
        raise click.ClickException(f"No image in {folder} has a .{' or .'.join(endings)} in this language beside it.")
    return found


def _is_comparable(path: Path, language: str) -> bool:
    beside = path.with_suffix(".json")
    needs = json.loads(beside.read_text("utf-8")) if beside.is_file() else {}
    return needs.get("languages", [language]) == [language] and not needs.get("options")


def true_text(path: Path) -> str:
    """Of a file beside an image: a text, or a .csv as the option --truth has it."""
    text = path.read_text("utf-8")
    if path.suffix == ".txt":
        return text
    rows = (line.split(",", _CSV_COLUMNS - 1) for line in text.splitlines())
    return "\n".join(row[-1] for row in rows if len(row) == _CSV_COLUMNS)


def _system(backend: str, language: str, files: Sequence[Path]) -> list[str]:
    with (
        file_stage(tesseract_backend=backend) as stage,
        system_worker(stage, "tesseract"),
        OcrQueue(stage.settings) as queue,
    ):
        jobs = queue.submit_many(files, languages=language, crops="none", cache=False)
        return [job.result(timeout=TIMEOUT_S).text for job in jobs]


def _tesserocr(language: str, files: Sequence[Path]) -> list[str]:
    import tesserocr

    texts = []
    with tesserocr.PyTessBaseAPI(f"{tessdata_dir(load_worker_settings())}/", language) as api:
        for path in files:
            with Image.open(path) as image:
                api.SetImage(image)
            texts.append(str(api.GetUTF8Text()))
    return texts


def _pytesseract(language: str, files: Sequence[Path]) -> list[str]:
    def read(path: Path) -> str:
        with Image.open(path) as image:
            return str(pytesseract.image_to_string(image, language))

    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(read, files))
