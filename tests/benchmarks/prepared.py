"""Pages that are turned, tilted, dim, small or mirrored: how well they are read, and what good pages pay for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrqueue.document import Page
from ocrqueue.job import Prepare
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.discovery import make_engine
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.page_reading import read_pages
from tests.benchmarks.accuracy import labelled_images
from tests.benchmarks.stage import images_option
from tests.support.accuracy import score_words
from tests.support.spoiled_pages import KINDS, spoiled

_IN_TURNS: Final[tuple[tuple[Prepare, ...], ...]] = (("none", "auto"), ("auto", "none"))


@click.command()
@images_option
@click.option("--engine", "name", default="tesseract", show_default=True)
@click.option("--truth", type=click.Choice(["txt", "csv"]), help="As `accuracy` has it. Default: either.")
@click.option("--language", default="eng", show_default=True)
@click.option(
    "--pages", "most", type=click.IntRange(1), default=30, show_default=True, help="Of the folder's images, so many."
)
@click.option("--seed", default=1, show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(tuple(KINDS)), help="Default: all. Repeatable.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Times that rates are measured; the median counts.",
)
def prepared(
    folder: Path, name: str, truth: str | None, language: str, most: int, seed: int, kinds: Sequence[str], rounds: int
) -> None:
    """F1 of words of spoiled pages against that of the pages as they are, and pages a second of prepare=auto and none.

    In this process, one page at a time; with auto and with none each page is read in turns. Seconds are those of
    processors, whatever else the machine does.
    """
    files, true = zip(*labelled_images(folder, truth, language)[:most], strict=True)
    engine = make_engine(name, load_worker_settings())
    engine.load()
    images = [Image.open(path).convert("RGB") for path in files]
    table = Table("", "F1", "of the upright's", "prepared", "seconds a page", title=f"{len(files)} pages, {name}")
    seconds: dict[Prepare, list[float]] = {"none": [], "auto": []}
    read: dict[Prepare, list[Page]] = {"none": [], "auto": []}
    for image in images:
        took: dict[Prepare, list[float]] = {"none": [], "auto": []}
        for each in range(rounds):
            for prepare in _IN_TURNS[each % 2]:
                page, lasted = _read(engine, image, language, prepare)
                took[prepare].append(lasted)
                read[prepare] += [page] if each == 0 else []
        for prepare, lasting in took.items():
            seconds[prepare].append(median(lasting))
    upright = _f1(true, read["none"])
    for prepare in _IN_TURNS[0]:
        _row(table, f"as they are, {prepare}", true, read[prepare], upright, seconds[prepare])
    for kind in kinds or KINDS:
        made = [spoiled(image, kind, seed, number).image for number, image in enumerate(images)]
        pages, lasted_each = zip(*(_read(engine, image, language, "auto") for image in made), strict=True)
        _row(table, kind, true, pages, upright, lasted_each)
    console = Console(width=120)
    console.print(table)
    once = [place for place, page in enumerate(read["auto"]) if page.preparation is None]
    for what, places in (("all", range(len(files))), ("those not prepared", once)):
        ratio = sum(seconds["none"][place] for place in places) / sum(seconds["auto"][place] for place in places)
        console.print(f"pages/s of auto against none, {what}: {ratio:.3f}")


def _read(engine: Engine[Any], image: Image.Image, language: str, prepare: Prepare) -> tuple[Page, float]:
    reading = Reading((language,), engine.parse_options({}))
    began = time.process_time()
    (page,) = read_pages(engine, [PageImage(1, image)], reading, prepare)
    if not isinstance(page, Page):
        raise click.ClickException(str(page))
    return page, time.process_time() - began


def _f1(true: Sequence[str], pages: Sequence[Page]) -> float:
    return score_words(zip(true, (page.text for page in pages), strict=True), fold_case=True).f1


def _row(
    table: Table, name: str, true: Sequence[str], pages: Sequence[Page], upright: float, seconds: Sequence[float]
) -> None:
    f1 = _f1(true, pages)
    changed = sum(page.preparation is not None for page in pages)
    table.add_row(
        name, f"{f1:.4f}", f"{f1 / upright:.3f}", f"{changed} of {len(pages)}", f"{sum(seconds) / len(seconds):.2f}"
    )
