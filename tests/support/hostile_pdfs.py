"""PDFs as the world sends them: broken ones, traps, and odd ones that are good all the same.

`HOSTILE_PDFS` maps a name to the maker of the file's bytes and the code of the error that it must end in, None where
it must be read well; the first page of all those shows the word `WORD`. The codes hold for the default settings; of
`pdf.page_too_slow` they do whatever time a page may take.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from PIL import Image

from tests.support.hostile_images import WORD, picture
from tests.support.pdfs import PdfPage, file_of, image_object, pdf_of, scan, stream_object, text_at

_WORD = text_at(60, 700, WORD)


def word_page(entries: bytes = b"", more: bytes = b"") -> PdfPage:
    return PdfPage(_WORD + more, entries=entries)


def paper(mode: str = "L") -> Image.Image:
    """The word on a page of 850 x 1100 pixels."""
    page = Image.new("L", (850, 1100), 255)
    page.paste(picture(), (60, 60))
    return page.convert(mode)


def looped_tree() -> bytes:
    """The page tree holds itself."""
    return pdf_of(word_page()).replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]")


def deep_tree(depth: int = 5_000) -> bytes:
    nodes = [b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>" % (n - 1, n + 1) for n in range(3, depth)]
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", *nodes]
    return file_of([*objects, b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 100 100] >>" % len(objects)])


def counted(pages: int) -> bytes:
    """A tree that says that it has so many pages."""
    return pdf_of(*[word_page()] * 2).replace(b"/Count 2", b"/Count %d" % pages)


def million_objects() -> bytes:
    content = stream_object(zlib.compress(b"0 0 1 1 re f\n" * 510_000), b"/Filter /FlateDecode")
    return pdf_of(PdfPage(entries=b"/Contents 6 0 R"), more=[content]).replace(b"/Contents 4 0 R ", b"")


def flate_bomb(size: int = 100_000_000) -> bytes:
    """A picture whose data unpacks to far more than its few pixels."""
    bomb = zlib.compressobj(9)
    data = b"".join([*(bomb.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)), bomb.flush()])
    made = b"/Type /XObject /Subtype /Image /Width 10 /Height 10 /ColorSpace /DeviceGray /BitsPerComponent 8 "
    return pdf_of(
        PdfPage(
            b"q 10 0 0 10 0 0 cm /Im0 Do Q\n" + _WORD,
            images={"Im0": stream_object(data, made + b"/Filter /FlateDecode")},
        )
    )


def filter_chain(depth: int = 12) -> bytes:
    """Content that was compressed over and over, zeros at heart."""
    data = bytes(50_000_000)
    for _ in range(depth):
        data = zlib.compress(data, 9)
    chain = stream_object(data, b"/Filter [%s]" % (b"/FlateDecode " * depth))
    return pdf_of(PdfPage(_WORD + b"/Im0 Do\n", images={"Im0": chain}))


def vast_picture() -> bytes:
    """One of 20,000 x 20,000 pixels, from edge to edge."""
    vast = image_object(Image.new("1", (8, 8))).replace(b"/Width 8 /Height 8", b"/Width 20000 /Height 20000")
    return pdf_of(PdfPage(b"q 595 0 0 842 0 0 cm /Im0 Do Q\n" + _WORD, images={"Im0": vast}))


def recursive_form() -> bytes:
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 99 99] /Resources << /XObject << /Im0 4 0 R >> >>"
    return pdf_of(PdfPage(_WORD + b"/Im0 Do\n", images={"Im0": stream_object(b"/Im0 Do /Im0 Do /Im0 Do", form)}))


def with_script() -> bytes:
    return pdf_of(
        word_page(b"/AA << /O << /S /JavaScript /JS (while (true) app.alert\\(1\\);) >> >>"),
        catalog=b"/OpenAction << /S /JavaScript /JS (while (true) {}) >>",
    )


def with_launch() -> bytes:
    return pdf_of(word_page(), catalog=b"/OpenAction << /S /Launch /F (/bin/sh) /Win << /F (cmd.exe) >> >>")


def with_attachment() -> bytes:
    number = 6
    names = b"/Names << /EmbeddedFiles << /Names [(evil.exe) %d 0 R] >> >>" % number
    spec = b"<< /Type /Filespec /F (evil.exe) /EF << /F %d 0 R >> >>" % (number + 1)
    return pdf_of(word_page(), catalog=names, more=[spec, stream_object(b"MZ" * 1000, b"/Type /EmbeddedFile")])


def with_xfa() -> bytes:
    form = b"/AcroForm << /XFA 6 0 R /Fields [] >> /NeedsRendering true"
    return pdf_of(word_page(), catalog=form, more=[stream_object(b"<xdp:xdp><template/></xdp:xdp>")])


def with_field() -> bytes:
    """What a form's field shows was typed into it."""
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (%s) /Rect [60 690 400 730] /F 4 /DA (/F1 24 Tf 0 g) "
        b"/AP << /N 7 0 R >> >>" % WORD.encode()
    )
    look = stream_object(
        text_at(2, 8, WORD), b"/Type /XObject /Subtype /Form /BBox [0 0 340 40] /Resources << /Font << /F1 3 0 R >> >>"
    )
    page = PdfPage(b"", entries=b"/Annots [6 0 R]")
    return pdf_of(page, catalog=b"/AcroForm << /Fields [6 0 R] /DR << /Font << /F1 3 0 R >> >> >>", more=[field, look])


def encrypted_by_certificate() -> bytes:
    secret = b"/Encrypt << /Filter /Adobe.PubSec /V 4 /SubFilter /adbe.pkcs7.s5 >> /ID [(a) (a)]"
    return pdf_of(word_page()).replace(b"/Root 1 0 R", b"/Root 1 0 R " + secret)


def encrypted_with_nonsense() -> bytes:
    secret = b"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O (%s) /U (%s) >> /ID [(a) (a)]"
    return pdf_of(word_page()).replace(b"/Root 1 0 R", b"/Root 1 0 R " + secret % (b"o" * 32, b"u" * 32))


def after_other_bytes() -> bytes:
    return b"\r\n" * 100 + pdf_of(word_page())


def without_xref() -> bytes:
    whole = pdf_of(word_page())
    return whole[: whole.index(b"xref\n0")] + b"trailer\n<< /Root 1 0 R >>\n"


def second_page_missing() -> bytes:
    """Its object is there no more."""
    return pdf_of(word_page(), word_page()).replace(b"7 0 R] /Count", b"77 0 R] /Count")


HOSTILE_PDFS: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "head_alone": (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n", "pdf.damaged"),
    "nonsense": (lambda: b"%PDF-1.4\n" + b"nonsense " * 1000, "pdf.damaged"),
    "cut_in_the_middle": (lambda: pdf_of(scan(paper()))[:2000], "pdf.damaged"),
    "no_pages": (pdf_of, "pdf.no_pages"),
    "looped_tree": (looped_tree, "pdf.page_damaged"),
    "deep_tree": (deep_tree, "pdf.page_damaged"),
    "too_many_pages": (lambda: pdf_of(*[PdfPage()] * 3001), "pdf.too_many_pages"),
    "million_pages_said": (lambda: counted(2_000_000), None),
    "negative_count": (lambda: counted(-5), None),
    "million_objects": (million_objects, "pdf.page_too_complex"),
    "certificate": (encrypted_by_certificate, "pdf.encryption_unsupported"),
    "encrypted": (encrypted_with_nonsense, "pdf.password_required"),
    "flate_bomb": (flate_bomb, None),
    "filter_chain": (filter_chain, None),
    "vast_picture": (vast_picture, None),
    "recursive_form": (recursive_form, "pdf.page_too_slow"),
    "javascript": (with_script, None),
    "launch": (with_launch, None),
    "attachment": (with_attachment, None),
    "xfa": (with_xfa, None),
    "form_field": (with_field, None),
    "after_other_bytes": (after_other_bytes, None),
    "without_xref": (without_xref, None),
    "zero_media_box": (lambda: pdf_of(word_page(b"/MediaBox [0 0 0 0]")), None),
    "endless_media_box": (lambda: pdf_of(word_page(b"/MediaBox [0 0 1e99 9e99]")), None),
    "media_box_of_words": (lambda: pdf_of(word_page(b"/MediaBox [(a) /b << >> null]")), None),
    "box_upside_down": (lambda: pdf_of(word_page(b"/MediaBox [595 842 0 0]")), None),
    "vast_media_box": (lambda: pdf_of(word_page(b"/MediaBox [0 0 90000 90000]")), "pdf.page_too_large"),
    "odd_rotation": (lambda: pdf_of(word_page(b"/Rotate 77")), None),
}
