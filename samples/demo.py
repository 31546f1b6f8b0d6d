"""See it work: a private Redis, a worker and the samples, on this machine, from start to end.

    ./run demo [--engine NAME] [FILE ...]
    ./run demo --engine keras --model english [FILE ...]

What an app does is in `submit_samples` and `follow`: submit documents, wait as they end, take what was read.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ocrqueue import Document, JobStatus, OcrQueue, OcrQueueError, SubmittedJob
from ocrqueue.cli.crops import crop_name
from ocrqueue.client import ProgressCallback
from ocrqueue.document import Polygon
from ocrqueue.document.formats import render
from ocrqueue.document.formats.overlay import draw_overlay
from ocrqueue.document.formats.page_image import open_page
from ocrqueue.local import LocalSystem
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.keras.fetching import fetch_model
from ocrqueue_worker.geometry import polygon_iou

SAMPLES = Path(__file__).parent
CONCURRENCY = {"tesseract": 2, "rapid": 2}
"""Jobs at a time; what is not named decides itself, as keras-ocr does, which takes all cores for one."""
AUTO = ("tesseract", "rapid")
"""Engines of `--engine auto`: what the first is not sure of, the second reads."""
PATIENCE_S = 300
OVERLAP = 0.5
LEGEND = (
    "found: share of the words really there whose box overlaps theirs by half",
    "right: share of those found that were read right, capitals or not",
    "errors: characters to correct, per hundred of the true text (NAME.txt)",
)
FIRST_LINES = 4
ALL_LINES = 1000
EXTENSIONS = {"text": "txt", "json": "json", "tsv": "tsv", "hocr": "hocr"}


@dataclass(frozen=True)
class TrueWord:
    page: int
    text: str
    polygon: Polygon


@dataclass
class Sample:
    """A sample, what was made of it, and the text that it really shows."""

    image: Path
    job: SubmittedJob
    true_text: str
    true_words: list[TrueWord]
    status: JobStatus | None = None
    document: Document | None = None
    error: OcrQueueError | None = None


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--engine", default="tesseract", show_default=True)
@click.option("--model", help="Of the engine keras: small, english or stock; fetched if it is not here.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("demo-output"))
def demo(files: tuple[Path, ...], engine: str, model: str | None, output: Path) -> None:
    """Read FILES, or the samples, with a system of our own, show what came out, and end."""
    console = Console(highlight=False)
    if model is not None:
        fetch(model, console)
    shutil.rmtree(output, ignore_errors=True)
    started = time.monotonic()
    engines = AUTO if engine == "auto" else (engine,)
    console.print(f"Starting a private Redis and a worker for {' and for '.join(engines)} ...")
    concurrency = CONCURRENCY.get(engine)
    with LocalSystem(output / "data", engines, concurrency) as system, OcrQueue(system.settings) as queue:
        what = f"{len(files)} files" if files else f"what is in {SAMPLES.name}/"
        console.print(f"Ready after {time.monotonic() - started:.1f} s. Submitting {what} ...")
        submitted = time.monotonic()
        samples = submit_files(queue, engine, files) if files else submit_samples(queue, engine, console)
        follow(queue, samples, console)
        console.print(f"Read {len(samples)} files in {time.monotonic() - submitted:.1f} s.")
        for sample in samples:
            if sample.document is not None:
                write_files(sample.document, sample.image, output)
    show_table(samples, console)
    show_texts(samples, console, FIRST_LINES if not files else ALL_LINES)
    show_next_steps(samples, engine, output, console)
    if any(sample.document is None for sample in samples):
        raise SystemExit(1)


def fetch(model: str, console: Console) -> None:
    """Have the worker use the model, and bring its weights if they are not here."""
    os.environ["OCRQUEUE_KERAS_MODEL"] = model
    try:
        for fetched in fetch_model(load_worker_settings(keras_model=model)):
            console.print(f"{fetched.path}: {'was there' if fetched.was_there else 'fetched'}, sha256 is right")
    except OcrQueueError as error:
        raise SystemExit(str(error)) from None


def submit_files(queue: OcrQueue, engine: str, files: tuple[Path, ...]) -> list[Sample]:
    """Queue files whose text nobody has written down."""
    jobs = [queue.submit(file, engine=engine, outputs=["pdf"]) for file in files]
    return [Sample(file, job, "", []) for file, job in zip(files, jobs, strict=True)]


def submit_samples(queue: OcrQueue, engine: str, console: Console) -> list[Sample]:
    """Queue every sample in a language that the engine reads, with the options that its .json file names."""
    workers = [worker for of_engine in queue.engines().values() for worker in of_engine]
    known = {name for worker in workers for offer in worker.engines for name in offer.languages}
    samples = []
    for description in sorted(SAMPLES.glob("*.json")):
        wanted = json.loads(description.read_text(encoding="utf-8"))
        image = SAMPLES / wanted["image"]
        if known and not known.issuperset(wanted["languages"]):
            console.print(f"  {image.name}: left out: {engine} does not read {' '.join(wanted['languages'])} here")
            continue
        own = wanted["options"]
        options = {"tesseract": own} if engine == "auto" else own if engine == "tesseract" else {}
        # the worker stores a searchable PDF beside each result
        job = queue.submit(image, engine=engine, languages=wanted["languages"], options=options, outputs=["pdf"])
        words = [TrueWord(word["page"], word["text"], word["polygon"]) for word in wanted["words"]]
        samples.append(Sample(image, job, image.with_suffix(".txt").read_text(encoding="utf-8"), words))
    return samples


def follow(queue: OcrQueue, samples: list[Sample], console: Console) -> None:
    """Take the Documents as the jobs end, and show how far they are."""
    by_id = {sample.job.id: sample for sample in samples}
    with live_progress(samples, console) as on_progress:
        for job, status in queue.watch((sample.job for sample in samples), PATIENCE_S, on_progress):
            sample = by_id[job.id]
            sample.status = status
            try:
                sample.document = job.result()
            except OcrQueueError as error:
                sample.error = error


@contextmanager
def live_progress(samples: list[Sample], console: Console) -> Iterator[ProgressCallback]:
    """A line for each image that changes in place; without a terminal, a line for each change."""
    names = {sample.job.id: sample.image.name for sample in samples}
    if not console.is_terminal:
        seen: set[tuple[str, str]] = set()

        def print_change(status: JobStatus) -> None:
            if (status.id, status.state) not in seen:
                seen.add((status.id, status.state))
                console.print(f"  {names[status.id]}: {status.state}")

        yield print_change
        return
    columns = (SpinnerColumn(finished_text="-"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {job_id: progress.add_task(f"{name}: queued", total=1) for job_id, name in names.items()}

        def show_change(status: JobStatus) -> None:
            pages = f", page {status.pages_done} of {status.pages}" if (status.pages or 0) > 1 else ""
            progress.update(
                tasks[status.id],
                description=f"{names[status.id]}: {status.state}{pages}",
                completed=1 if status.finished else 0,
            )

        yield show_change


def write_files(document: Document, image: Path, output: Path) -> None:
    """The searchable PDF, the Document in other formats, its crops, and each page with the words marked."""
    results, crops, overlays = output / "results", output / "crops" / image.stem, output / "overlays"
    for folder in (results, crops, overlays):
        folder.mkdir(parents=True, exist_ok=True)
    document.output("pdf").save(results / f"{image.stem}.pdf")
    for name, extension in EXTENSIONS.items():
        (results / f"{image.stem}.{extension}").write_text(render(document, name), encoding="utf-8")
    for word in document.words():
        if word.crop is not None:
            (crops / crop_name(word)).write_bytes(word.crop.open().read())
    data = image.read_bytes()
    if image.suffix == ".pdf":
        (overlays / f"{image.stem}.pdf").write_bytes(document.to_overlay_pdf(data))
        return
    for page in document.pages:
        name = f"{image.stem}.png" if len(document.pages) == 1 else f"{image.stem}-p{page.number:03d}.png"
        draw_overlay(document, open_page(data, page.number), page.number).save(overlays / name, compress_level=1)


def show_table(samples: list[Sample], console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    routed = any(sample.status is not None and sample.status.route for sample in samples)
    left = ("file", "state")
    for name in (*left, *(() if routed else ("pages",)), "words", "found", "right", "conf.", "errors", "OCR s"):
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    if routed:
        table.add_column("read by", no_wrap=True)
    for sample in samples:
        if sample.document is None or sample.status is None:
            table.add_row(sample.image.name, Text(str(sample.error), style="red"))
            continue
        confidence = sample.document.mean_confidence
        found, right = found_and_right(sample.document, sample.true_words)
        table.add_row(
            sample.image.name,
            Text(sample.status.state, style="green" if sample.status.state == "succeeded" else "magenta"),
            *(() if routed else (str(len(sample.document.pages)),)),
            str(sample.status.words),
            f"{found:.0%}" if sample.true_words else "-",
            f"{right:.0%}" if sample.true_words else "-",
            "-" if confidence is None else f"{confidence:.0%}",
            f"{character_error_rate(sample.document.text, sample.true_text):.1%}" if sample.true_text else "-",
            f"{sum(step.seconds for step in sample.status.trail) or sample.status.timings.ocr_s:.2f}",
            *([read_by(sample.document)] if routed else []),
        )
    console.print()
    console.print(table)
    for line in LEGEND:
        console.print(line, style="dim")


def read_by(document: Document) -> str:
    """The engines whose words are in the Document."""
    engines = {word.engine or page.engine or document.engine.name for page in document.pages for word in page.words()}
    return "+".join(step.engine for step in document.trail if step.engine in engines)


def show_texts(samples: list[Sample], console: Console, most: int) -> None:
    for sample in samples:
        if sample.document is None:
            continue
        lines = [line for line in sample.document.text.splitlines() if line.strip()]
        shown = [Text(line) for line in lines[:most]]
        more = len(lines) - len(shown)
        console.print()
        console.print(Text(sample.image.name, style="bold"))
        for line in [*shown, *([Text(f"... and {more} more lines", style="dim")] if more > 0 else [])]:
            console.print(Text("  ").append(line), no_wrap=True, overflow="ellipsis")


def show_next_steps(samples: list[Sample], engine: str, output: Path, console: Console) -> None:
    job_id = samples[0].job.id
    started = " ".join(f"--engine {name}" for name in (AUTO if engine == "auto" else (engine,)))
    model = f"OCRQUEUE_KERAS_MODEL={named} " if (named := os.environ.get("OCRQUEUE_KERAS_MODEL")) else ""
    first = samples[0].image
    search = f"Open {output}/results/{first.stem}.pdf and search it."
    if first.parent == SAMPLES:
        search = (
            f'Open {output}/results/letter.pdf and search it for "lighthouse": samples/letter.pdf is only a picture of '
            "the text."
        )
    text = f"""
Everything has ended; what it made is in {output}/:
  results/   searchable PDF, text, JSON (boxes, confidences), TSV and hOCR of each file
  overlays/  each page with its words marked
  crops/     the picture of every word

{search}

To start the system again, with the jobs above:
  {model}.venv/bin/ocrqueue local {started} --data {output}/data

and in another terminal:
  export PATH="$PWD/.venv/bin:$PATH"; . {output}/data/env
  ocrqueue status {job_id}
  ocrqueue submit --engine {engine} --format text samples/letter.pdf
  ocrqueue --help"""
    console.print(Text(text), soft_wrap=True)


def found_and_right(document: Document, true_words: list[TrueWord]) -> tuple[float, float]:
    """The share of the true words with a box over them (intersection over union 0.5), and of those, read right."""
    read = [(page.number, word) for page in document.pages for word in page.words()]
    found = right = 0
    for true in true_words:
        overlaps = [(polygon_iou(word.polygon, true.polygon), word) for page, word in read if page == true.page]
        best = max(overlaps, key=lambda overlap: overlap[0], default=None)
        if best is not None and best[0] >= OVERLAP:
            found += 1
            right += best[1].text.casefold() == true.text.casefold()
    return found / max(1, len(true_words)), right / max(1, found)


def character_error_rate(text: str, true_text: str) -> float:
    """Edit distance over the length of the true text; runs of white space count as one blank."""
    read, true = " ".join(text.split()), " ".join(true_text.split())
    return edit_distance(read, true) / max(1, len(true))


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance, bit-parallel: Myers 1999 in the form of Hyyrö 2003, the column in one integer."""
    if not first:
        return len(second)
    places: dict[str, int] = {}
    for position, character in enumerate(first):
        places[character] = places.get(character, 0) | 1 << position
    every, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    rises, falls, distance = every, 0, len(first)
    for character in second:
        equal = places.get(character, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        up, down = falls | (every & ~(diagonal | rises)), rises & diagonal
        distance += bool(up & last) - bool(down & last)
        up, down = up << 1 | 1, down << 1
        rises = (down | ~(diagonal | up)) & every
        falls = up & diagonal & every
    return distance


if __name__ == "__main__":
    demo()
