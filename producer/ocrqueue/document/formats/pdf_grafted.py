"""Pages of a PDF with the words that were read on them: pikepdf takes them over with all their objects.

A PDF whose pages are all there is written as it is, words added: its layers, forms, bookmarks and links stay. Of one
that follows another, or of which some pages were asked for, pikepdf takes over what belongs to the pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from ocrqueue.document import Page
from ocrqueue.document.formats.glyphless_font import ASCENT, DESCENT, UNITS, Codes, font_file
from ocrqueue.document.formats.pdf_annotations import frames, moved_box
from ocrqueue.document.formats.pdf_boxes import viewed_to_page
from ocrqueue.document.formats.pdf_hidden_text import remove_hidden_text
from ocrqueue.document.formats.pdf_left_out import forget_scripts, forget_signatures
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
        self._made: pikepdf.Pdf | None = None
        self._codes = Codes()
        self._font: Any = None

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
        except self._pikepdf.PikepdfError as error:
            raise PdfDamaged(f"The PDF cannot be opened: {_told(error)}") from None
        return opened

    def add_drawn(self, source: pikepdf.Pdf) -> None:
        """All pages of a PDF that has its text already."""
        self._taken_over(source, range(len(source.pages)))

    def add(
        self, numbers: Sequence[int], pages: Iterable[Page], source: pikepdf.Pdf, on_page: Callable[[], None]
    ) -> None:
        """`pages`, which have these numbers in `source`; `on_page` is called after each.

        Raises PageNotFound before it looks at the first of them, and PdfDamaged.
        """
        for number in numbers:
            if not 1 <= number <= len(source.pages):
                raise PageNotFound(f"The PDF has no page {number}.")
        try:
            added = self._taken_over(source, [number - 1 for number in numbers])
            for page, taken in zip(pages, added, strict=True):
                self._complete(page, taken)
                on_page()
        except self._pikepdf.PikepdfError as error:
            raise PdfDamaged(f"Its pages cannot be taken over: {_told(error)}") from None

    def _taken_over(self, source: pikepdf.Pdf, indices: Sequence[int]) -> Iterator[pikepdf.Page]:
        """The pages as they are in the new PDF."""
        if self._made is None and list(indices) == list(range(len(source.pages))):
            self._made, first = source, 0
            forget_signatures(source)
            forget_scripts(source)
        else:
            if self._made is None:
                self._made = self._pikepdf.new()
            first = len(self._made.pages)
            self._made.add_pages_from(source, indices)
        if self._font is None:
            # filled when all characters are known
            self._font = self._made.make_indirect(self._pikepdf.Dictionary(Type=self._pikepdf.Name.Font))
        return (self._made.pages[first + number] for number in range(len(indices)))

    @property
    def _pdf(self) -> pikepdf.Pdf:
        if self._made is None:
            raise RuntimeError("nothing was added")
        return self._made

    def _complete(self, page: Page, added: pikepdf.Page) -> None:
        to_page = viewed_to_page(page, added)
        # the words of a page that no engine has read are in it already
        if page.source != "pdf" and next(page.words(), None) is not None:
            self._write_words(page, added, to_page)
        if self._annotated:
            self._annotate(added, page, to_page)

    def _write_words(self, page: Page, added: pikepdf.Page, to_page: Matrix) -> None:
        # what a page changes it must not change for those that share it
        resources = self._copied(added.resources)
        resources.Font = self._copied(resources.get("/Font"))
        resources.Font[f"/{FONT_NAME}"] = self._font
        added.obj.Resources = resources
        remove_hidden_text(self._pdf, added)
        # ahead of the page's own content, which may leave any state behind, or break off
        added.contents_add(self._pdf.make_stream(text_content(page, self._codes, to_page)), prepend=True)

    def _copied(self, found: Any) -> Any:
        """A dictionary with the same entries; an empty one where a damaged PDF has something else."""
        is_one = isinstance(found, self._pikepdf.Dictionary)
        return self._pikepdf.Dictionary(dict(found.items()) if is_one else {})

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
            there = added.obj.get("/Annots")
            kept = list(there) if isinstance(there, self._pikepdf.Array) else []
            added.obj.Annots = self._pikepdf.Array([*kept, *made])

    def save(self, target: BinaryIO, languages: tuple[str, ...]) -> None:
        self._fill_font()
        if "/Lang" not in self._pdf.Root and (language := language_tag(languages[:1])):
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


def _told(error: Exception) -> str:
    """What qpdf says, without the name of the object in memory that it read from."""
    return re.sub(r"^(stream )?<[^>]*> ?", "", str(error))[:250]
