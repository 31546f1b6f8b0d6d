"""hOCR 1.2: the layout as XHTML classes and title properties.

Source of the format: "hOCR - OCR Workflow and Output embedded in HTML", version 1.2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html import escape
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ocrqueue.document import Block, Box, Document, Page, Word
from ocrqueue.document.formats.sanitise import inline_text, pixel_box

_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
    "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
<title>{title}</title>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8" />
<meta name="ocr-system" content="{system}" />
<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrp_wconf" />
<meta name="ocr-number-of-pages" content="{pages}" />
<meta name="ocrqueue-status" content="{status}" />
</head>
<body>
"""
_TAIL = "</body>\n</html>\n"

_LANGUAGE_TAG = re.compile(r"[a-z]{2,3}")
_URI_CHARACTERS = "/:%?#[]@!$&()*+,=~"


def hocr_pieces(document: Document) -> Iterator[str]:
    """Classes ocr_page, ocr_carea (block), ocr_par, ocr_line and ocrx_word, each with its bbox in whole pixels.

    Words carry x_wconf, a whole percent, where the engine gives a confidence. It is well-formed XML and may be served
    as HTML too. Of a partial Document, the pages that failed are empty and the head's ocrqueue-status says so.
    """
    yield _HEAD.format(
        title=escape(f"ocrqueue {inline_text(document.job_id)}"),
        system=escape(inline_text(f"{document.engine.name} {document.engine.version}")),
        pages=len(document.pages),
        status=document.status,
    )
    image = _image_property(document.input.uri)
    for page in document.pages:
        yield _page_markup(page, image)
    yield _TAIL


def _page_markup(page: Page, image: str) -> str:
    properties = [image, _bbox((0, 0, page.width, page.height), page), f"ppageno {page.number - 1}"]
    if page.dpi is not None and math.isfinite(page.dpi):
        properties.append(f"scan_res {page.dpi:.0f} {page.dpi:.0f}")
    name = str(page.number)
    attributes = {"class": "ocr_page", "id": f"page_{name}", "title": "; ".join(properties)}
    if len(page.languages) == 1 and _LANGUAGE_TAG.fullmatch(page.languages[0]):
        # As Tesseract does. Where several languages were asked for, no one knows which a word is in.
        attributes |= {"xml:lang": page.languages[0], "lang": page.languages[0]}
    element = Element("div", attributes)
    words: list[tuple[Word, Element]] = []
    for number, block in enumerate(page.blocks, 1):
        _add_block(element, block, page, number, words)
    indent(element, " ")
    for word, word_element in words:
        if not word.space_after:
            word_element.tail = None
    # No <div/> or <span/>: an HTML parser takes them for start tags.
    return tostring(element, encoding="unicode", short_empty_elements=False) + "\n"


def _add_block(parent: Element, block: Block, page: Page, number: int, words: list[tuple[Word, Element]]) -> None:
    """Add the block to its page, and its words to the page's words: word_1_7 is p001-w0007."""
    name = f"{page.number}_{number}"
    block_element = _add(parent, "div", "ocr_carea", f"block_{name}", _bbox(block.bbox, page))
    line_number = 0
    for paragraph_number, paragraph in enumerate(block.paragraphs, 1):
        paragraph_element = _add(
            block_element, "p", "ocr_par", f"par_{name}_{paragraph_number}", _bbox(paragraph.bbox, page)
        )
        for line in paragraph.lines:
            line_number += 1
            title = _bbox(line.bbox, page) + _textangle(page)
            line_element = _add(paragraph_element, "span", "ocr_line", f"line_{name}_{line_number}", title)
            if line.dir == "rtl":
                line_element.set("dir", "rtl")
            for word in line.words:
                title = _bbox(word.bbox, page) + _x_wconf(word.confidence)
                word_name = f"word_{page.number}_{len(words) + 1}"
                word_element = _add(line_element, "span", "ocrx_word", word_name, title)
                word_element.text = inline_text(word.text)
                words.append((word, word_element))


def _add(parent: Element, tag: str, cls: str, name: str, title: str) -> Element:
    return SubElement(parent, tag, {"class": cls, "id": name, "title": title})


def _bbox(box: Box, page: Page) -> str:
    return "bbox {} {} {} {}".format(*pixel_box(box, page))


def _x_wconf(confidence: float | None) -> str:
    return "" if confidence is None else f"; x_wconf {100 * confidence:.0f}"


def _textangle(page: Page) -> str:
    """hOCR counts counter-clockwise, Page.rotation clockwise."""
    return f"; textangle {360 - page.rotation}" if page.rotation else ""


def _image_property(uri: str) -> str:
    # Percent-encoding also the semicolon and the quotes: many readers split the title at each of them.
    encoded = quote(uri.encode("utf-8", "replace"), safe=_URI_CHARACTERS)
    return f'image "{encoded}"'
