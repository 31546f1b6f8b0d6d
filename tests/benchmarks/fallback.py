"""Tesseract, and RapidOCR for what it is not sure of: words read right against seconds a page, by the thresholds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
from rich.console import Console
from rich.table import Table

from ocrqueue import Document, OcrQueue
from ocrqueue.calibration import (
    Curve,
    Sample,
    as_given,
    as_stated,
    calibration_error,
    fitted,
    held_out,
    labelled,
    read_truth,
)
from ocrqueue.calibration.diagram import Series, reliability_diagram
from ocrqueue.document import EngineInfo, InputInfo, Page
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.calibration import calibrated_line, calibrated_page
from tests.benchmarks import fallback_trade as trade
from tests.benchmarks.accuracy import labelled_images
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.stage import file_stage, images_option
from tests.support.accuracy import score_words
from tests.support.processes import as_environment, worker

_Result = TypeVar("_Result")

truth_option = click.option("--truth", type=click.Choice(["txt", "csv"]), default="csv", show_default=True)


@click.group()
def fallback() -> None:
    """Thresholds of the fallback tesseract -> rapid."""


@fallback.command()
@images_option
@truth_option
@click.option("--psm", default=3, show_default=True, help="Tesseract's option.")
@click.argument("readings", type=click.Path(dir_okay=False, path_type=Path))
def read(folder: Path, truth: Literal["txt", "csv"], psm: int, readings: Path) -> None:
    """Read each image with both engines, and each of Tesseract's lines with rapid's recogniser; one thread each."""
    os.environ["OMP_THREAD_LIMIT"] = "1"
    from ocrqueue.document import Line
    from ocrqueue_worker.engines.engine import Reading
    from ocrqueue_worker.engines.rapid import RapidEngine, RapidOptions
    from ocrqueue_worker.engines.tesseract import TesseractEngine, TesseractOptions
    from ocrqueue_worker.images.decoding import open_image

    settings = load_worker_settings(rapid_threads=1)
    tesseract, rapid = TesseractEngine(settings), RapidEngine(settings)
    tesseract.load()
    rapid.load()
    by_tesseract, by_rapid = Reading(("eng",), TesseractOptions(psm=psm)), Reading(("eng",), RapidOptions())
    samples = []
    for path, true in labelled_images(folder, truth):
        with open_image(path.read_bytes(), settings) as image:
            page = image.page(1)
            page.image.load()
            (first,), first_s = _timed(lambda page=page: tesseract.recognize([page], by_tesseract))  # type: ignore[misc]  # bound now
            (second,), second_s = _timed(lambda page=page: rapid.recognize([page], by_rapid))  # type: ignore[misc]  # bound now
            if not isinstance(first, Page) or not isinstance(second, Page):
                raise click.ClickException(f"{path}: {first if not isinstance(first, Page) else second}")
            lines, lines_s = [], []
            for line in first.lines():
                (again,), seconds = _timed(lambda page=page, line=line: rapid.recognize_lines(page, [line], by_rapid))  # type: ignore[misc]  # bound now
                lines.append(again if isinstance(again, Line) else line)
                lines_s.append(seconds)
            found, found_s = _timed(lambda page=page, first=first: _unseen(rapid, page, first, by_rapid))  # type: ignore[misc]  # bound now
        samples.append(
            trade.Sample(
                name=path.name,
                true=true,
                first=first,
                first_s=first_s,
                second=second,
                second_s=second_s,
                lines=tuple(lines),
                lines_s=tuple(lines_s),
                found=tuple(found),
                found_s=found_s,
            )
        )
        trade.save(samples, readings)
        print(f"{path.name}: {first_s:.2f} s, {second_s:.2f} s, {len(lines)} lines in {sum(lines_s):.2f} s", flush=True)


def _unseen(engine: Any, page: Any, first: Any, reading: Any) -> list[Any]:
    """What the engine makes of places where the first one's page has nothing."""
    from ocrqueue.document import Line

    unseen = engine.unseen_lines(page, list(first.lines()))
    return [line for line in engine.recognize_lines(page, unseen, reading) if isinstance(line, Line)]


def _timed(call: Callable[[], _Result]) -> tuple[_Result, float]:
    """With the seconds of the processor, which other work on the machine does not lengthen much."""
    begin = time.process_time()
    result = call()
    return result, time.process_time() - begin


@fallback.command("trade")
@click.option("--share", default=60, show_default=True, help="Most that it may take, in percent of rapid alone.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curve to it.")
@click.argument("readings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def trade_of(share: int, picture: Path | None, readings: Path) -> None:
    """F1 and seconds a page by the thresholds, of readings made by `read`; no image is read.

    Held out: each image with the thresholds that are best for the others at this share.
    """
    samples = trade.load(readings)
    rows = Rows(samples)
    whole_pages = trade.table(samples, trade.cuts(range(40, 91), [trade.OFF]))
    with_lines = trade.table(samples, trade.cuts([trade.OFF, *range(40, 81, 5)], range(40, 101, 2)))
    kept, kept_whole = _kept_cut(), trade.Cut(load_worker_settings().fallback_page_below.of("tesseract"))
    rows.add("Tesseract alone", "", rows.of(trade.Cut(trade.OFF)))
    for page in (60, 65, 70, 75, 80, 85):
        rows.add(f"{page} %", "-", rows.of(trade.Cut(page)))
    rows.add("held out", "-", trade.held_out(whole_pages, rows.alone, share / 100))
    for line in (60, 70, 75, 80, 85, 88, 90, 95):
        rows.add(f"{kept.page_below} %", f"{line} %", rows.of(trade.Cut(kept.page_below, line)))
    rows.add("held out", "held out", trade.held_out(with_lines, rows.alone, share / 100))
    rows.add("rapid alone", "", trade.total(rows.alone))
    Console(width=120).print(rows.table)
    print(f"best at {share} %: {trade.best(whole_pages, rows.alone, share / 100)}")
    print(f"best at {share} %: {trade.best(with_lines, rows.alone, share / 100)}")
    if picture is not None:
        _draw(rows, kept_whole, kept, picture)


@fallback.command()
@images_option
@click.argument("readings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--diagram", type=click.Path(dir_okay=False, path_type=Path), help="Draw it to this SVG.")
def reliability(folder: Path, readings: Path, diagram: Path | None) -> None:
    """Expected calibration error of both engines and of the two together, of readings made by `read`.

    Each page by curves learned on all others; the true lines are the .csv beside the images.
    """
    samples = trade.load(readings)
    if len(samples) < 2:
        raise click.ClickException("Each page is held out, so there are to be readings of two pages at least.")
    truths = [read_truth(folder / sample.name, "csv") for sample in samples]

    def words(pages: Sequence[Page]) -> list[list[Sample]]:
        return [labelled(_document(page), true, fold_case=True) for page, true in zip(pages, truths, strict=True)]

    first, second = words([sample.first for sample in samples]), words([sample.second for sample in samples])
    cut = _kept_cut()
    together = []
    for place, sample in enumerate(samples):
        curves = [fitted(chain.from_iterable((*read[:place], *read[place + 1 :]))) for read in (first, second)]
        together.append(trade.read_by_both(_calibrated(sample, *curves), cut)[0])
    auto = words(together)
    panels = [
        (name, [Series("as given", as_given(read)), Series("calibrated, held out", stated)])
        for name, read, stated in (
            ("tesseract", first, held_out(first)),
            ("rapid", second, held_out(second)),
            ("auto: tesseract, then rapid", auto, as_stated(auto)),
        )
    ]
    for name, series in panels:
        errors = (f"{one.name} {calibration_error(one.stated):.4f}" for one in series)
        print(f"{name}: {len(series[0].stated)} words on {len(samples)} pages, {', '.join(errors)}")
    if diagram is not None:
        diagram.write_text(reliability_diagram(panels), "utf-8")


def _kept_cut() -> trade.Cut:
    """Of the default settings."""
    settings = load_worker_settings()
    return trade.Cut(settings.fallback_lines_page_below.of("tesseract"), settings.fallback_line_below.of("tesseract"))


def _calibrated(sample: trade.Sample, first: Curve, second: Curve) -> trade.Sample:
    return sample.model_copy(
        update={
            "first": calibrated_page(sample.first, first),
            "second": calibrated_page(sample.second, second),
            "lines": tuple(calibrated_line(line, second) for line in sample.lines),
            "found": tuple(calibrated_line(line, second) for line in sample.found),
        }
    )


def _document(page: Page) -> Document:
    source = InputInfo(uri="", sha256=None, format="", bytes=None)
    info = EngineInfo(name="", version="", model="")
    fields: dict[str, Any] = {"job_id": "", "status": "succeeded", "input": source, "engine": info, "languages": ()}
    return Document(**fields, finished_at=datetime.now(UTC), pages=(page,))


class Rows:
    """A table of outcomes beside the second engine's."""

    def __init__(self, samples: Sequence[trade.Sample]) -> None:
        self.samples = samples
        self.alone = [trade.second_alone(sample) for sample in samples]
        self.alone_s = trade.total(self.alone).seconds
        self.table = Table("pages below", "lines below", "F1", "precision", "recall", "s a page", "of rapid alone")
        self.table.title = f"{len(samples)} images, one core"

    def of(self, cut: trade.Cut) -> trade.Outcome:
        return trade.total(trade.outcome(sample, cut) for sample in self.samples)

    def add(self, pages: str, lines: str, found: trade.Outcome) -> None:
        shares = (f"{share:.4f}" for share in (found.f1, found.score.precision, found.score.recall))
        self.table.add_row(
            pages, lines, *shares, f"{found.seconds / found.pages:.2f}", f"{found.seconds / self.alone_s:.0%}"
        )


def _draw(rows: Rows, kept_whole: trade.Cut, kept: trade.Cut, picture: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    def place(found: trade.Outcome) -> tuple[float, float]:
        return 100 * found.seconds / rows.alone_s, found.f1

    figure, axes = plt.subplots(figsize=(7, 3.9), dpi=110)
    curves = {
        "whole pages, by fallback_page_below": [trade.Cut(page) for page in range(40, 91, 2)],
        f"lines, and pages below {kept.page_below} %, by fallback_line_below": [
            trade.Cut(kept.page_below, line) for line in (trade.OFF, *range(40, 101, 5))
        ],
    }
    for (label, cuts), defaults in zip(curves.items(), (kept_whole, kept), strict=True):
        (drawn,) = axes.plot(*zip(*(place(rows.of(cut)) for cut in cuts), strict=True), marker=".", label=label)
        at = place(rows.of(defaults))
        axes.plot(*at, marker="o", markersize=9, color=drawn.get_color())
        shown = f"default: {defaults.line_below or defaults.page_below} %"
        axes.annotate(shown, at, xytext=(-30, 9), textcoords="offset points", fontsize=9)
    for name, found in (("Tesseract", rows.of(trade.Cut(trade.OFF))), ("rapid", trade.total(rows.alone))):
        axes.plot(*place(found), marker="s", color="black")
        axes.annotate(name, place(found), xytext=(0, 8), textcoords="offset points", fontsize=9, ha="center")
    axes.set(xlabel="seconds a page, in percent of rapid alone", ylabel="F1 of words", xlim=(5, 112), ylim=(0.68, 0.91))
    axes.set_title(f"{len(rows.samples)} photographed receipts", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    figure.tight_layout()
    figure.savefig(picture)


@fallback.command()
@images_option
@truth_option
@click.option("--psm", default=3, show_default=True, help="Tesseract's option.")
@click.option("--lines/--no-lines", default=True, show_default=True, help="The setting fallback_lines.")
def system(folder: Path, truth: Literal["txt", "csv"], psm: int, lines: bool) -> None:
    """Through real workers of one thread each, with the default settings: `auto`, and rapid alone, in turn."""
    files, true = zip(*labelled_images(folder, truth), strict=True)
    asked: dict[str, dict[str, Any]] = {
        "auto": {"engine": "auto", "options": {"tesseract": {"psm": psm}}},
        "rapid alone": {"engine": "rapid"},
    }
    read: dict[str, list[Document]] = {name: [] for name in asked}
    with ExitStack() as stack:
        stage = stack.enter_context(file_stage(rapid_threads=1, fallback_lines=lines))
        for engine in ("tesseract", "rapid"):
            arguments = ("--engine", engine, "--concurrency", "1")
            stack.enter_context(worker(as_environment(stage.settings), stage.folder, *arguments))
        queue = stack.enter_context(OcrQueue(stage.settings))
        for path in files:
            for name, fields in asked.items():
                job = queue.submit(path, crops="none", cache=False, **fields)
                read[name].append(job.result(timeout=TIMEOUT_S))
    table = Table("", "F1", "precision", "recall", "OCR, s a page", "of rapid alone", title=f"{len(files)} images")
    alone_s = sum(document.timings.ocr_s for document in read["rapid alone"])
    for name, documents in read.items():
        score = score_words(zip(true, (document.text for document in documents), strict=True), fold_case=True)
        steps = [sum(step.seconds for step in document.trail) or document.timings.ocr_s for document in documents]
        shares = (f"{share:.4f}" for share in (score.f1, score.precision, score.recall))
        table.add_row(name, *shares, f"{sum(steps) / len(files):.2f}", f"{sum(steps) / alone_s:.0%}")
    Console(width=120).print(table)
    steps = [step for document in read["auto"] for step in document.trail]
    print(
        f"{sum(step.pages_sent_on for step in steps)} pages and {sum(step.lines_sent_on for step in steps)} lines of "
        f"others went on; {sum(len(document.trail) == 1 for document in read['auto'])} pages were Tesseract's alone"
    )
