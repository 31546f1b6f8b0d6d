"""`ocrqueue calibrate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click

from ocrqueue.calibration import (
    Calibration,
    Sample,
    Table,
    as_given,
    as_stated,
    calibration_error,
    held_out,
    labelled,
    model_name,
    read_table,
    read_truth,
)
from ocrqueue.calibration.diagram import Series, reliability_diagram
from ocrqueue.cli.durations import SECONDS
from ocrqueue.cli.inputs import parse_options, parse_options_by_engine, split_languages
from ocrqueue.cli.jobs import say_failures
from ocrqueue.cli.output import json_option, number, print_json, print_table, say
from ocrqueue.cli.waiting import wait_for
from ocrqueue.client import OcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.document import EngineInfo
from ocrqueue.document.written_file import write_whole
from ocrqueue.errors import CalibrationInvalid
from ocrqueue.job.names import AUTO

_NO_IMAGE: Final = {".txt", ".csv", ".json"}
_COLUMNS: Final = ("engine", "model", "pages", "words", "right", "error as given", "held out", "now")


@dataclass(frozen=True, slots=True)
class Learned:
    """What one engine has read of the labelled pages."""

    engine: str
    info: EngineInfo
    pages: list[list[Sample]]
    calibration: Calibration | None
    """None of `auto`, whose words are those of other engines."""

    def described(self) -> dict[str, Any]:
        every = [sample for page in self.pages for sample in page]
        return {
            "engine": self.engine,
            "model": None if self.calibration is None else self.calibration.model,
            "pages": len(self.pages),
            "words": len(every),
            "right": round(sum(sample.right for sample in every) / len(every), 4) if every else None,
            "error_as_given": round(calibration_error(as_given(self.pages)), 4),
            "error_held_out": None if self.calibration is None else self.calibration.error,
            "error_now": round(calibration_error(as_stated(self.pages)), 4),
        }

    def panel(self) -> tuple[str, list[Series]]:
        if self.calibration is None:
            return self.engine, [Series("now", as_stated(self.pages))]
        calibrated = Series("calibrated, held out", held_out(self.pages))
        return self.engine, [Series("as given", as_given(self.pages)), calibrated]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--engine",
    "-e",
    "engines",
    multiple=True,
    help="Engine to calibrate. Repeatable.  [default: OCRQUEUE_DEFAULT_ENGINE]",
)
@click.option(
    "--truth",
    type=click.Choice(["txt", "csv"]),
    default="txt",
    show_default=True,
    help="Beside each image: its text, or one line `x1,y1,x2,y2,x3,y3,x4,y4,text` for each line of text.",
)
@click.option("--fold-case", is_flag=True, help="Ignore case, such as when the texts are in capitals.")
@click.option("--language", "-l", "languages", multiple=True, metavar="CODE", help="Language of the pages. Repeatable.")
@click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the engine; with auto ENGINE.KEY=VALUE. Repeatable.",
)
@click.option(
    "--output",
    "-O",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("calibration.json"),
    show_default=True,
    help="File for the table. If it exists, other engines in it stay.",
)
@click.option("--diagram", type=click.Path(dir_okay=False, path_type=Path), help="Draw reliability diagrams, as SVG.")
@click.option(
    "--learned-on", metavar="TEXT", help="Description of the pages, for the table.  [default: the folder's name]"
)
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Give up waiting after this time.")
@json_option
def calibrate(
    folder: Path,
    engines: tuple[str, ...],
    truth: Literal["txt", "csv"],
    fold_case: bool,
    output: Path,
    diagram: Path | None,
    learned_on: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Learn from labelled pages what confidences mean.

    Each engine reads the images in FOLDER that have their true text beside them. The command writes what it learns to a
    table. Workers use the table that their OCRQUEUE_CALIBRATION names. The errors are expected calibration errors.
    `error as given` is that of the engine's own confidences. `held out` is that of calibrated confidences, on pages
    from which the curve was not learned. `now` is that of the confidences that the workers state now. `auto` is only
    measured: it states what its engines state. With --json, one object for each engine.
    """
    # all that may be wrong, before anything is read
    true = {path: read_truth(path, truth) for path in labelled_images(folder, truth)}
    table = read_table(output) if output.exists() else Table(calibrations=())
    for written in (output, diagram):
        if written is not None and not os.access(written.absolute().parent, os.W_OK):
            raise click.UsageError(f"{written} cannot be written: its folder is not there, or is not this user's.")
    found: list[Learned] = []
    with OcrQueue() as queue:
        for engine in dict.fromkeys(engines or (queue.settings.default_engine,)):
            fields = _fields(engine, asked)
            read = _read(queue, list(true), fields, asked["timeout"], progress=not as_json)
            pages = [
                (labelled(queue.document(status), true[path], fold_case=fold_case), status)
                for path, status in read.items()
            ]
            infos = [queue.document(status).engine for _, status in pages]
            languages = fields.get("languages") or queue.settings.default_languages
            described = learned_on or folder.resolve().name
            found.append(_learned(engine, infos, [page for page, _ in pages], described, languages))
            if (calibration := found[-1].calibration) is not None:
                # at once: the next engine may fail
                table = table.with_calibrations([calibration])
                write_whole(output, table.to_json().encode())
    if diagram is not None:
        write_whole(diagram, reliability_diagram([one.panel() for one in found]).encode())
    _tell([one.described() for one in found], as_json)
    if any(one.calibration is not None for one in found):
        say(f"{output}  workers that have OCRQUEUE_CALIBRATION={output.resolve()} use it from their next start on")


def labelled_images(folder: Path, truth: str) -> list[Path]:
    """In order. Raises click.UsageError without any."""
    every = (path for path in sorted(folder.iterdir()) if path.suffix.lower() not in _NO_IMAGE and path.is_file())
    files = [path for path in every if path.with_suffix(f".{truth}").is_file()]
    if not files:
        raise click.UsageError(f"No image in {folder} has a .{truth} of the same name beside it.")
    return files


def _fields(engine: str, asked: dict[str, Any]) -> dict[str, Any]:
    parse = parse_options_by_engine if engine == AUTO else parse_options
    fields = {
        "engine": engine,
        "languages": split_languages(asked["languages"]),
        "options": parse(asked["options"]) or None,
        "crops": "none",
    }
    return {name: value for name, value in fields.items() if value is not None}


def _read(
    queue: OcrQueue, files: Sequence[Path], fields: dict[str, Any], timeout: float | None, *, progress: bool
) -> dict[Path, JobStatus]:
    """By image, the jobs that have a result; the others are named on stderr."""
    ids = [job.id for job in queue.submit_many(files, wait_for_room=None, **fields)]
    ended = wait_for(queue, ids, timeout, progress=progress)
    say_failures([ended[job_id] for job_id in ids], [path.name for path in files])
    read = {path: ended[job_id] for path, job_id in zip(files, ids, strict=True)}
    return {path: status for path, status in read.items() if status.state in {"succeeded", "partial"}}


def _learned(
    engine: str, infos: Sequence[EngineInfo], pages: list[list[Sample]], learned_on: str, languages: Sequence[str]
) -> Learned:
    if not infos:
        raise CalibrationInvalid(f"{engine} has read none of the pages.", remedy="See why its jobs failed.")
    if len({model_name(info) for info in infos}) > 1:
        raise CalibrationInvalid(
            f"The workers of {engine} have several models.", remedy="Let workers with one model alone run meanwhile."
        )
    learned = None if engine == AUTO else Calibration.learned(infos[0], pages, learned_on, languages)
    return Learned(engine, infos[0], pages, learned)


def _tell(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_json(row)
        return
    errors = ("error_as_given", "error_held_out", "error_now")
    print_table(
        _COLUMNS,
        [
            (
                row["engine"],
                row["model"] or "",
                str(row["pages"]),
                str(row["words"]),
                number(row["right"], 3),
                *(number(row[name], 3) for name in errors),
            )
            for row in rows
        ],
    )
