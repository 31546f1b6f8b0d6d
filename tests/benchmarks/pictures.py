"""Odd pictures whose text is known: which are read right, refused or read wrong, engine by engine."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.errors import OcrQueueError
from ocrqueue.job.names import AUTO
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.stage import file_stage, system_worker

_RECALL = 0.9
_TOO_MANY = 0.1
_AUTO = ("tesseract", "rapid")
"""The workers where engines are chosen."""
_DOUBTFUL = 0.6
"""Mean confidence below which a page that is read wrong is not read wrong in silence."""


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--engine", "engines", multiple=True, default=("tesseract", "rapid"), show_default=True)
@click.option("--language", default="eng", show_default=True)
@click.option(
    "--for", "others", multiple=True, metavar="PREFIX=CODES", help="Other languages: f26=kor+eng. Repeatable."
)
def pictures(folder: Path, engines: Sequence[str], language: str, others: Sequence[str]) -> None:
    """A table in Markdown of the pictures in FOLDER that have a .txt of the same name beside them.

    Right: nine of ten words are read, and at most a tenth of their number (one at least) are too many.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix != ".txt" and path.with_suffix(".txt").is_file())
    languages = dict(other.partition("=")[::2] for other in others)
    columns = {engine: _verdicts(engine, files, language, languages) for engine in engines}
    click.echo(f"| picture | {' | '.join(engines)} |\n| --- |{' --- |' * len(engines)}")
    for place, path in enumerate(files):
        click.echo(f"| {path.name} | {' | '.join(columns[engine][place] for engine in engines)} |")
    right = (f"{sum(verdict == 'right' for verdict in columns[engine])} of {len(files)}" for engine in engines)
    click.echo(f"| right | {' | '.join(right)} |")


def _verdicts(engine: str, files: Sequence[Path], language: str, others: Mapping[str, str]) -> list[str]:
    with ExitStack() as stack:
        stage = stack.enter_context(file_stage())
        for worked in _AUTO if engine == AUTO else (engine,):
            stack.enter_context(system_worker(stage, worked))
        queue = stack.enter_context(OcrQueue(stage.settings))
        jobs: list[SubmittedJob | OcrQueueError] = []
        for path in files:
            codes = next((codes for prefix, codes in others.items() if path.name.startswith(prefix)), language)
            try:
                jobs.append(queue.submit(path, engine=engine, languages=codes, crops="none", cache=False))
            except OcrQueueError as error:
                jobs.append(error)
        return [_verdict(job, path.with_suffix(".txt")) for job, path in zip(jobs, files, strict=True)]


def _verdict(job: SubmittedJob | OcrQueueError, truth: Path) -> str:
    if isinstance(job, OcrQueueError):
        return job.code
    status = job.wait(TIMEOUT_S)
    if status.error is not None and status.state == "failed":
        return status.error.code
    document = job.result()
    want, got = _words(truth.read_text("utf-8")), _words(document.text)
    hit, extra = (want & got).total(), (got - want).total()
    if hit >= _RECALL * want.total() and extra <= (max(1, int(_TOO_MANY * want.total())) if want else 0):
        return "right"
    why = [warning.code for warning in document.warnings] + [error.code for error in document.errors]
    if document.mean_confidence is not None and document.mean_confidence < _DOUBTFUL:
        why.append(f"confidence {document.mean_confidence:.2f}")
    return f"{hit} of {want.total()} words, {extra} too many ({', '.join(why) or 'in silence'})"


def _words(text: str) -> Counter[str]:
    return Counter(unicodedata.normalize("NFC", text.replace("\f", " ")).split())
