"""A document read by several workers: how much faster two are than one, and what a killed one costs."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import click

from ocrqueue import OcrQueue
from ocrqueue.client import SubmittedJob
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.rates import print_table, run_in_turn
from tests.benchmarks.stage import Stage, file_stage
from tests.support.batches import log_lines
from tests.support.pdfs import PdfPage, pdf_of, text_at
from tests.support.processes import Worker, as_environment, worker

ONE, TWO = "one worker of one child", "two workers of one child each"
_LOST_AFTER_S = 5.0


@click.command()
@click.option("--pages", type=click.IntRange(20), default=300, show_default=True)
@click.option("--lines", type=click.IntRange(1), default=30, show_default=True, help="Of text on each page.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def spread(pages: int, lines: int, rounds: int) -> None:
    """Pages a second of one PDF with Tesseract, by one worker and by two; then one of two is killed halfway.

    Of each attempt at a page the workers' logs tell its end: no page is to be read twice but those that the killed
    worker had in its hands.
    """
    data = pdf_of(*(_page(number, lines) for number in range(pages)))
    with file_stage(log_level="info", lost_after_s=_LOST_AFTER_S, worker_heartbeat_s=1) as stage:
        rates = {ONE: _rate(stage, data, pages, 1), TWO: _rate(stage, data, pages, 2)}
        title = f"{pages} pages of {lines} lines, Tesseract"
        print_table(title, "pages/s", run_in_turn(rates, rounds), [TWO])
        with ExitStack() as stack:
            queue, workers = stack.enter_context(OcrQueue(stage.settings)), _workers(stack, stage, 2)
            job = _submitted(queue, data)
            _killed_halfway(job, pages, workers[0])
            state = job.wait(TIMEOUT_S).state
            ends = Counter(page for each in workers for page in _pages_read(each, job))
            again = sum(times > 1 for times in ends.values())
            print(f"one of two workers killed halfway: {state}, {len(ends)} pages read, {again} of them twice")


def _page(number: int, lines: int) -> PdfPage:
    text = b"\n".join(text_at(40, 800 - 24 * line, f"Line {line} of page {number}", 12) for line in range(lines))
    return PdfPage(text)


def _rate(stage: Stage, data: bytes, pages: int, count: int) -> Callable[[], float]:
    def rate() -> float:
        with ExitStack() as stack:
            queue = stack.enter_context(OcrQueue(stage.settings))
            _workers(stack, stage, count)
            job = _submitted(queue, data)
            begun = time.monotonic()
            if (status := job.wait(TIMEOUT_S)).state != "succeeded":
                raise click.ClickException(f"{status.state}: {status.error}")
            return pages / (time.monotonic() - begun)

    return rate


def _workers(stack: ExitStack, stage: Stage, count: int) -> list[Worker]:
    """Each has its log in a folder of its own."""
    made = []
    for number in range(count):
        folder = stage.folder / f"worker{number}"
        folder.mkdir(exist_ok=True)
        arguments = ("--engine", "tesseract", "--concurrency", "1")
        made.append(stack.enter_context(worker(as_environment(stage.settings), folder, *arguments)))
    return made


def _submitted(queue: OcrQueue, data: bytes) -> SubmittedJob:
    return queue.submit(data, engine="tesseract", crops="none", dpi=150, cache=False)


def _killed_halfway(job: SubmittedJob, pages: int, victim: Worker) -> None:
    while job.status().pages_done < pages // 2:
        time.sleep(0.2)
    # its children go with it, as with a machine
    for pid in (*victim.children(), victim.pid):
        os.kill(pid, signal.SIGKILL)


def _pages_read(each: Worker, job: SubmittedJob) -> list[int]:
    return [line["page"] for line in log_lines(each, event="page is done", job_id=job.id)]
