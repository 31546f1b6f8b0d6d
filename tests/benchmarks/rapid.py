"""The rapid engine: through the whole system against RapidOCR called directly, and its memory over many sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Literal, get_args

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.rapid import RapidEngine, RapidOptions
from ocrqueue_worker.engines.rapid.models import RapidModel
from ocrqueue_worker.engines.rapid.runtimes import Runtime
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.engine_call import as_page
from ocrqueue_worker.pipeline.page_reading import read_pages
from tests.benchmarks.accuracy import labelled_images
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.memory import print_resident
from tests.benchmarks.stage import CORES, file_stage, images_option, system_worker
from tests.support.accuracy import score_words

_TOGETHER = 10


@click.group()
def rapid() -> None:
    """Accuracy and memory of the rapid engine."""


@rapid.command("accuracy")
@images_option
@click.option("--truth", type=click.Choice(["txt", "csv"]), default="txt", show_default=True)
def accuracy_of_rapid(folder: Path, truth: Literal["txt", "csv"]) -> None:
    """Micro-F1 of words, and seconds a page: this system with one thread a child, and RapidOCR with all cores."""
    files, true = zip(*labelled_images(folder, truth), strict=True)
    table = Table("", "F1, case folded", "precision", "recall", "F1, exact", "s a page", title=f"{len(files)} images")
    for name, read in (("ocrqueue", _system), ("RapidOCR called directly", _direct)):
        texts, seconds = read(files)
        folded = score_words(zip(true, texts, strict=True), fold_case=True)
        exact = score_words(zip(true, texts, strict=True))
        shares = (f"{share:.4f}" for share in (folded.f1, folded.precision, folded.recall, exact.f1))
        table.add_row(name, *shares, f"{seconds / len(files):.2f}")
    Console(width=120).print(table)


@rapid.command("models")
@images_option
@click.option("--truth", type=click.Choice(["txt", "csv"]), default="csv", show_default=True)
@click.option("--first", type=click.IntRange(1), default=30, show_default=True, help="Images to read, by name.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
def models_of_rapid(folder: Path, truth: Literal["txt", "csv"], first: int, rounds: int) -> None:
    """Micro-F1 of words, case folded, and CPU seconds a page on one thread, by OCRQUEUE_RAPID_MODEL and _RUNTIME."""
    files, true = zip(*labelled_images(folder, truth)[:first], strict=True)
    images = [PageImage(1, Image.open(path).convert("RGB")) for path in files]
    engines = {
        f"{name}, {runtime}": RapidEngine(
            load_worker_settings(rapid_model=name, rapid_runtime=runtime, rapid_threads=1)
        )
        for runtime in get_args(Runtime)
        for name in get_args(RapidModel)
    }
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    texts: dict[str, list[str]] = {name: [] for name in engines}
    for engine in engines.values():
        engine.load()
    for number, image in enumerate(images):
        took: dict[str, list[float]] = {name: [] for name in engines}
        for each in range(rounds):
            for name, engine in engines.items():
                begin = time.process_time()
                (page,) = read_pages(engine, [image], Reading(("eng",), RapidOptions()), "auto")
                took[name].append(time.process_time() - begin)
                texts[name] += [as_page(image, page).text] if each == 0 else []
        for name, lasted in took.items():
            seconds[name].append(median(lasted))
        print(f"{number + 1} of {len(images)}", flush=True)
    table = Table("", "F1", "precision", "recall", "CPU s a page", title=f"{len(files)} images")
    for name in engines:
        score = score_words(zip(true, texts[name], strict=True), fold_case=True)
        shares = (f"{share:.4f}" for share in (score.f1, score.precision, score.recall))
        table.add_row(name, *shares, f"{sum(seconds[name]) / len(files):.2f}")
    Console(width=120).print(table)


@rapid.command()
@click.option("--images", type=click.IntRange(1), default=60, show_default=True)
@click.option("--runtime", type=click.Choice(get_args(Runtime)), default="onnxruntime", show_default=True)
def memory(images: int, runtime: Runtime) -> None:
    """Resident memory while pages of as many sizes are read one after the other."""
    from tests.support.page_makers import made_page

    engine, random = RapidEngine(load_worker_settings(rapid_runtime=runtime)), Random(1)
    engine.load()

    def read(_: int) -> None:
        image = made_page(random, (random.randint(300, 1100), random.randint(300, 1100)))[0]
        engine.recognize([PageImage(1, image)], Reading(("eng",), RapidOptions()))

    print_resident(images, _TOGETHER, read)


def _system(files: Sequence[Path]) -> tuple[list[str], float]:
    """What was read, and the seconds since the worker was up."""
    with file_stage() as stage, system_worker(stage, "rapid"), OcrQueue(stage.settings) as queue:
        begin = time.perf_counter()
        jobs = queue.submit_many(files, engine="rapid", crops="none", cache=False)
        return [job.result(timeout=TIMEOUT_S).text for job in jobs], time.perf_counter() - begin


def _direct(files: Sequence[Path]) -> tuple[list[str], float]:
    """What was read, and the seconds since the models were loaded."""
    from rapidocr import RapidOCR

    engine = RapidOCR(params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": CORES})
    begin = time.perf_counter()
    return ["\n".join(engine(path).txts or ()) for path in files], time.perf_counter() - begin
