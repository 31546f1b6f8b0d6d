"""A searchable PDF: the pages as they were, and the words as invisible text in their places.

A page comes from an image file or from a PDF. What was scanned is not compressed anew: JPEGs keep their bytes, the
pages of a PDF their objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ocrqueue.document import Document, Page
from ocrqueue.document.formats.glyphless_font import ASCENT, DESCENT, UNITS, Codes, font_file
from ocrqueue.document.formats.page_image import MAX_PIXELS
from ocrqueue.document.formats.pdf_annotations import frames
from ocrqueue.document.formats.pdf_images import EmbeddedImage, embedded_image
from ocrqueue.document.formats.pdf_text import FONT_NAME, Matrix, text_content
from ocrqueue.errors import OcrQueueError, PageNotFound, PdfExtraMissing

if TYPE_CHECKING:
    import pikepdf

_DPI: Final = 300.0
"""Of an image that does not state its own."""
_SIDES: Final = (3.0, 14_400.0)
"""Points that a page may measure, by PDF's own limits."""
_LANGUAGES: Final = {
    **{"ara": "ar", "ces": "cs", "chi_sim": "zh-Hans", "chi_tra": "zh-Hant", "dan": "da", "deu": "de", "ell": "el"},
    **{"eng": "en", "fin": "fi", "fra": "fr", "heb": "he", "hin": "hi", "hun": "hu", "ita": "it", "jpn": "ja"},
    **{"kor": "ko", "nld": "nl", "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "spa": "es"},
    **{"swe": "sv", "tha": "th", "tur": "tr", "ukr": "uk", "vie": "vi"},
}


@dataclass(frozen=True, slots=True)
class ImagePage:
    """A page of an image file."""

    data: bytes
    number: int = 1


@dataclass(frozen=True, slots=True)
class PdfPage:
    """A page of a PDF that is open, and stays so until the new one is written."""

    pdf: pikepdf.Pdf
    number: int = 1


def searchable_pdf(document: Document, data: bytes, *, annotated: bool = False, max_pixels: int = MAX_PIXELS) -> bytes:
    """`data`, the image or PDF that was read, with the words of `document`. Raises as bind_pdf does."""
    written = BytesIO()
    bind_pdf([(document, data)], written, annotated=annotated, max_pixels=max_pixels)
    return written.getvalue()


def bind_pdf(
    documents: Iterable[tuple[Document, bytes]],
    target: BinaryIO,
    *,
    annotated: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """One searchable PDF of what several jobs have read, in this order; each Document with the file it was read from.

    With `annotated`, each word has an annotation with its text and confidence. A page that failed keeps its picture;
    where that cannot be decoded it is empty. Raises PdfExtraMissing, and what reading an image raises.
    """
    pikepdf = _pikepdf()
    binding = _Binding(pikepdf, annotated, max_pixels)
    sources = []
    try:
        for document, data in documents:
            source = pikepdf.open(BytesIO(data)) if data.lstrip()[:5] == b"%PDF-" else None
            if source is not None:
                sources.append(source)
            for page in document.pages:
                binding.add(page, ImagePage(data, page.number) if source is None else PdfPage(source, page.number))
            binding.note_languages(document.languages)
        binding.save(target)
    finally:
        for source in sources:
            source.close()


def _pikepdf() -> Any:
    try:
        import pikepdf
    except ModuleNotFoundError:
        raise PdfExtraMissing from None
    return pikepdf


class _Binding:
    """The PDF that is being made."""

    def __init__(self, pikepdf: Any, annotated: bool, max_pixels: int) -> None:
        self._pikepdf = pikepdf
        self._annotated = annotated
        self._max_pixels = max_pixels
        self._pdf = pikepdf.new()
        self._codes = Codes()
        # filled when all characters are known
        self._font = self._pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Font))
        self._languages: tuple[str, ...] = ()

    def note_languages(self, languages: tuple[str, ...]) -> None:
        self._languages = self._languages or languages

    def add(self, page: Page, source: ImagePage | PdfPage) -> None:
        if isinstance(source, PdfPage):
            added, to_page = self._grafted(page, source)
        else:
            added, to_page = self._drawn(page, source)
        resources = added.obj.get("/Resources")
        if resources is None:
            resources = added.obj.Resources = self._pikepdf.Dictionary()
        if "/Font" not in resources:
            resources.Font = self._pikepdf.Dictionary()
        resources.Font[FONT_NAME] = self._font
        text = text_content(page, self._codes, to_page)
        language = language_tag(page.languages[:1])
        if language:
            text = f"/Span << /Lang ({language}) >> BDC\n".encode() + text + b"EMC\n"
        added.contents_add(self._pdf.make_stream(text))
        if self._annotated:
            self._annotate(added, page, to_page)

    def _drawn(self, page: Page, source: ImagePage) -> tuple[pikepdf.Page, Matrix]:
        try:
            image = embedded_image(source.data, source.number, max_pixels=self._max_pixels)
        except OcrQueueError:
            if page.error is None:
                raise
            image = None
        viewed = (page.width, page.height) if image is None else image.viewed
        width, height = _size_in_points(*viewed, page.dpi)
        added = self._pdf.add_blank_page(page_size=(width, height))
        if image is not None:
            added.obj.Resources = self._pikepdf.Dictionary(XObject={"/Image": self._image(image)})
            drawn = f"q {width:.5f} 0 0 {height:.5f} 0 0 cm {' '.join(map(str, image.oriented))} cm /Image Do Q\n"
            added.contents_add(self._pdf.make_stream(drawn.encode()))
        # the Document may have been made from the image at another size
        to_page = (width / max(page.width, 1), 0.0, 0.0, -height / max(page.height, 1), 0.0, height)
        return added, to_page

    def _image(self, image: EmbeddedImage) -> pikepdf.Object:
        name, array = self._pikepdf.Name, self._pikepdf.Array
        colours: Any = name(image.colours)
        if image.palette:
            last = len(image.palette) // 3 - 1
            colours = array([name.Indexed, name.DeviceRGB, last, self._pikepdf.String(image.palette)])
        elif image.profile:
            count = {"/DeviceGray": 1, "/DeviceRGB": 3, "/DeviceCMYK": 4}[image.colours]
            colours = array([name.ICCBased, self._pdf.make_stream(image.profile, N=count, Alternate=colours)])
        size = {"Type": name.XObject, "Subtype": name.Image, "Width": image.width, "Height": image.height}
        made: pikepdf.Object = self._pdf.make_stream(
            image.data, **size, ColorSpace=colours, BitsPerComponent=image.bits, Filter=name(image.filter)
        )
        if image.inverted:
            made.Decode = array([1, 0] * 4)
        if image.alpha:
            made.SMask = self._pdf.make_stream(
                image.alpha, **size, ColorSpace=name.DeviceGray, BitsPerComponent=8, Filter=name.FlateDecode
            )
        return made

    def _grafted(self, page: Page, source: PdfPage) -> tuple[pikepdf.Page, Matrix]:
        if not 1 <= source.number <= len(source.pdf.pages):
            raise PageNotFound(f"The PDF has no page {source.number}.")
        self._pdf.pages.append(source.pdf.pages[source.number - 1])
        added = self._pdf.pages[-1]
        # what a page changes it must not change for those that share it
        resources = self._pikepdf.Dictionary(added.resources)
        if "/Font" in resources:
            resources.Font = self._pikepdf.Dictionary(resources.Font)
        added.obj.Resources = resources
        # whatever state the page's own content leaves behind
        added.contents_add(self._pdf.make_stream(b"q\n"), prepend=True)
        added.contents_add(self._pdf.make_stream(b"\nQ\n"))
        return added, _viewed_to_page(page, added)

    def _annotate(self, added: pikepdf.Page, page: Page, to_page: Matrix) -> None:
        name, made = self._pikepdf.Name, []
        for frame in frames(page):
            corners = [_moved(to_page, *frame.box[:2]), _moved(to_page, *frame.box[2:])]
            xs, ys = zip(*corners, strict=True)
            made.append(
                self._pdf.make_indirect(
                    self._pikepdf.Dictionary(
                        Type=name.Annot,
                        Subtype=name.Square,
                        Rect=[round(side, 3) for side in (min(xs), min(ys), max(xs), max(ys))],
                        Contents=self._pikepdf.String(frame.text),
                        C=[round(share, 3) for share in frame.colour],
                        CA=0.6,
                        BS=self._pikepdf.Dictionary(W=0.5),
                        F=4,
                    )
                )
            )
        if made:
            added.obj.Annots = self._pikepdf.Array([*added.obj.get("/Annots", []), *made])

    def save(self, target: BinaryIO) -> None:
        self._fill_font()
        root = self._pdf.Root
        if language := language_tag(self._languages[:1]):
            root.Lang = self._pikepdf.String(language)
        self._pdf.docinfo["/Producer"] = "ocrqueue"
        # the same Document and image give the same bytes
        self._pdf.save(target, deterministic_id=True, compress_streams=True)

    def _fill_font(self) -> None:
        dictionary, name, array = self._pikepdf.Dictionary, self._pikepdf.Name, self._pikepdf.Array
        file = font_file()
        descriptor = dictionary(
            **{"Type": name.FontDescriptor, "FontName": name.OcrqueueGlyphless, "Flags": 4, "ItalicAngle": 0},
            **{"FontBBox": [0, DESCENT, UNITS, ASCENT], "Ascent": ASCENT, "Descent": DESCENT, "CapHeight": ASCENT},
            StemV=80,
            FontFile2=self._pdf.make_stream(file, Length1=len(file)),
        )
        descendant = dictionary(
            **{"Type": name.Font, "Subtype": name.CIDFontType2, "BaseFont": name.OcrqueueGlyphless, "DW": UNITS // 2},
            CIDSystemInfo=dictionary(Registry="Adobe", Ordering="Identity", Supplement=0),
            FontDescriptor=self._pdf.make_indirect(descriptor),
            CIDToGIDMap=self._pdf.make_stream(self._codes.glyphs()),
        )
        widths = [part for code, width in self._codes.widths() for part in (code, array([width]))]
        if widths:
            descendant.W = array(widths)
        self._font.Subtype = name.Type0
        self._font.BaseFont = name.OcrqueueGlyphless
        self._font.Encoding = name("/Identity-H")
        self._font.DescendantFonts = array([self._pdf.make_indirect(descendant)])
        self._font.ToUnicode = self._pdf.make_stream(self._codes.to_unicode())


def language_tag(languages: tuple[str, ...]) -> str:
    """By BCP 47, of the first; empty where it is none that PDF could name."""
    for language in languages:
        if language in _LANGUAGES:
            return _LANGUAGES[language]
        stem = language.split("_")[0]
        return _LANGUAGES.get(stem, stem if stem.isascii() and stem.isalpha() and len(stem) in {2, 3} else "")
    return ""


def _size_in_points(width: int, height: int, dpi: float | None) -> tuple[float, float]:
    """Of a page as its file states it, brought within what PDF allows, its proportions kept."""
    scale = 72 / (dpi if dpi is not None and isfinite(dpi) and dpi > 0 else _DPI)
    smallest, largest = _SIDES
    scale = max(scale, smallest / max(min(width, height), 1))
    scale = min(scale, largest / max(width, height, 1))
    return max(width, 1) * scale, max(height, 1) * scale


def _viewed_to_page(page: Page, added: pikepdf.Page) -> Matrix:
    """From the pixels of the page as it is shown to its own units: its crop box, and turned by its Rotate."""
    x0, y0, x1, y1 = (float(side) for side in added.cropbox)
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    width, height = max(page.width, 1), max(page.height, 1)
    turned = int(added.rotation if hasattr(added, "rotation") else added.obj.get("/Rotate", 0)) % 360
    if turned == 90:
        return (0.0, (y1 - y0) / width, (x1 - x0) / height, 0.0, x0, y0)
    if turned == 180:
        return (-(x1 - x0) / width, 0.0, 0.0, (y1 - y0) / height, x1, y0)
    if turned == 270:
        return (0.0, -(y1 - y0) / width, -(x1 - x0) / height, 0.0, x1, y1)
    return ((x1 - x0) / width, 0.0, 0.0, -(y1 - y0) / height, x0, y1)


def _moved(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f
