"""`ocrqueue-worker keras`: look at models of the keras engine, fetch their weights, convert them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ocrqueue.cli.exit_codes import ExitStatus, exit_of_error
from ocrqueue.cli.output import console, prepare_streams, print_fields, print_table, say, say_error
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import WorkerSettings, load_worker_settings

if TYPE_CHECKING:
    from ocrqueue_worker.engines.keras.fetching import Progress
    from ocrqueue_worker.engines.keras.manifest import Accuracy, LineRecognizerBuild, Manifest, RecognizerBuild

_CHARACTERS_SHOWN: Final = 100


class _Keras(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that a user can meet becomes one line and an exit status."""
        prepare_streams()
        try:
            return super().invoke(ctx)
        except OcrQueueError as error:
            say_error(error.info)
            ctx.exit(exit_of_error(error.info.code))
        except ImportError as error:
            extra = "keras-export" if ctx.invoked_subcommand == "export" else "keras"
            say(f"error: {error}. On a worker: pip install 'ocrqueue-worker[{extra}]'.")
            ctx.exit(ExitStatus.USAGE)


@click.group(cls=_Keras)
def keras() -> None:
    """Show models of the keras engine, fetch their weights, and convert them.

    MODEL is the name of a model that comes with the package, or the folder of another one. Without it:
    OCRQUEUE_KERAS_MODEL.
    """


_model_argument = click.argument("model", required=False)


def _settings(model: str | None, **overrides: Any) -> WorkerSettings:
    return load_worker_settings(**overrides, **({"keras_model": model} if model else {}))


@keras.command("list")
def list_models() -> None:
    """List the models that come with the package."""
    from ocrqueue_worker.engines.keras.models import find_model, model_folder, read_manifest, shipped_models

    rows = []
    for name in shipped_models():
        manifest = read_manifest(model_folder(name))
        try:
            find_model(_settings(name, keras_runtime="tensorflow"))
            weights = "here"
        except OcrQueueError as error:
            weights = error.code
        rows.append((name, manifest.version, ",".join(manifest.languages), _characters(manifest), weights))
    print_table(("model", "version", "languages", "characters~", "weights"), rows)


@keras.command()
@_model_argument
@click.option(
    "--from", "origin", metavar="URL|FOLDER", help="Fetch from this mirror, which has files with the same names."
)
def fetch(model: str | None, origin: str | None) -> None:
    """Fetch a model's weights, and check them.

    The weights go to OCRQUEUE_KERAS_WEIGHTS_DIR, else KERAS_OCR_CACHE_DIR, else ~/.keras-ocr. Files that are
    right stay.
    """
    from ocrqueue_worker.engines.keras.fetching import fetch_model

    settings = _settings(model)
    nothing = True
    with _signals_as_exit(), _progress() as progress:
        for fetched in fetch_model(settings, origin, progress):
            nothing = False
            click.echo(f"{fetched.path}  {'was there' if fetched.was_there else 'fetched'}, sha256 is right")
    if nothing:
        say(f"{settings.keras_model} has nothing to fetch: its files lie beside its manifest")


@keras.command()
@_model_argument
def check(model: str | None) -> None:
    """Show what a model is and what it reads, and check that its files are there and right."""
    from ocrqueue_worker.engines.keras.models import find_model, model_folder, read_manifest, verify_file

    settings = _settings(model)
    folder = model_folder(settings.keras_model)
    print_fields(_described(read_manifest(folder), folder))
    found = find_model(settings)
    for file, path in found.files:
        verify_file(file, path)
        click.echo(f"{path}  sha256 is right")


@keras.command()
@_model_argument
@click.option(
    "--output", "-O", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the new model."
)
def export(model: str | None, output: Path) -> None:
    """Make a model with ONNX files from a model that has none.

    The command compares what both runtimes make of the same input, and prints the largest difference.
    """
    from ocrqueue_worker.engines.keras.exporting import export_model
    from ocrqueue_worker.engines.keras.models import find_model, verify

    found = find_model(_settings(model, keras_runtime="tensorflow"))
    verify(found)
    parity = export_model(found, output)
    click.echo(
        f"{output}  differs from TensorFlow by {parity.detector:.1e} (detector), {parity.recognizer:.1e} (recogniser)"
    )
    say(f"use it with: OCRQUEUE_KERAS_MODEL={output} OCRQUEUE_KERAS_RUNTIME=onnx")


def _described(manifest: Manifest, folder: Path) -> list[tuple[str, str]]:
    detector, recognizer = manifest.detector, manifest.recognizer
    narrow = f", channels divided by {detector.channel_divisor}" if detector.channel_divisor > 1 else ""
    return [
        ("model", f"{manifest.name} {manifest.version}"),
        ("folder", str(folder)),
        ("about", manifest.description),
        ("languages", ", ".join(manifest.languages)),
        ("characters", _characters(manifest)),
        ("case", {"kept": "kept", "lower": "writes only lower case"}[manifest.text_case]),
        ("detector", f"{detector.backbone}{narrow}"),
        ("recogniser", _crops(recognizer.build)),
        ("runtimes", "tensorflow, onnx" if manifest.has_onnx else "tensorflow"),
        *(("accuracy", _measured(accuracy)) for accuracy in manifest.accuracy),
        ("licence", manifest.licence),
    ]


def _crops(build: RecognizerBuild | LineRecognizerBuild) -> str:
    from ocrqueue_worker.engines.keras.manifest import LineRecognizerBuild

    if isinstance(build, LineRecognizerBuild):
        return f"pieces of lines, {build.height} pixels high, grey"
    size = f"{build.height} x {build.width} pixels, {'colour' if build.color else 'grey'}"
    return f"words as {size}{', with spatial transformer' if build.stn else ''}"


def _characters(manifest: Manifest) -> str:
    alphabet = manifest.recognizer.alphabet
    if len(alphabet) <= _CHARACTERS_SHOWN:
        return alphabet
    return f"{alphabet[:_CHARACTERS_SHOWN]}... ({len(alphabet)})"


def _measured(accuracy: Accuracy) -> str:
    found = f"{accuracy.found:.1%} of {accuracy.words} words found"
    return f"{accuracy.sample}: {found}, {accuracy.read:.1%} of those read right"


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on stderr, if that is a terminal."""
    stderr = console(stderr=True)
    if not stderr.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Bar(*columns, TimeRemainingColumn(), console=stderr, transient=True, redirect_stdout=False)
    tasks: dict[str, Any] = {}

    def show(name: str, so_far: int, total: int | None) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total)
        bar.update(tasks[name], completed=so_far)

    with bar:
        yield show


@contextmanager
def _signals_as_exit() -> Iterator[None]:
    """SIGTERM and SIGINT end the program as an exception does, so that half a file is not left behind.

    SIGINT too: after a KeyboardInterrupt within eval(), as it is common in imports, CPython ends with the signal
    whatever is made of the exception.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda number, _: sys.exit(128 + number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
