"""`ocrqueue calibrate` with workers of its own: how far the confidences of engines are from what they say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

import click

from ocrqueue.cli.calibrate import calibrate
from tests.benchmarks.stage import file_stage, system_worker
from tests.support.processes import as_environment, environment

_OF_AUTO = ("tesseract", "rapid")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--engine", "-e", "engines", multiple=True, default=("tesseract", "rapid", "keras"), show_default=True)
@click.option("--keras-model", default="small", show_default=True)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def calibration(engines: Sequence[str], keras_model: str, arguments: tuple[str, ...]) -> None:
    """The rest are arguments of `ocrqueue calibrate`: the folder of labelled pages, --truth csv, --diagram FILE."""
    with ExitStack() as stack:
        stage = stack.enter_context(file_stage(keras_model=keras_model, keras_device="cpu", rapid_threads=1))
        for engine in dict.fromkeys(part for name in engines for part in (_OF_AUTO if name == "auto" else (name,))):
            stack.enter_context(system_worker(stage, engine, 1))
        os.environ.update(environment(as_environment(stage.settings)))
        named = [part for engine in engines for part in ("--engine", engine)]
        calibrate.main([*named, *arguments], prog_name="calibrate", standalone_mode=False)
