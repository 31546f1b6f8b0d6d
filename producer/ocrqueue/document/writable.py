"""What a Document offers to be written as: a method for each format."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from PIL.Image import Image


def _formats(module: str = "") -> Any:
    # by name: the formats are written from Documents and stand above them, and are loaded by those who write only
    return import_module(f"ocrqueue.document.formats{module}")


def _data_frames(library: str | None) -> Any:
    names = [library] if library else sorted(("pandas", "polars"), key=lambda name: name not in sys.modules)
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ImportError(f"to_dataframe() needs {' or '.join(names)}: pip install {names[0]}")


class Writable:
    """Base of Document. docs/formats.md says what each format holds."""

    __slots__ = ()

    def to_text(self, *, layout: bool = False) -> str:
        """Plain text in reading order; with `layout` each word about where it stands on the page."""
        return self._rendered("text-layout" if layout else "text")

    def to_json(self) -> str:
        """As in result.json, indented."""
        return self._rendered("json")

    def to_jsonl(self) -> str:
        """JSON Lines: a page a line."""
        return self._rendered("jsonl")

    def to_tsv(self) -> str:
        """In the columns of Tesseract's TSV."""
        return self._rendered("tsv")

    def to_csv(self) -> str:
        """A row for each word."""
        return self._rendered("csv")

    def to_markdown(self) -> str:
        """CommonMark in reading order."""
        return self._rendered("markdown")

    def to_hocr(self) -> str:
        """hOCR 1.2."""
        return self._rendered("hocr")

    def to_alto(self) -> str:
        """ALTO 4.4."""
        return self._rendered("alto")

    def to_page(self, number: int | None = None) -> str:
        """PAGE XML (2019) of page `number`, which may be left out where there is one page. Raises PageNotFound."""
        if number is None:
            return self._rendered("page")
        page: str = _formats(".page_xml").page_file(self, number)
        return page

    def to_pdf(self, image: bytes, *, password: str | None = None) -> bytes:
        """A searchable PDF of `image`, the image or PDF that was read. `password` opens it if it is encrypted; the new
        PDF is not. Raises what bind_pdf raises."""
        return self._searchable(image, password, annotated=False)

    def to_overlay_pdf(self, image: bytes, *, password: str | None = None) -> bytes:
        """The searchable PDF with an annotation around each word: its text and confidence."""
        return self._searchable(image, password, annotated=True)

    def to_overlay_html(self, image: bytes) -> str:
        """One HTML file with the pages and their words marked: no script, and nothing that is fetched."""
        with _formats(".page_image").ImageFile(image) as file:
            return "".join(_formats(".overlay_html").overlay_html_pieces(self, file))

    def to_overlay_png(self, image: bytes, number: int = 1) -> Image:
        """Page `number` with its words marked, and beside it what was read, as a Pillow image."""
        overlay = _formats(".overlay")
        drawn: Image = overlay.draw_overlay(self, overlay.open_page(image, number), number)
        return drawn

    def to_dataframe(self, library: Literal["pandas", "polars"] | None = None) -> Any:
        """A DataFrame with a row for each word, in the columns of to_csv(): of pandas or polars, whichever is there.

        `library`: this one, where both are. Raises ImportError.
        """
        made: Any = _formats(".csv_words").word_columns(self)
        return _data_frames(library).DataFrame(made)

    def _repr_html_(self) -> str:
        """In a notebook: the first pages with their words marked; the words alone where the picture is not at hand."""
        shown: str = _formats(".overlay_html").notebook_html(self)
        return shown

    def _searchable(self, image: bytes, password: str | None, *, annotated: bool) -> bytes:
        file = _formats(".page_image").ImageFile(image, password=lambda: password)
        pdf: bytes = _formats(".pdf").searchable_pdf(self, file, annotated=annotated)
        return pdf

    def _rendered(self, name: str) -> str:
        text: str = _formats().render(self, name)
        return text
