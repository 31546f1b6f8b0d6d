"""PDFs to pictures: what is drawn, what is taken as it is, and how broken ones end, in a process that may be lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import pytest
from PIL import Image, ImageChops, ImageStat

from ocrqueue.document import Page
from ocrqueue.document.formats.page_image import open_page
from ocrqueue.errors import ImageUnsupported, OcrQueueError, PdfPageDamaged
from ocrqueue.job import ExistingText
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pdf import process
from ocrqueue_worker.pdf.document import PdfReading, PdfSource, open_pdf
from tests.faults.corpus_bytes import ANY_FORMAT
from tests.faults.corpus_pdf import PDF
from tests.faults.corpus_pictures import codings, good_picture
from tests.support.hostile_pdfs import HOSTILE_PDFS, paper, second_page_missing, word_page
from tests.support.pdfs import A4, HELVETICA, PdfPage, image_object, pdf_of, scan, stream_object, text_at

SETTINGS = load_worker_settings(pdf_page_timeout_s=20)
IMPATIENT = load_worker_settings(pdf_page_timeout_s=2)


@pytest.fixture(autouse=True, scope="module")
def _none_is_left() -> Iterator[None]:
    yield
    while process._idle:
        process._idle.pop().end()


def pages(data: bytes, settings: WorkerSettings = SETTINGS, dpi: int = 72) -> list[PageImage]:
    with open_pdf(data, settings, PdfReading(dpi=dpi)) as pdf:
        return [pdf.page(number) for number in range(1, pdf.page_count + 1)]


def page(data: bytes, dpi: int = 72) -> PageImage:
    (found,) = pages(data, dpi=dpi)
    return found


def unlike(image: Image.Image, expected: Image.Image) -> float:
    """Mean difference of levels; 255 where the sizes differ."""
    if image.size != expected.size:
        return 255.0
    return float(ImageStat.Stat(ImageChops.difference(image.convert("L"), expected.convert("L"))).mean[0])


def ink(image: Image.Image) -> tuple[int, int, int, int]:
    box = ImageChops.invert(image.convert("L")).point(lambda level: 255 * (level > 100)).getbbox()
    assert box is not None
    return box


def warnings_of(pdf: PdfSource) -> list[str]:
    return [each.code for each in pdf.warnings]


def test_a_page_is_drawn_at_the_resolution_that_was_asked() -> None:
    drawn = page(pdf_of(word_page()), dpi=144)
    assert (drawn.image.mode, drawn.image.size, drawn.dpi, drawn.size_pt) == ("RGB", (1190, 1684), 144, A4)
    left, top, _, bottom = ink(drawn.image)
    assert abs(left - 120) < 6
    # its base line is at 700 points from below
    assert abs(bottom - (842 - 700) * 2) < 3
    assert top > (842 - 724) * 2


@pytest.mark.parametrize("coding", ["flate", "jpeg", "jpeg2000", "fax", "jbig2"])
def test_a_page_that_is_one_scan_is_taken_as_it_is(coding: str) -> None:
    mode = "1" if coding in ("fax", "jbig2") else "L"
    taken = page(pdf_of(scan(paper(mode), coding, dpi=150, content=text_at(50, 400, "words", mode=3))))
    assert (taken.image.mode, taken.image.size, taken.dpi, taken.size_pt) == ("L", (850, 1100), 150, (408, 528))
    assert unlike(taken.image, paper(mode)) < 2


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_scan_is_turned_as_the_page_is_shown(degrees: int) -> None:
    entries = b"/Rotate %d" % degrees
    taken, drawn = page(pdf_of(scan(paper(), entries=entries))), page(pdf_of(scan(paper("1"), "mask", entries=entries)))
    assert taken.image.size == ((850, 1100) if degrees == 180 else (1100, 850))
    small = drawn.image.size
    right = unlike(taken.image.resize(small, Image.Resampling.BOX), drawn.image)
    assert right * 2 < unlike(taken.image.rotate(180).resize(small, Image.Resampling.BOX), drawn.image)


@pytest.mark.parametrize(
    "page_of",
    [
        lambda: scan(paper(), content=text_at(50, 200, "on top", size=60)),
        lambda: scan(paper("1"), "mask"),
        lambda: PdfPage(b"q 300 0 0 500 50 50 cm /Im0 Do Q\n", (408, 528), images={"Im0": image_object(paper())}),
        lambda: PdfPage(b"q 0 528 -408 0 408 0 cm /Im0 Do Q\n", (408, 528), images={"Im0": image_object(paper())}),
        lambda: scan(paper(), entries=b"/Annots [<< /Type /Annot /Subtype /Square /Rect [9 9 99 99] >>]"),
        # white is black in this one
        lambda: scan(ImageChops.invert(paper()), content=b""),
    ],
    ids=["text on it", "mask", "with a margin", "on its side", "a note on it", "dark"],
)
def test_what_is_more_than_a_scan_is_drawn(page_of: object, request: pytest.FixtureRequest) -> None:
    found = page(pdf_of(page_of()))  # type: ignore[operator]  # a function that makes one
    is_dark = request.node.callspec.id == "dark"
    assert found.dpi == (150 if is_dark else 72)


def test_a_large_page_is_drawn_smaller_and_that_is_said() -> None:
    with open_pdf(pdf_of(PdfPage(size=(2000, 1000))), load_worker_settings(image_max_pixels=500_000)) as pdf:
        found = pdf.page(1)
        assert warnings_of(pdf) == ["pdf.dpi_lowered"]
    assert found.image.size == (1000, 500)
    assert found.dpi == 36


@pytest.mark.parametrize("name", HOSTILE_PDFS)
def test_a_hostile_pdf_ends_in_its_page_or_its_own_error(name: str) -> None:
    make, code = HOSTILE_PDFS[name]
    if code is None:
        with open_pdf(make(), SETTINGS, PdfReading(dpi=72)) as pdf:
            assert ink(pdf.page(1).image)[3] > 0
            assert warnings_of(pdf) == {"xfa": ["pdf.xfa"], "without_xref": ["pdf.end_missing"]}.get(name, [])
        return
    with pytest.raises(OcrQueueError) as raised:
        pages(make(), IMPATIENT if code == "pdf.page_too_slow" else SETTINGS)
    assert raised.value.code == code
    assert raised.value.info.remedy


def test_a_bad_page_does_not_cost_the_others() -> None:
    with open_pdf(second_page_missing(), SETTINGS, PdfReading(dpi=72)) as pdf:
        assert pdf.page_count == 2
        with pytest.raises(PdfPageDamaged):
            pdf.page(2)
        assert ink(pdf.page(1).image)


def test_a_lost_process_costs_one_page() -> None:
    with open_pdf(pdf_of(word_page(), word_page()), SETTINGS, PdfReading(dpi=72)) as pdf:
        assert pdf._process is not None
        os.kill(pdf._process._process.pid, signal.SIGKILL)
        with pytest.raises(PdfPageDamaged):
            pdf.page(1)
        assert ink(pdf.page(2).image)


def test_a_process_serves_the_next_document() -> None:
    page(pdf_of(word_page()))
    [waiting] = process._idle[-1:]
    with open_pdf(pdf_of(word_page()), SETTINGS) as pdf:
        assert pdf._process is waiting


def test_memory_has_a_limit() -> None:
    data = HOSTILE_PDFS["million_objects"][0]()
    with open_pdf(data, SETTINGS, PdfReading(memory_mib=100)) as pdf, pytest.raises(OcrQueueError) as raised:
        pdf.page(1)
    assert raised.value.code in ("pdf.page_damaged", "engine.out_of_memory")


def test_malformed_pdfs_end_in_their_pages_or_in_errors_and_cost_no_other() -> None:
    """Each mutation once; `./run faults` goes on without end. Which process reads them does not matter to the next."""
    chance, codes = Random(1), Counter[str]()
    quick = load_worker_settings(pdf_page_timeout_s=1, image_max_pixels=1_000_000)
    for mutate in {**PDF, **ANY_FORMAT}.values():
        data = mutate(chance, good_picture("pdf", chance.choice(codings("pdf"))))
        try:
            with open_pdf(data, quick, PdfReading(dpi=50, existing_text="auto", memory_mib=1024)) as pdf:
                for number in range(1, min(pdf.page_count, 3) + 1):
                    with suppress(OcrQueueError):
                        pdf.page(number)
                        codes["read"] += 1
        except OcrQueueError as error:
            codes[error.code] += 1
    assert ink(page(good_picture("pdf", "text")).image)
    assert codes["read"] > 10
    assert codes["pdf.damaged"] > 3


# --- text that is there already ------------------------------------------------------------------------------------


def known(data: bytes, existing_text: ExistingText = "use", pictures: bool = False, dpi: int = 144) -> Page | None:
    reading = PdfReading(dpi=dpi, existing_text=existing_text, pictures=pictures)
    with open_pdf(data, SETTINGS, reading) as pdf:
        found = pdf.page(1)
        assert found.known is None or pictures == (found.image.size == (found.known.width, found.known.height))
        return found.known


TWO_LINES = text_at(60, 700, "Hello, world") + text_at(60, 660, "again") + text_at(60, 100, "far below")


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_words_stand_where_the_page_shows_them(degrees: int) -> None:
    data = pdf_of(PdfPage(TWO_LINES, entries=b"/Rotate %d" % degrees))
    found = known(data, pictures=True)
    assert found is not None
    assert [[line.text for line in block.paragraphs[0].lines] for block in found.blocks] == [
        ["Hello, world", "again"],
        ["far below"],
    ]
    assert (found.source, found.rotation, found.dpi) == ("pdf", degrees, 144)
    assert all(word.confidence is None for word in found.words())
    drawn = page(data, dpi=144).image
    for word in found.words():
        left, top, right, bottom = word.bbox
        inked = ink(drawn.crop((int(left) - 4, int(top) - 4, int(right) + 5, int(bottom) + 5)))
        assert max(abs(inked[0] - 4), abs(inked[1] - 4)) <= 3
        (x0, y0), (x1, y1) = word.polygon[0], word.polygon[1]
        along = {0: x1 - x0, 90: y1 - y0, 180: x0 - x1, 270: y0 - y1}[degrees]
        assert along == pytest.approx(max(right - left, bottom - top), abs=0.1)


def test_an_engine_reads_what_has_no_text_or_none_that_is_plain() -> None:
    assert known(pdf_of(scan(paper())), "auto") is None
    assert known(pdf_of(word_page()), "read_anyway") is None
    readable = known(pdf_of(word_page()), "auto")
    assert readable is not None
    assert readable.text == "Hello 42"
    to_unicode = b"/beginbfchar 1 beginbfchar <48> <E048> endbfchar"
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /ToUnicode 6 0 R >>"
    secretive = pdf_of(word_page(), more=[stream_object(to_unicode)]).replace(HELVETICA, font)
    assert known(secretive, "auto") is None
    taken = known(pdf_of(scan(paper())), "use")
    assert taken is not None
    assert taken.text == ""


def test_an_overlay_on_a_page_of_a_pdf_says_what_to_do() -> None:
    with pytest.raises(ImageUnsupported, match="to_overlay_pdf"):
        open_page(pdf_of(word_page()), 1)
