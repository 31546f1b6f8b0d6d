"""What a file is, by the bytes that it begins with, and that all who open one agree on it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from ocrqueue.document.formats.page_image import open_page
from ocrqueue.document.formats.pdf import searchable_pdf
from ocrqueue.document.signatures import image_format, is_pdf
from ocrqueue.errors import ImageUnsupported
from ocrqueue_gateway.pictures.opening import pages_of
from tests.support.documents import document_of, page_of
from tests.support.pdfs import PdfPage, pdf_of, text_at

PDF = pdf_of(PdfPage(text_at(60, 700, "Page"), size=(200, 800)))
FRONTS = {
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf",
    "an HTTP header": b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
    "as much as may be": b"\n" * 1019,
}


def picture(kind: str) -> bytes:
    written, image = BytesIO(), Image.new("RGB", (60, 40), "white")
    if kind == "PNG":
        told = PngImagePlugin.PngInfo()
        told.add_text("Source", "%PDF-1.4 export")
        image.save(written, kind, pnginfo=told)
    elif kind == "JPEG":
        image.save(written, kind, comment=b"made from %PDF-1.4")
    elif kind == "GIF":
        image.save(written, kind, comment=b"%PDF-1.4")
    else:
        return b"P6\n# %PDF-1.4\n60 40\n255\n" + b"\xff" * 7200
    return written.getvalue()


@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
def test_a_pdf_may_have_other_bytes_in_front(front: bytes, tmp_path: Path) -> None:
    data = front + PDF
    assert is_pdf(data)
    assert is_pdf(data[:1024])
    with pytest.raises(ImageUnsupported, match="It is a PDF"):
        open_page(data, 1)
    (tmp_path / "file").write_bytes(data)
    with pages_of(tmp_path / "file", 1_000_000) as draw:
        assert draw(1, (100, 400)).size == (100, 400)
    pytest.importorskip("pikepdf", reason="pip install 'ocrqueue[pdf]'")
    document = document_of(page_of(1, [[["Page"]]], width=200, height=800, dpi=72.0))
    assert searchable_pdf(document, data).startswith(b"%PDF-")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "PNM"])
def test_an_image_may_say_of_itself_that_it_comes_from_a_pdf(kind: str, tmp_path: Path) -> None:
    data = picture(kind)
    assert b"%PDF-" in data[:1024]
    assert image_format(data) == kind
    assert not is_pdf(data)
    assert open_page(data, 1).size == (60, 40)
    (tmp_path / "file").write_bytes(data)
    with pages_of(tmp_path / "file", 1_000_000) as draw:
        assert draw(1, None).size == (60, 40)
    document = document_of(page_of(1, [[["Page"]]], width=60, height=40))
    assert searchable_pdf(document, data).startswith(b"%PDF-")


@pytest.mark.parametrize("data", [b"", b"%PDF", b"text", b"\n" * 1020 + PDF])
def test_what_is_no_pdf(data: bytes) -> None:
    assert not is_pdf(data)


@pytest.mark.parametrize("between", [b" " * 1000, b"# \n" * 300, b"#" * 1000, b"\n#\n" * 300])
def test_a_header_that_is_almost_one_of_netpbm_is_told_at_once(between: bytes) -> None:
    """A pattern that could match it in many ways would try them all: twice as many for each byte more."""
    assert image_format(b"P1" + between + b"x") is None
    assert image_format(b"P1 12" + between + b"x") is None
    assert image_format(b"P4\n#a\n\t12#b\r 7 ") == "PNM"
