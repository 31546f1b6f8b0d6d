"""A scanned PDF to a searchable one: this system, crops and all, against OCRmyPDF."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import click
import pypdfium2 as pdfium
from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from tests.benchmarks.accuracy import true_text
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.rates import print_table, run_in_turn
from tests.benchmarks.stage import CORES, clear, image_files, images_option, s3_option, s3_stage, system_worker
from tests.support.accuracy import score_words
from tests.support.pdfs import PdfPage, pdf_of, stream_object

_DPI = 200
_COLOURS = {"L": b"/DeviceGray", "RGB": b"/DeviceRGB"}
OURS, PEER = "ocrqueue", "OCRmyPDF"


@click.command()
@images_option
@s3_option
@click.option("--peer", required=True, type=click.Path(exists=True, dir_okay=False), help="The program ocrmypdf.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def scanned(folder: Path, s3_endpoint: str | None, peer: str, rounds: int) -> None:
    """Pages a second from a PDF of JPEGs to a searchable PDF, two pages at a time, and the words in that.

    Beside each image its text is to be in a .csv or .txt, as `accuracy` has it. OCRmyPDF is called with `-j 2
    --optimize 0 --output-type pdf`. The clock of ocrqueue begins when the PDF is submitted, and ends when its job has
    ended: crops are archived, the Document and the searchable PDF are stored in S3.
    """
    files = [path for path in image_files(folder) if _truth(path) is not None and path.suffix != ".png"]
    if not files:
        raise click.ClickException(f"No .jpg in {folder} has its text in a .csv or .txt beside it.")
    with ExitStack() as stack:
        stage = stack.enter_context(s3_stage(s3_endpoint))
        queue = stack.enter_context(OcrQueue(stage.settings))
        stack.enter_context(system_worker(stage, "tesseract"))
        source, made = stage.folder / "scanned.pdf", stage.folder / "peer.pdf"
        source.write_bytes(pdf_of(*map(_page, files)))
        # both children have met a page before the clock runs
        for job in queue.submit_many([path.read_bytes() for path in files[: 2 * CORES]], crops="none"):
            job.wait(TIMEOUT_S)
        found: dict[str, bytes] = {}

        def ours() -> float:
            begun = time.monotonic()
            job = queue.submit(source, engine="tesseract", outputs=["pdf"], crops="archive", cache=False)
            status = job.wait(TIMEOUT_S)
            taken = time.monotonic() - begun
            if status.state != "succeeded":
                raise click.ClickException(f"{status.state}: {status.error}")
            with job.result().output("pdf").open() as stored:
                found[OURS] = stored.read()
            clear(queue)
            return len(files) / taken

        def theirs() -> float:
            begun = time.monotonic()
            options = ["-j", str(CORES), "--optimize", "0", "--output-type", "pdf", "-q"]
            subprocess.run([peer, *options, source, made], check=True)
            taken = time.monotonic() - begun
            found[PEER] = made.read_bytes()
            return len(files) / taken

        rates = run_in_turn({OURS: ours, PEER: theirs}, rounds)
        print_table(f"{len(files)} scanned pages in one PDF", "pages/s", rates, [OURS])
        _print_words(files, found)


def _truth(image: Path) -> Path | None:
    return next((path for ending in (".csv", ".txt") if (path := image.with_suffix(ending)).is_file()), None)


def _page(path: Path) -> PdfPage:
    """The JPEG as it is."""
    with Image.open(path) as image:
        (width, height), colours = image.size, _COLOURS[image.mode]
    entries = b"/Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8" % (width, height)
    made = stream_object(path.read_bytes(), entries + b" /ColorSpace " + colours + b" /Filter /DCTDecode")
    size = (width * 72 / _DPI, height * 72 / _DPI)
    return PdfPage(b"q %g 0 0 %g 0 0 cm /Im Do Q" % size, size=size, images={"Im": made})


def _print_words(files: list[Path], found: dict[str, bytes]) -> None:
    true = [true_text(path) for path in map(_truth, files) if path is not None]
    table = Table("", "F1", "precision", "recall", title="words of the searchable PDF, as pdfium has them; case folded")
    for name, data in found.items():
        document = pdfium.PdfDocument(data)
        read = [page.get_textpage().get_text_bounded() for page in document]
        score = score_words(zip(true, read, strict=True), fold_case=True)
        table.add_row(name, *(f"{share:.4f}" for share in (score.f1, score.precision, score.recall)))
    Console(width=120).print(table)
