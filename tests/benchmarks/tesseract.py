"""Pages a second of the whole system, against Tesseract alone and against a bare Celery task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from ocrqueue import OcrQueue
from ocrqueue.job import CropMode, Prepare
from ocrqueue_worker.engines.tesseract.tessdata import tessdata_dir
from tests.benchmarks.bare import TIMEOUT_S, bare_app, bare_rate, bare_worker
from tests.benchmarks.rates import Contestant, print_table, run_in_turn
from tests.benchmarks.raw import raw_tesseract
from tests.benchmarks.stage import (
    CORES,
    clear,
    image_files,
    images_option,
    s3_option,
    s3_stage,
    store_images,
    system_worker,
)

_DATABASE, _ONE_THREAD_DATABASE = 1, 2
_FEW = 4

ARCHIVE, OBJECTS = "ocrqueue, crops in an archive", "ocrqueue, crops as objects"
ONCE = "the same, each page read once (prepare=none)"
"""As its peers do: else a page that reads badly is prepared and read again."""


@click.command()
@images_option
@s3_option
@click.option("--rounds", type=click.IntRange(0), default=3, show_default=True, help="Against Tesseract alone.")
@click.option("--bare-rounds", type=click.IntRange(0), default=1, show_default=True, help="Against bare Celery.")
@click.option("--words/--no-words", default=True, show_default=True, help="Also the bare task that rereads each word.")
def tesseract(folder: Path, s3_endpoint: str | None, rounds: int, bare_rounds: int, words: bool) -> None:
    """Pages a second with Tesseract: this system, Tesseract alone, a bare Celery task."""
    files = image_files(folder)
    with ExitStack() as stack:
        stage = stack.enter_context(s3_stage(s3_endpoint))
        queue = stack.enter_context(OcrQueue(stage.settings))
        images = store_images(queue, files)
        stack.enter_context(system_worker(stage, "tesseract"))

        def system(crops: CropMode, inputs: Sequence[str], prepare: Prepare = "auto") -> Contestant:
            return _cleared(queue, lambda: system_rate(queue, inputs, crops, prepare))

        def bare(task: str, inputs: Sequence[str], database: int = _DATABASE) -> Contestant:
            return _cleared(queue, lambda: bare_rate(bare_app(stage.redis, database, True), task, inputs))

        ours = {
            ARCHIVE: system("archive", images * CORES),
            ONCE: system("archive", images * CORES, "none"),
            OBJECTS: system("objects", images * CORES),
        }
        system("objects", images[:CORES] * 2)()  # both children have met a page before the clock runs
        title = f"{len(files)} images, {CORES} at a time"
        if rounds:
            with raw_tesseract(files, tessdata_dir(stage.settings)) as raw:
                limits: dict[str, Contestant] = {
                    "limit: Tesseract alone, SetImage": lambda: raw(False),
                    "limit: Tesseract alone, SetImageBytes": lambda: raw(True),
                }
                print_table(title, "pages/s", run_in_turn(ours | limits, rounds), ours)
        if not (bare_rounds or words):
            return
        stack.enter_context(bare_worker(stage.redis, _DATABASE, True, stage.folder))
        stack.enter_context(bare_worker(stage.redis, _ONE_THREAD_DATABASE, True, stage.folder, one_thread=True))
        for database in (_DATABASE, _ONE_THREAD_DATABASE):
            bare("boxes", images[:CORES], database)()
        if bare_rounds:
            tasks = {
                "bare Celery: boxes, crops": bare("boxes", images),
                "bare Celery: boxes, crops, then the text": bare("boxes_and_text", images),
                "the same with OMP_THREAD_LIMIT=1": bare("boxes_and_text", images, _ONE_THREAD_DATABASE),
            }
            print_table(title, "pages/s", run_in_turn(ours | tasks, bare_rounds), ours)
        if words:
            few = images[:: -(-len(images) // _FEW)]
            pair = {
                ARCHIVE: system("archive", few * CORES),
                "bare Celery: boxes, crops, then each word": bare("boxes_and_words", few),
            }
            print_table(f"{len(few)} of the images only, one round", "pages/s", run_in_turn(pair, 1), [ARCHIVE])


def _cleared(queue: OcrQueue, run: Contestant) -> Contestant:
    def cleared() -> float:
        try:
            return run()
        finally:
            clear(queue)

    return cleared


def system_rate(queue: OcrQueue, images: Sequence[str], crops: CropMode, prepare: Prepare = "auto") -> float:
    """Images a second, from the call of submit_many to the last job's end. Raises if a job failed."""
    begin = time.perf_counter()
    jobs = queue.submit_many(images, crops=crops, prepare=prepare, cache=False)
    for job, status in queue.watch(jobs, timeout=TIMEOUT_S):
        if status.state != "succeeded":
            raise RuntimeError(f"job {job.id}: {status.state}: {status.error}")
    return len(images) / (time.perf_counter() - begin)
