"""Searchable PDFs: what three readers find in them, where, and that the picture stays as it was."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, TiffImagePlugin

from ocrqueue.document import Box, Document, Page, Word, box_of
from ocrqueue.document.formats.page_image import open_page
from ocrqueue.errors import (
    ErrorInfo,
    ImageNotRecognised,
    PageNotFound,
    PdfDamaged,
    PdfPasswordRequired,
    PdfPasswordWrong,
)
from tests.support.documents import block_of, document_of, line_of, page_of, paragraph_of, word

pikepdf = pytest.importorskip("pikepdf", reason="pip install 'ocrqueue[pdf]'")
pypdfium2 = pytest.importorskip("pypdfium2")
pdfminer = pytest.importorskip("pdfminer.high_level")

from pdfminer.converter import PDFPageAggregator  # noqa: E402
from pdfminer.layout import LAParams, LTChar, LTContainer  # noqa: E402
from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager  # noqa: E402
from pdfminer.pdfpage import PDFPage  # noqa: E402

from ocrqueue.document.formats.pdf import bind_pdf  # noqa: E402

DPI = 300.0


def picture(mode: str = "RGB", size: tuple[int, int] = (400, 300), form: str = "JPEG", **options: Any) -> bytes:
    image = Image.radial_gradient("L").resize(size).convert(mode)
    written = BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def turned(item: Word, degrees: int) -> Word:
    """Its text runs down at 90, up at 270; the box stays."""
    left, top, right, bottom = item.bbox
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    polygon = tuple(corners[(number + degrees // 90) % 4] for number in range(4))
    return item.model_copy(update={"polygon": polygon})


def page_of_lines(*lines: Sequence[tuple[str, Box]], degrees: int = 0, glued: bool = False) -> Page:
    built = [
        line_of([turned(word(text, box), degrees).model_copy(update={"space_after": not glued}) for text, box in line])
        for line in lines
    ]
    block = block_of([paragraph_of(built)])
    return Page(number=1, width=400, height=300, dpi=DPI, rotation=degrees, blocks=(block,))  # type: ignore[arg-type]  # a quarter turn


ENGLISH = page_of(1, [[[["Hello", "world,", "more"], ["again", "x"]]], [[["<&()\\"]]]], dpi=DPI)
KOREAN = page_of(1, [[[["도서관의", "작은", "𠀀漢"]]]], dpi=DPI)
TWO_COLUMNS = page_of_lines(
    *(
        [("left", (10, 10, 60, 30)), ("one", (70, 10, 110, 30))],
        [("left", (10, 40, 60, 60)), ("two", (70, 40, 110, 60))],
    ),
    *([("right", (210, 10, 260, 30)), ("one", (270, 10, 310, 30))], [("end", (210, 40, 260, 60))]),
)
DOWN = page_of_lines(
    [("Hello", (100, 10, 120, 60)), ("world", (100, 70, 120, 130))], [("next", (60, 10, 80, 60))], degrees=90
)
UP = page_of_lines(
    [("Hello", (100, 80, 120, 130)), ("world", (100, 10, 120, 70))], [("next", (140, 80, 160, 130))], degrees=270
)
HEAD_DOWN = page_of_lines([("Hello", (200, 200, 250, 220)), ("world", (130, 200, 190, 220))], degrees=180)
ARABIC = page_of_lines([("مرحبا", (200, 10, 260, 30)), ("بكم", (130, 10, 190, 30))], [("123", (210, 50, 260, 70))])
VERTICAL = page_of_lines(
    *([("日本語", (100, 10, 120, 70)), ("縦書", (100, 73, 120, 113))], [("次の行", (70, 10, 90, 70))]), glued=True
)
UPWARDS_UNSAID = page_of_lines([("Hello", (100, 80, 120, 130)), ("world", (100, 10, 120, 70))])
PAGES = {
    "up, boxes upright": UPWARDS_UNSAID,
    **{"english": ENGLISH, "korean": KOREAN, "columns": TWO_COLUMNS, "down": DOWN, "up": UP, "head down": HEAD_DOWN},
    **{"arabic": ARABIC, "vertical": VERTICAL},
}


def words_of(text: str) -> list[str]:
    for mark in "\u202a\u202b\u202c":
        text = text.replace(mark, "")
    return text.split()


def truth(page: Page) -> list[str]:
    return words_of(page.text)


def of_pdftotext(pdf: bytes, path: Path, *options: str) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing: Debian's poppler-utils has it")
    path.write_bytes(pdf)
    return subprocess.run(["pdftotext", *options, path, "-"], capture_output=True, text=True, check=True).stdout


def of_pdfium(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as opened:
        return "\f".join(page.get_textpage().get_text_range() for page in opened)


def of_pdfminer(pdf: bytes) -> str:
    return str(pdfminer.extract_text(BytesIO(pdf), laparams=LAParams(detect_vertical=True)))


def pages_of(pdf: bytes) -> list[Any]:
    """Without an analysis of the layout, which would reorder what is turned."""
    resources = PDFResourceManager()
    device = PDFPageAggregator(resources, laparams=None)
    interpreter = PDFPageInterpreter(resources, device)
    pages = []
    for page in PDFPage.get_pages(BytesIO(pdf)):
        interpreter.process_page(page)
        pages.append(device.get_result())
    return pages


def boxes_of(pdf: bytes, height: int = 300) -> list[tuple[str, Box]]:
    """Words by pdfminer.six in the order of the page's content, their boxes in pixels, y down."""
    found: list[tuple[str, Box]] = []
    text, corners = "", []
    scale = DPI / 72

    def characters(item: Any) -> list[LTChar]:
        if isinstance(item, LTChar):
            return [item]
        return [each for part in item for each in characters(part)] if isinstance(item, LTContainer) else []

    for page in pages_of(pdf):
        for each in characters(page):
            if each.get_text() == " ":
                found.append((text, box_of(corners)))
                text, corners = "", []
                continue
            x0, y0, x1, y1 = (side * scale for side in each.bbox)
            text += each.get_text()
            corners.append(((x0, height - y1), (x1, height - y1), (x1, height - y0), (x0, height - y0)))
    if text:
        found.append((text, box_of(corners)))
    return found


def overlap(one: Box, other: Box) -> float:
    def area(box: Box) -> float:
        return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)

    shared = area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
    return shared / (area(one) + area(other) - shared)


@pytest.mark.parametrize("name", PAGES)
def test_three_readers_find_the_text(name: str, tmp_path: Path) -> None:
    page = PAGES[name]
    pdf = document_of(page).to_pdf(picture())
    # of text that is upside down, pdfium has the words of a line from left to right
    order = sorted if name == "head down" else list
    assert order(words_of(of_pdfium(pdf))) == order(truth(page))
    # in columns, these two see lines that go across; `-raw` is for reading order
    found = {"pdftotext": of_pdftotext(pdf, tmp_path / "a.pdf"), "pdfminer": of_pdfminer(pdf)}
    for reader, text in found.items():
        assert sorted(words_of(text)) == sorted(truth(page)), reader
    if name != "arabic":
        # there each letter is a word to `pdftotext -raw`
        assert words_of(of_pdftotext(pdf, tmp_path / "a.pdf", "-raw")) == truth(page)


@pytest.mark.parametrize(
    "name", ["english", "korean", "columns", "down", "up", "up, boxes upright", "head down", "arabic"]
)
def test_words_lie_where_they_stand(name: str) -> None:
    page = PAGES[name]
    found = boxes_of(document_of(page).to_pdf(picture()))
    words = list(page.words())
    assert [text for text, _ in found] == [item.text for item in words]
    for (text, box), item in zip(found, words, strict=True):
        assert max(abs(side - wanted) for side, wanted in zip(box, item.bbox, strict=True)) <= 2, text
        assert overlap(box, item.bbox) >= 0.8, text


def test_qpdf_finds_no_fault(tmp_path: Path) -> None:
    if shutil.which("qpdf") is None:
        pytest.skip("qpdf is missing: Debian's package of that name has it")
    tiff = picture(form="TIFF", save_all=True, append_images=[Image.new("1", (400, 300))] * (len(PAGES) - 1))
    pages = [page.model_copy(update={"number": number}) for number, page in enumerate(PAGES.values(), 1)]
    for method in ("to_pdf", "to_overlay_pdf"):
        path = tmp_path / f"{method}.pdf"
        path.write_bytes(getattr(document_of(*pages), method)(tiff))
        checked = subprocess.run(["qpdf", "--check", path], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_keeps_its_bytes(mode: str) -> None:
    source = picture(mode)
    with pikepdf.open(BytesIO(document_of(ENGLISH).to_pdf(source))) as pdf:
        image = pdf.pages[0].obj.Resources.XObject.Image
        assert image.read_raw_bytes() == source


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *[("1", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGB", "PNG"), ("1", "TIFF"), ("CMYK", "TIFF"), ("RGB", "BMP")],
        *[("P", "GIF"), ("LA", "PNG"), ("RGBA", "PNG"), ("I;16", "PNG")],
    ],
)
def test_other_images_lose_nothing(mode: str, form: str) -> None:
    source = picture(mode, form=form)
    with pikepdf.open(BytesIO(document_of(ENGLISH).to_pdf(source))) as pdf:
        image = pdf.pages[0].obj.Resources.XObject.Image
        with Image.open(BytesIO(source)) as original:
            if mode == "I;16":
                assert image.BitsPerComponent == 16
                assert image.read_bytes() == original.tobytes("raw", "I;16B")
                return
            kept = pikepdf.PdfImage(image).as_pil_image().convert("RGB")
            assert ImageChops.difference(kept, original.convert("RGB")).getbbox() is None
            assert ("/SMask" in image) == (mode in {"LA", "RGBA"})


def tiff_picture(mode: str, compression: str, **tags: Any) -> bytes:
    """In one strip: letters, which fax is made for."""
    image = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(image).text((20, 20), "Hello 42\nagain", fill=0, font_size=60)
    written = BytesIO()
    image.convert(mode).save(written, "TIFF", compression=compression, strip_size=10**6, **tags)
    return written.getvalue()


def refilled(data: bytes) -> bytes:
    """A TIFF with the bits of its strip in the other order, and a tag that says so."""
    with Image.open(BytesIO(data)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]  # a TIFF has it
        start, size = tags[273][0], tags[279][0]
    turned_bits = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
    changed = data[:start] + data[start : start + size].translate(turned_bits) + data[start + size :]
    # PlanarConfiguration, which is 1 anyway, becomes FillOrder 2
    entry, other = struct.pack("<HHII", 284, 3, 1, 1), struct.pack("<HHII", 266, 3, 1, 2)
    assert changed.count(entry) == 1
    return changed.replace(entry, other)


def embedded_and_shown(source: bytes) -> tuple[str, bytes, Image.Image, Image.Image]:
    """The image's filter and bytes, what pdfium shows of it, and what it is to show."""
    viewed = open_page(source, 1)
    page = Page(number=1, width=viewed.width, height=viewed.height, dpi=72)
    pdf = document_of(page).to_pdf(source)
    with pypdfium2.PdfDocument(pdf) as opened:
        shown = opened[0].render(scale=1).to_pil().convert("RGB")
    with pikepdf.open(BytesIO(pdf)) as written:
        image = written.pages[0].obj.Resources.XObject.Image
        return str(image.Filter), image.read_raw_bytes(), shown, viewed


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("other_order", [False, True])
def test_a_fax_of_a_tiff_keeps_its_bytes(white_is_zero: bool, other_order: bool) -> None:
    source = tiff_picture("1", "group4", **({"tiffinfo": {262: 0}} if white_is_zero else {}))
    with Image.open(BytesIO(source)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]  # a TIFF has it
        assert tags[262] == (0 if white_is_zero else 1)
        fax = source[tags[273][0] :][: tags[279][0]]
    coding, embedded, shown, viewed = embedded_and_shown(refilled(source) if other_order else source)
    assert coding == "/CCITTFaxDecode"
    assert embedded == fax
    assert ImageChops.difference(shown, viewed).getbbox() is None


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr"])
def test_a_jpeg_of_a_tiff_is_not_compressed_anew(mode: str) -> None:
    source = tiff_picture(mode, "jpeg")
    with Image.open(BytesIO(source)) as image:
        scan = source[image.tag_v2[273][0] :][2 : image.tag_v2[279][0]]  # type: ignore[attr-defined]  # a TIFF has it
    coding, embedded, shown, viewed = embedded_and_shown(source)
    assert coding == "/DCTDecode"
    assert embedded.endswith(scan)
    assert max(ImageChops.difference(shown, viewed).convert("L").getextrema()) < 12


@pytest.mark.parametrize("form", ["TIFF in strips", "PNG"])
def test_black_and_white_becomes_fax_without_loss(form: str) -> None:
    if form == "PNG":
        written = BytesIO()
        Image.open(BytesIO(tiff_picture("1", "group4"))).save(written, "PNG")
        source = written.getvalue()
    else:
        source = tiff_picture("1", "group4", tiffinfo={278: 10})
    coding, _, shown, viewed = embedded_and_shown(source)
    assert coding == "/CCITTFaxDecode"
    assert ImageChops.difference(shown, viewed).getbbox() is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_and_not_its_bytes(orientation: int) -> None:
    image = Image.new("RGB", (40, 30), "white")
    image.paste("red", (0, 0, 20, 15))
    image.paste("blue", (20, 0, 40, 15))
    exif = Image.Exif()
    exif[0x0112] = orientation
    written = BytesIO()
    image.save(written, "JPEG", exif=exif, quality=95, subsampling=0)
    viewed = open_page(written.getvalue(), 1)
    page = Page(number=1, width=viewed.width, height=viewed.height, dpi=72)
    with pypdfium2.PdfDocument(document_of(page).to_pdf(written.getvalue())) as pdf:
        shown = pdf[0].render(scale=1).to_pil().convert("RGB")
    assert shown.size == viewed.size
    for x, y in [(5, 5), (viewed.width - 6, 5), (5, viewed.height - 6), (viewed.width - 6, viewed.height - 6)]:
        pairs = zip(shown.getpixel((x, y)), viewed.getpixel((x, y)), strict=True)  # type: ignore[arg-type]  # tuples, for the mode is RGB
        assert all(abs(one - other) < 30 for one, other in pairs), (x, y)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("height", [1078, 2156])
def test_a_fax_is_as_high_as_on_paper_and_its_words_are_where_they_are_seen(height: int, orientation: int) -> None:
    """Standard resolution is 204 x 98 pixels to the inch, fine 204 x 196. Half of the page is black under the word."""
    dpi = (204, 98 if height == 1078 else 196)
    stored = Image.new("1", (1728, height), 1)
    stored.paste(0, (0, 0, 864, height // 2))
    written = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(written, "TIFF", compression="group4", dpi=dpi, exif=exif)
    viewed = open_page(written.getvalue(), 1)
    assert viewed.size == ((1728, height) if orientation == 1 else (height, 1728))
    width, length = viewed.size
    box = (width * 0.1, length * 0.2, width * 0.4, length * 0.3)
    read = page_of_lines([("Harbour", box)]).model_copy(update={"width": width, "height": length, "dpi": 204.0})
    if height == 2156:
        read = read.model_copy(update={"dpi": 200.0})
    with pypdfium2.PdfDocument(document_of(read).to_pdf(written.getvalue())) as pdf:
        page = pdf[0]
        size = page.get_size()
        upright = size if orientation == 1 else size[::-1]
        assert upright == pytest.approx((1728 / 204 * 72, 1078 / 98 * 72), abs=0.1)
        text = page.get_textpage()
        assert text.count_rects() >= 1
        found = text.get_rect(0)
        assert (found[0] / size[0], found[2] / size[0]) == pytest.approx((0.1, 0.4), abs=0.01)
        assert 0.2 - 0.01 <= 1 - found[3] / size[1] < 1 - found[1] / size[1] <= 0.3 + 0.01
        shown = page.render(scale=1).to_pil().convert("L")
    for x, y in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]:
        seen, meant = (
            image.getpixel((int(image.width * x), int(image.height * y))) for image in (shown, viewed.convert("L"))
        )
        assert seen == meant, (x, y)


@pytest.mark.parametrize(
    ("axes", "size"),
    [((300, 72), (400, 300)), ((10_000, 98), (400, 300)), ((0, 98), (400, 300)), ((144, 72), (200, 300))],
)
def test_only_what_a_page_can_have_says_how_large_it_is(axes: tuple[int, int], size: tuple[int, int]) -> None:
    page = Page(number=1, width=400, height=300, dpi=72)
    source = picture("L", form="TIFF", tiffinfo={282: axes[0], 283: axes[1], 296: 2})
    with pypdfium2.PdfDocument(document_of(page).to_pdf(source)) as pdf:
        assert pdf[0].get_size() == pytest.approx(size, abs=0.01)
    other = page.model_copy(update={"width": 200, "height": 150})
    with pypdfium2.PdfDocument(document_of(other).to_pdf(source)) as pdf:
        assert pdf[0].get_size() == pytest.approx((400, 300), abs=0.01)


def test_the_text_is_not_seen() -> None:
    white = BytesIO()
    Image.new("RGB", (400, 300), "white").save(white, "PNG")
    with pypdfium2.PdfDocument(document_of(ENGLISH).to_pdf(white.getvalue())) as pdf:
        assert pdf[0].render(scale=4).to_pil().convert("L").getextrema() == (255, 255)


def test_language_and_size_of_the_page() -> None:
    page = KOREAN.model_copy(update={"languages": ("kor",)})
    with pikepdf.open(BytesIO(document_of(page, languages=("kor",)).to_pdf(picture()))) as pdf:
        assert str(pdf.Root.Lang) == "ko"
        assert b"/Lang (ko)" in pdf.pages[0].Contents.read_bytes()
        assert [float(side) for side in pdf.pages[0].mediabox] == pytest.approx([0, 0, 96, 72])


def source_pdf(rotate: int) -> bytes:
    """A page whose box does not begin at 0, and whose content leaves its matrix changed."""
    made = pikepdf.new()
    made.add_blank_page(page_size=(96, 72) if rotate in {0, 180} else (72, 96))
    page = made.pages[0]
    x1, y1 = (106, 92) if rotate in {0, 180} else (82, 116)
    page.obj.MediaBox = pikepdf.Array([10, 20, x1, y1])
    page.obj.Rotate = rotate
    page.contents_add(made.make_stream(b"3 0 0 3 7 7 cm 0 0 1 1 re f"))
    written = BytesIO()
    made.save(written)
    return written.getvalue()


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_page_of_a_pdf_is_grafted(rotate: int) -> None:
    source = source_pdf(rotate)
    pdf = document_of(ENGLISH).to_pdf(source)
    with pikepdf.open(BytesIO(pdf)) as opened:
        assert b"3 0 0 3 7 7 cm 0 0 1 1 re f" in [each.read_bytes() for each in opened.pages[0].Contents]
    with pypdfium2.PdfDocument(pdf) as after, pypdfium2.PdfDocument(source) as before:
        one, other = (each[0].render(scale=3).to_pil() for each in (before, after))
        assert ImageChops.difference(one, other).getbbox() is None
    # pdfminer.six turns the page as viewers do
    found = boxes_of(pdf)
    for (text, box), item in zip(found, ENGLISH.words(), strict=True):
        assert text == item.text
        assert overlap(box, item.bbox) >= 0.8, (text, box, item.bbox)


def test_a_pdf_without_that_page_is_refused() -> None:
    with pytest.raises(PageNotFound):
        document_of(ENGLISH.model_copy(update={"number": 2})).to_pdf(source_pdf(0))


def locked(data: bytes) -> bytes:
    written = BytesIO()
    with pikepdf.open(BytesIO(data)) as pdf:
        pdf.save(written, encryption=pikepdf.Encryption(owner="owner", user="user"))
    return written.getvalue()


@pytest.mark.parametrize("password", ["user", "owner"])
def test_an_encrypted_pdf_is_opened_by_its_password(password: str) -> None:
    source = locked(source_pdf(0))
    pdf = document_of(ENGLISH).to_pdf(source, password=password)
    assert words_of(of_pdfium(pdf)) == truth(ENGLISH)
    assert document_of(ENGLISH).to_overlay_pdf(source, password=password) != pdf


def test_without_its_password_an_encrypted_pdf_is_an_error_with_a_remedy() -> None:
    source = locked(source_pdf(0))
    with pytest.raises(PdfPasswordRequired) as missing:
        document_of(ENGLISH).to_pdf(source)
    assert "password=" in missing.value.info.remedy
    with pytest.raises(PdfPasswordWrong):
        document_of(ENGLISH).to_pdf(source, password="another")
    with pytest.raises(PdfDamaged):
        document_of(ENGLISH).to_pdf(b"%PDF-1.7 and nothing else")


def test_several_images_become_one_pdf() -> None:
    written = BytesIO()
    sources = [picture(), picture(form="PNG")]
    bind_pdf(zip([document_of(ENGLISH), document_of(KOREAN)], sources, strict=True), written)
    assert words_of(of_pdfium(written.getvalue())) == truth(ENGLISH) + truth(KOREAN)


def test_images_and_pdfs_become_one_pdf(tmp_path: Path) -> None:
    """In their order, whichever comes first."""
    kinds = {"image": picture(), "pdf": source_pdf(0)}
    for order in (["image", "pdf", "image", "image"], ["pdf", "image"]):
        written = BytesIO()
        pages = [ENGLISH if kind == "image" else KOREAN for kind in order]
        bind_pdf([(document_of(page), kinds[kind]) for page, kind in zip(pages, order, strict=True)], written)
        assert words_of(of_pdfium(written.getvalue())) == [word for page in pages for word in truth(page)]
        with pikepdf.open(BytesIO(written.getvalue())) as pdf:
            assert ["/XObject" in page.obj.Resources for page in pdf.pages] == [kind == "image" for kind in order]


MEMORY_OF_PAGES = """
import sys, tracemalloc
from pathlib import Path
from ocrqueue.document.formats.pdf import bind_pdf
from tests.integration.test_pdf import ENGLISH, document_of

noise, target = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])

def peak_bytes(pages):
    tracemalloc.start()
    with target.open("wb") as file:
        bind_pdf(((document_of(ENGLISH), noise) for _ in range(pages)), file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak

peak_bytes(2)
print(peak_bytes(4), peak_bytes(40))
"""


def test_pages_of_images_are_not_kept_in_memory(tmp_path: Path) -> None:
    """In a process of its own: threads that other tests left would be counted too."""
    noise, target = tmp_path / "noise.jpg", tmp_path / "many.pdf"
    Image.effect_noise((400, 300), 100).save(noise, "JPEG", quality=95)
    size = noise.stat().st_size
    program = [sys.executable, "-c", MEMORY_OF_PAGES, str(noise), str(target)]
    few, many = map(int, subprocess.run(program, check=True, capture_output=True).stdout.split())
    assert size > 50_000
    assert many < few + 2 * size
    assert target.stat().st_size > 40 * size


def test_pages_are_counted_as_workers_count_them() -> None:
    """A thumbnail in a TIFF is no page."""
    written = BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(written) as file:
        for value, kind in ((10, 0), (99, 1), (200, 0)):
            image = Image.new("L", (40, 30), value)
            image.save(file, "TIFF", tiffinfo={254: kind})
            file.newFrame()
    pages = [Page(number=number, width=40, height=30, dpi=72) for number in (1, 2)]
    with pypdfium2.PdfDocument(document_of(*pages).to_pdf(written.getvalue())) as pdf:
        shown = [page.render(scale=1).to_pil().convert("L").getpixel((20, 15)) for page in pdf]
    assert shown == [10, 200]
    with pytest.raises(PageNotFound):
        open_page(written.getvalue(), 3)


def test_each_word_has_an_annotation() -> None:
    with pikepdf.open(BytesIO(document_of(ENGLISH).to_overlay_pdf(picture()))) as pdf:
        contents = [str(each.Contents) for each in pdf.pages[0].Annots]
    assert contents == [f"{item.text} (50 %)" for item in ENGLISH.words()]


def test_a_page_that_failed_keeps_its_picture_or_is_empty() -> None:
    failed = Page(number=1, width=400, height=300, error=ErrorInfo(code="engine.failed", message="It broke off."))
    assert of_pdfium(document_of(failed).to_pdf(picture())) == ""
    with pikepdf.open(BytesIO(document_of(failed).to_pdf(b"no image"))) as pdf:
        assert len(pdf.pages) == 1
    with pytest.raises(ImageNotRecognised):
        document_of(ENGLISH).to_pdf(b"no image")


def test_no_word_breaks_the_pdf(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    boxes: list[Box] = [(nan, 0, inf, 9), (5, 5, 5, 5), (50, 50, 10, 10), (-9, -9, 900, 900)]
    page = page_of_lines(
        [(f"w{number}\x00(\\", box) for number, box in enumerate(boxes)], [("e\u0301", (9, 9, 20, 20))]
    )
    pdf = document_of(page.model_copy(update={"dpi": nan})).to_pdf(picture())
    assert len(words_of(of_pdfium(pdf))) >= len(boxes)


def test_html_overlay_fetches_nothing() -> None:
    document: Document = document_of(page_of(1, [[[["<script>", "b"]]]]))
    html = document.to_overlay_html(picture())
    assert "<script" not in html
    assert html.count("<polygon") == 2
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
