"""ALTO 4.4: the layout as libraries and archives keep it.

Source of the format: the Library of Congress's schema, ALTO 4.4 (loc.gov/standards/alto).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring
from xml.sax.saxutils import escape

from ocrqueue.document import Block, Box, Document, Line, Page, Region, Word
from ocrqueue.document.formats.sanitise import inline_text, pixel_box, points

_HEAD: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#" SCHEMAVERSION="4.4">
 <Description>
  <MeasurementUnit>pixel</MeasurementUnit>
  <sourceImageInformation>
   <fileName>{image}</fileName>
  </sourceImageInformation>
  <Processing ID="ocr">
   <processingCategory>contentGeneration</processingCategory>
   <processingDateTime>{finished_at}</processingDateTime>
   <processingSoftware>
    <softwareName>{engine}</softwareName>
    <softwareVersion>{version}</softwareVersion>
   </processingSoftware>
  </Processing>
 </Description>
 <Layout>
"""
_TAIL: Final = " </Layout>\n</alto>\n"


def alto_pieces(document: Document) -> Iterator[str]:
    """Block is ComposedBlock, paragraph TextBlock, line TextLine, word String with its WC; white space is SP.

    Boxes are whole pixels; what does not stand upright has its polygon too. Of a partial Document, the pages that
    failed are empty.
    """
    yield _HEAD.format(
        image=escape(inline_text(document.input.uri)),
        finished_at=document.finished_at.isoformat(),
        engine=escape(inline_text(document.engine.name)),
        version=escape(inline_text(document.engine.version)),
    )
    for page in document.pages:
        yield _page_markup(page)
    yield _TAIL


def _page_markup(page: Page) -> str:
    size = {"WIDTH": str(page.width), "HEIGHT": str(page.height)}
    element = Element("Page", {"ID": f"page_{page.number}", "PHYSICAL_IMG_NR": str(page.number), **size})
    space = SubElement(element, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
    for number, block in enumerate(page.blocks, 1):
        _add_block(space, block, page, f"{page.number}_{number}")
    indent(element, " ", 2)
    return f"  {tostring(element, encoding='unicode')}\n"


def _add_block(parent: Element, block: Block, page: Page, name: str) -> None:
    composed = _add(parent, "ComposedBlock", f"block_{name}", block, page)
    for number, paragraph in enumerate(block.paragraphs, 1):
        paragraph_name = f"{name}_{number}"
        text_block = _add(composed, "TextBlock", f"par_{paragraph_name}", paragraph, page)
        if page.rotation:
            # ALTO counts counter-clockwise, Page.rotation clockwise
            text_block.set("ROTATION", str(360 - page.rotation))
        _add_shape(text_block, paragraph, page)
        for line_number, line in enumerate(paragraph.lines, 1):
            _add_line(text_block, line, page, f"{paragraph_name}_{line_number}")


def _add_line(parent: Element, line: Line, page: Page, name: str) -> None:
    element = _add(parent, "TextLine", f"line_{name}", line, page)
    _add_shape(element, line, page)
    for number, word in enumerate(line.words, 1):
        _add_word(element, word, page, f"word_{name}_{number}")
        if word.space_after and number < len(line.words):
            SubElement(element, "SP")


def _add_word(parent: Element, word: Word, page: Page, name: str) -> None:
    element = _add(parent, "String", name, word, page)
    element.set("CONTENT", inline_text(word.text))
    if word.confidence is not None:
        element.set("WC", f"{word.confidence:.4g}")
    _add_shape(element, word, page)


def _add(parent: Element, tag: str, name: str, region: Region, page: Page) -> Element:
    return SubElement(parent, tag, {"ID": name, **_position(region.bbox, page)})


def _position(box: Box, page: Page) -> dict[str, str]:
    left, top, right, bottom = pixel_box(box, page)
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(right - left), "HEIGHT": str(bottom - top)}


def _add_shape(parent: Element, region: Region, page: Page) -> None:
    left, top, right, bottom = region.bbox
    if set(region.polygon) != {(left, top), (right, top), (right, bottom), (left, bottom)}:
        SubElement(SubElement(parent, "Shape"), "Polygon", {"POINTS": points(region.polygon, page)})
