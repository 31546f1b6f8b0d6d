"""Pages of a PDF with the words that were read on them: pikepdf takes them over with all their objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from ocrqueue.document import Page
from ocrqueue.document.formats.glyphless_font import ASCENT, DESCENT, UNITS, Codes, font_file
from ocrqueue.document.formats.pdf_annotations import frames, moved_box
from ocrqueue.document.formats.pdf_text import FONT_NAME, Matrix, language_tag, text_content
from ocrqueue.errors import PageNotFound, PdfDamaged, PdfExtraMissing, PdfPasswordRequired, PdfPasswordWrong

if TYPE_CHECKING:
    import pikepdf

_OPENED_BY: Final = (
    "Give the PDF's password: to_pdf(data, password=...), or --password-file on the command line. A worker that has "
    'the job\'s password stores this file beside the result: outputs=["pdf"].'
)


class GraftedPdf:
    """The PDF that is being made. Its pages are in memory, compressed, until it is written."""

    def __init__(self, *, annotated: bool = False) -> None:
        """Raises PdfExtraMissing."""
        try:
            import pikepdf
        except ModuleNotFoundError:
            raise PdfExtraMissing from None
        self._pikepdf: Any = pikepdf
        self._annotated = annotated
        self._pdf = pikepdf.new()
        self._codes = Codes()
        # filled when all characters are known
        self._font = self._pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Font))

    def open(self, source: IO[bytes], password: Callable[[], str | None] = lambda: None) -> pikepdf.Pdf:
        """To be open until the new one is written, which is not encrypted. `password` is asked if `source` is.

        Raises PdfPasswordRequired, PdfPasswordWrong or PdfDamaged.
        """
        try:
            return self._opened(source, "")
        except self._pikepdf.PasswordError:
            given = password()
        if given is None:
            raise PdfPasswordRequired("The PDF is encrypted.", remedy=_OPENED_BY)
        source.seek(0)
        try:
            return self._opened(source, given)
        except self._pikepdf.PasswordError:
            raise PdfPasswordWrong("The password does not open the PDF.") from None

    def _opened(self, source: IO[bytes], password: str) -> pikepdf.Pdf:
        try:
            opened: pikepdf.Pdf = self._pikepdf.open(source, password=password)
        except self._pikepdf.PasswordError:
            raise
        except self._pikepdf.PdfError as error:
            raise PdfDamaged(f"The PDF cannot be opened: {error}"[:300]) from None
        return opened

    def add_drawn(self, source: pikepdf.Pdf) -> None:
        """All pages of a PDF that has its text already."""
        self._pdf.pages.extend(source.pages)

    def add(self, page: Page, source: pikepdf.Pdf) -> None:
        """The page of that number. Raises PageNotFound."""
        if not 1 <= page.number <= len(source.pages):
            raise PageNotFound(f"The PDF has no page {page.number}.")
        self._pdf.pages.append(source.pages[page.number - 1])
        added = self._pdf.pages[-1]
        # what a page changes it must not change for those that share it
        resources = self._pikepdf.Dictionary(added.resources)
        resources.Font = self._pikepdf.Dictionary(resources.get("/Font", {}))
        resources.Font[f"/{FONT_NAME}"] = self._font
        added.obj.Resources = resources
        to_page = _viewed_to_page(page, added)
        # whatever state the page's own content leaves behind
        added.contents_add(self._pdf.make_stream(b"q\n"), prepend=True)
        added.contents_add(self._pdf.make_stream(b"\nQ\n" + text_content(page, self._codes, to_page)))
        if self._annotated:
            self._annotate(added, page, to_page)

    def _annotate(self, added: pikepdf.Page, page: Page, to_page: Matrix) -> None:
        made = [
            self._pdf.make_indirect(
                self._pikepdf.Dictionary(
                    Type=self._pikepdf.Name.Annot,
                    Subtype=self._pikepdf.Name.Square,
                    Rect=moved_box(to_page, frame.box),
                    Contents=self._pikepdf.String(frame.text),
                    C=[round(share, 3) for share in frame.colour],
                    CA=0.6,
                    BS=self._pikepdf.Dictionary(W=0.5),
                    F=4,
                )
            )
            for frame in frames(page)
        ]
        if made:
            added.obj.Annots = self._pikepdf.Array([*added.obj.get("/Annots", []), *made])

    def save(self, target: BinaryIO, languages: tuple[str, ...]) -> None:
        self._fill_font()
        if language := language_tag(languages[:1]):
            self._pdf.Root.Lang = self._pikepdf.String(language)
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
