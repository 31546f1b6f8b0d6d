"""A long PDF: when its first page can be had, how fast pages are read, and what memory that takes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.memory import resident_mib
from tests.benchmarks.stage import file_stage
from tests.support.pdfs import PdfPage, pdf_of, text_at
from tests.support.processes import Worker, as_environment, worker

_EVERY_S = 0.5
_QUARTERS = 4


@click.command()
@click.option("--pages", type=click.IntRange(60), default=1000, show_default=True)
@click.option("--engine", default="tesseract", show_default=True)
@click.option("--fallback", default=None, help="The engine after it, which reads each page again.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option("--children", type=click.IntRange(1), default=2, show_default=True, help="Of each worker.")
@click.option("--dpi", type=click.IntRange(50, 300), default=72, show_default=True)
def documents(pages: int, engine: str, fallback: str | None, workers: int, children: int, dpi: int) -> None:
    """Submit a PDF of many small pages, take its pages as they are read, and then its result."""
    data = pdf_of(*(PdfPage(text_at(20, 40, f"Page {number}"), size=(200, 80)) for number in range(1, pages + 1)))
    engines = [name for name in (engine, fallback) if name]
    options = {"null": {"split": True, "confidence": 0.1, "words": 50}} if engine == "null" else {}
    with ExitStack() as stack:
        # each page goes on
        at = stack.enter_context(file_stage(fallback_page_below="100", fallback_lines="false"))
        arguments = [part for name in engines for part in ("--engine", name)]
        arguments += ["--concurrency", str(children)]
        started = [
            stack.enter_context(worker(as_environment(at.settings), at.folder, *arguments)) for _ in range(workers)
        ]
        queue = stack.enter_context(OcrQueue(at.settings))
        given = options if fallback else options.get(engine, {})
        queue.submit(data, engine=engine, pages="1", dpi=dpi).wait(TIMEOUT_S)
        with _memory(started) as memory:
            begun = time.monotonic()
            job = queue.submit(data, engine=engine, fallback=[fallback] if fallback else [], dpi=dpi, options=given)
            read = [time.monotonic() - begun for _ in job.pages(TIMEOUT_S)]
            status = job.wait(TIMEOUT_S)
            whole = time.monotonic() - begun
            words = sum(1 for page in job.result().pages for _ in page.words())
        table = Table("pages", "engines", "state", "first page", "whole", "share", "pages/s", "words")
        table.add_row(
            str(status.pages),
            " -> ".join(engines),
            status.state,
            f"{read[0]:.2f} s",
            f"{whole:.1f} s",
            f"{read[0] / whole:.1%}",
            f"{pages / whole:.1f}",
            str(words),
        )
        Console(width=120).print(table)
        _print_memory(memory)


@contextmanager
def _memory(started: list[Worker]) -> Iterator[dict[str, list[float]]]:
    """Resident MiB by kind of process, as they were again and again; of children the largest."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    done = threading.Event()

    def sample() -> None:
        while not done.wait(_EVERY_S):
            found["client"].append(resident_mib())
            for number, each in enumerate(started, 1):
                found[f"worker {number}"].append(resident_mib(each.pid))
                found[f"children of {number}"].append(max(map(resident_mib, each.running_children()), default=0.0))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _print_memory(found: dict[str, list[float]]) -> None:
    if min(map(len, found.values()), default=0) < _QUARTERS:
        print("The pages were read too soon to see what memory does meanwhile: take more.")
        return
    table = Table("resident", "second quarter", "last quarter", "growth")
    for name, sizes in found.items():
        quarter = len(sizes) // _QUARTERS
        second, last = max(sizes[quarter : 2 * quarter]), max(sizes[-quarter:])
        table.add_row(name, f"{second:.0f} MiB", f"{last:.0f} MiB", f"{last / max(second, 1) - 1:+.1%}")
    Console(width=120).print(table)
