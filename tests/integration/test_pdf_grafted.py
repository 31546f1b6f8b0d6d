"""Searchable PDFs of sources that are PDFs: what stays of the source, and where words come to stand."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageChops

from ocrqueue.document import Document, Page
from ocrqueue.document.formats.pdf import bind_pdf
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.pdf.document import PdfReading, open_pdf
from tests.integration.test_pdf import ENGLISH, of_pdfium, overlap, truth, words_of
from tests.support.documents import document_of
from tests.support.hostile_pdfs import with_field, with_script, with_xfa, word_page
from tests.support.pdfs import PdfPage, pdf_of, stream_object, text_at

pikepdf = pytest.importorskip("pikepdf", reason="pip install 'ocrqueue[pdf]'")
pypdfium2 = pytest.importorskip("pypdfium2")

READ = ENGLISH.model_copy(update={"width": 400, "height": 300})
"""The box of the pages below is 96 x 72 points, as in 400 x 300 pixels at 300 dpi."""


def small_page(content: bytes = b"", entries: bytes = b"/MediaBox [0 0 96 72]") -> PdfPage:
    return PdfPage(content, entries=entries)


def written(source: bytes, *pages: Page, **options: Any) -> Any:
    return pikepdf.open(BytesIO(document_of(*pages).to_pdf(source, **options)))


def drawn(pdf: bytes, number: int = 0) -> Image.Image:
    with pypdfium2.PdfDocument(pdf) as opened:
        opened.init_forms()
        return opened[number].render(scale=3, may_draw_forms=True).to_pil()


def test_a_hidden_layer_stays_hidden() -> None:
    content = b"/OC /Layer BDC 0 0 40 40 re f EMC"
    entries = b"/MediaBox [0 0 96 72] /Resources << /Properties << /Layer 8 0 R >> >>"
    layers = b"/OCProperties << /OCGs [8 0 R] /D << /OFF [8 0 R] /Order [8 0 R] >> >>"
    pages = [small_page(content, entries)] * 2
    source = pdf_of(*pages, catalog=layers, more=[b"<< /Type /OCG /Name (draft) >>"])
    assert drawn(source).convert("L").getextrema() == (255, 255)
    whole = [READ, READ.model_copy(update={"number": 2})]
    for document in (document_of(*whole), document_of(READ)):
        assert drawn(document.to_pdf(source)).convert("L").getextrema() == (255, 255)
    bound = BytesIO()
    bind_pdf([(document_of(READ), pdf_of(small_page())), (document_of(*whole), source)], bound)
    assert drawn(bound.getvalue(), 1).convert("L").getextrema() == (255, 255)


def test_what_was_typed_into_a_form_stays() -> None:
    source = with_field()
    page = ENGLISH.model_copy(update={"width": 2479, "height": 3508})
    pdf = document_of(page).to_pdf(source)
    assert ImageChops.difference(drawn(source), drawn(pdf)).getbbox() is None
    assert drawn(pdf).convert("L").getextrema()[0] < 50, "there is something to see"
    with pikepdf.open(BytesIO(pdf)) as opened:
        assert len(opened.Root.AcroForm.Fields) == 1


def test_bookmarks_title_language_and_attachments_stay() -> None:
    made = pikepdf.new()
    for _ in range(2):
        made.add_blank_page(page_size=(96, 72))
    with made.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("Second", 1))
    made.docinfo["/Title"] = "Minutes"
    made.Root.Lang = pikepdf.String("de")
    made.attachments["data.csv"] = b"a,b"
    source = BytesIO()
    made.save(source)
    with written(source.getvalue(), READ, READ.model_copy(update={"number": 2})) as pdf, pdf.open_outline() as outline:
        assert [item.title for item in outline.root] == ["Second"]
        assert str(pdf.docinfo["/Title"]) == "Minutes"
        assert str(pdf.Root.Lang) == "de"
        assert list(pdf.attachments) == ["data.csv"]


def test_of_pages_that_were_not_asked_for_nothing_is_left() -> None:
    made = pikepdf.open(BytesIO(pdf_of(small_page(b"%first"), small_page(b"%second-secret"), small_page(b"%third"))))
    with made.open_outline() as outline:
        outline.root.extend([pikepdf.OutlineItem("First", 0), pikepdf.OutlineItem("Second", 1)])
    source = BytesIO()
    made.save(source)
    pages = [READ, READ.model_copy(update={"number": 3})]
    with written(source.getvalue(), *pages) as pdf, pdf.open_outline() as left:
        assert len(pdf.pages) == 2
        assert [item.title for item in left.root] == ["First"]
        streams = [each.read_raw_bytes() for each in pdf.objects if isinstance(each, pikepdf.Stream)]
        assert not any(b"secret" in stream for stream in streams)


def test_scripts_and_signatures_are_left_out() -> None:
    page = ENGLISH.model_copy(update={"width": 2479, "height": 3508})
    with written(with_script(), page) as pdf:
        assert "/OpenAction" not in pdf.Root
        assert "/AA" not in pdf.pages[0].obj
    place = b"/OpenAction [5 0 R /Fit]"
    with written(pdf_of(word_page(), catalog=place), page) as pdf:
        assert len(pdf.Root.OpenAction) == 2, "where it opens stays"
    chained = b"/OpenAction << /S /GoTo /D [5 0 R /Fit] /Next << /S /Launch /F (/bin/sh) >> >>"
    with written(pdf_of(word_page(), catalog=chained), page) as pdf:
        assert set(pdf.Root.OpenAction) == {"/S", "/D"}
    form = b"/AcroForm << /SigFlags 3 /Fields [6 0 R] >> /Perms << /DocMDP 7 0 R >>"
    signature = b"<< /Type /Sig /Filter /Adobe.PPKLite /Contents <00> /ByteRange [0 1 2 3] >>"
    field = b"<< /FT /Sig /T (signed) /V 7 0 R /Kids [6 0 R] >>"
    with written(pdf_of(small_page(), catalog=form, more=[field, signature]), READ) as pdf:
        assert "/Perms" not in pdf.Root
        assert "/SigFlags" not in pdf.Root.AcroForm
        assert "/V" not in pdf.Root.AcroForm.Fields[0]
    with written(with_xfa(), page) as pdf:
        assert "/AcroForm" in pdf.Root


def test_the_text_that_a_pdf_has_is_not_written_again() -> None:
    source = pdf_of(word_page())
    own = ENGLISH.model_copy(update={"width": 2479, "height": 3508, "source": "pdf"})
    assert words_of(of_pdfium(document_of(own).to_pdf(source))) == words_of(of_pdfium(source)) != []
    # nor what can be seen is lost
    assert len(written(source, own).pages) == 1


HIDDEN = b"q BT 3 Tr /F1 8 Tf 10 50 Td (older) Tj ET Q BT 3 Tr /F1 8 Tf 9 TL 10 40 Td 1 2 (older) \" 0 Tr (seen) ' ET"


def test_the_layer_of_another_ocr_program_is_replaced() -> None:
    source = pdf_of(small_page(HIDDEN))
    assert words_of(of_pdfium(source)) == ["older", "older", "seen"]
    pdf = document_of(READ).to_pdf(source)
    assert words_of(of_pdfium(pdf)) == [*truth(READ), "seen"]
    assert ImageChops.difference(drawn(source), drawn(pdf)).getbbox() is None
    with pikepdf.open(BytesIO(pdf)) as opened:
        # what the layer sets for the text after it stays
        assert b"1 Tw" in b"".join(part.read_bytes() for part in opened.pages[0].Contents)


def test_such_a_layer_in_a_form_is_replaced_on_pages_that_were_read() -> None:
    form = stream_object(
        text_at(10, 50, "older", mode=3),
        b"/Type /XObject /Subtype /Form /BBox [0 0 96 72] /Resources << /Font << /F1 3 0 R >> >>",
    )
    page = PdfPage(b"/Im0 Do", images={"Im0": form}, entries=b"/MediaBox [0 0 96 72]")
    source = pdf_of(page)
    assert words_of(of_pdfium(source)) == ["older"]
    assert words_of(of_pdfium(document_of(READ).to_pdf(source))) == truth(READ)
    unread = Page(number=1, width=400, height=300)
    assert words_of(of_pdfium(document_of(unread).to_pdf(source))) == ["older"], "nothing takes its place"


@pytest.mark.parametrize(
    "content",
    [
        b"2 0 0 2 9 9 cm",
        b"2 0 0 2 9 9 cm q",
        b"Q Q 2 0 0 2 9 9 cm",
        b"BT (broken off",
        b"[1 2",
        b"BI /W 9 /H 9 ID",
        b"0 0 5 5 re W n",
        b"<< /a",
    ],
)
def test_whatever_state_the_page_leaves_the_words_are_in_their_places(content: bytes) -> None:
    in_their_places(document_of(READ), pdf_of(small_page(content)))


@pytest.mark.parametrize(
    ("entries", "size"),
    [
        (b"/MediaBox [0 0 96 72] /CropBox [-50 -50 200 200]", (400, 300)),
        (b"/MediaBox [0 0 196 72] /CropBox [100 0 300 72]", (400, 300)),
        (b"/MediaBox [0 0 96 72] /CropBox [10 10 10 10]", (400, 300)),
        (b"/MediaBox [0 0 96 72] /CropBox [0 0 (x)]", (400, 300)),
        (b"/MediaBox [0 0 96 72] /Rotate 10", (400, 300)),
        (b"/MediaBox [0 0 72 96] /Rotate 100", (400, 300)),
        (b"/MediaBox [96 72 0 0]", (400, 300)),
        (b"/MediaBox [0 0 0 0]", (2550, 3300)),
        (b"/MediaBox [(a) /b << >> null]", (2550, 3300)),
        (b"/MediaBox [0 0 96 72] /Annots 5", (400, 300)),
        (b"/MediaBox [0 0 96 72] /Resources << /Font [1 2] >>", (400, 300)),
    ],
)
def test_odd_boxes_and_turns_are_taken_as_workers_take_them(entries: bytes, size: tuple[int, int]) -> None:
    page = READ.model_copy(update={"width": size[0], "height": size[1]})
    in_their_places(document_of(page), pdf_of(small_page(entries=entries)))


def in_their_places(document: Document, source: bytes) -> None:
    """By the worker's own reading, which gives boxes in the page's pixels."""
    for pdf in (document.to_pdf(source), document.to_overlay_pdf(source)):
        with open_pdf(pdf, WorkerSettings(), PdfReading(existing_text="use")) as opened:
            known = opened.page(1).known
            assert known is not None
            found = {word.text: word.bbox for word in known.words()}
        for word in document.pages[0].words():
            assert overlap(found[word.text], word.bbox) >= 0.7, (word.text, found[word.text], word.bbox)
