"""PAGE XML (2019-07-15): the layout as OCR-D, Transkribus and eScriptorium take it. One file for each page.

Source of the format: PRImA's schema of page content, version 2019-07-15.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ocrqueue.document import Document, Line, Page, Paragraph, Polygon, Region, Word
from ocrqueue.document.formats.sanitise import inline_text, pixel_box, points
from ocrqueue.errors import PageNotFound

_NAMESPACE: Final = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


def page_pieces(document: Document) -> Iterator[str]:
    """The only page of `document`. Raises PageNotFound where it has none, or several: see page_file."""
    if len(document.pages) != 1:
        raise PageNotFound(
            f"A PAGE XML file has one page, the Document {len(document.pages)}.",
            remedy="Write a file for each page: page_file(document, number), or `ocrqueue result -f page -O FILE`.",
        )
    yield page_file(document, document.page_numbers[0])


def page_file(document: Document, number: int) -> str:
    """The page of that number. Paragraphs are TextRegions in reading order, each with its lines and words.

    Raises PageNotFound where the Document has no such page.
    """
    page = document.page(number)
    root = Element("PcGts", {"xmlns": _NAMESPACE, "pcGtsId": f"page_{number}"})
    metadata = SubElement(root, "Metadata")
    SubElement(metadata, "Creator").text = inline_text(f"{document.engine.name} {document.engine.version}")
    for tag in ("Created", "LastChange"):
        SubElement(metadata, tag).text = document.finished_at.isoformat()
    attributes = {"imageFilename": inline_text(document.input.uri)}
    attributes |= {"imageWidth": str(page.width), "imageHeight": str(page.height)}
    _fill_page(SubElement(root, "Page", attributes), page)
    indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _fill_page(element: Element, page: Page) -> None:
    paragraphs = {
        f"r{block_number}_{number}": paragraph
        for block_number, block in enumerate(page.blocks, 1)
        for number, paragraph in enumerate(block.paragraphs, 1)
    }
    if not paragraphs:
        return
    order = SubElement(SubElement(element, "ReadingOrder"), "OrderedGroup", {"id": "order"})
    for index, name in enumerate(paragraphs):
        SubElement(order, "RegionRefIndexed", {"index": str(index), "regionRef": name})
    for name, paragraph in paragraphs.items():
        _add_paragraph(element, paragraph, page, name)


def _add_paragraph(parent: Element, paragraph: Paragraph, page: Page, name: str) -> None:
    element = SubElement(parent, "TextRegion", {"id": name, "type": "paragraph"})
    if page.rotation:
        # PAGE counts from -180 to 180, clockwise to turn the region upright: Page.rotation is how far it is turned
        element.set("orientation", str({90: -90, 180: 180, 270: 90}[page.rotation]))
    _add_coordinates(element, paragraph, page)
    for number, line in enumerate(paragraph.lines, 1):
        _add_line(element, line, page, f"{name}_{number}")
    _add_text(element, "\n".join(inline_text(line.text) for line in paragraph.lines))


def _add_line(parent: Element, line: Line, page: Page, name: str) -> None:
    direction = {"readingDirection": "right-to-left"} if line.dir == "rtl" else {}
    element = SubElement(parent, "TextLine", {"id": f"l{name}", **direction})
    _add_coordinates(element, line, page)
    for number, word in enumerate(line.words, 1):
        _add_word(element, word, page, f"w{name}_{number}")
    _add_text(element, inline_text(line.text))


def _add_word(parent: Element, word: Word, page: Page, name: str) -> None:
    element = SubElement(parent, "Word", {"id": name})
    _add_coordinates(element, word, page)
    _add_text(element, inline_text(word.text), word.confidence)


def _add_text(parent: Element, text: str, confidence: float | None = None) -> None:
    attributes = {} if confidence is None else {"conf": f"{confidence:.4g}"}
    SubElement(SubElement(parent, "TextEquiv", attributes), "Unicode").text = text


def _add_coordinates(parent: Element, region: Region, page: Page) -> None:
    SubElement(parent, "Coords", {"points": points(_outline(region, page), page)})


def _outline(region: Region, page: Page) -> Polygon:
    """The polygon; of what stands upright the box of whole pixels around it, as the other formats have it."""
    left, top, right, bottom = region.bbox
    if set(region.polygon) != {(left, top), (right, top), (right, bottom), (left, bottom)}:
        return region.polygon
    x0, y0, x1, y1 = pixel_box(region.bbox, page)
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
