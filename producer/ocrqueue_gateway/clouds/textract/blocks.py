"""A page as Textract's Blocks: the PAGE, its LINEs, then their WORDs.

https://docs.aws.amazon.com/textract/latest/dg/API_Block.html
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from ocrqueue.document import Box, Page, Polygon, mean_confidence, polygon_of
from ocrqueue.document.formats.sanitise import clamp

Block = dict[str, Any]
"""As JSON."""
_DIGITS: Final = 6
"""Of a ratio: finer than a pixel of any page."""
_OF_BLOCKS: Final = uuid.UUID("6f0f6b1a-4a3e-5b53-8a57-2f6e1d2c9b40")


def blocks_of(page: Page, job_id: str) -> list[Block]:
    """In Textract's order. The same ids whenever they are made: a LINE may name words that come with a later call."""
    whole = (0.0, 0.0, float(page.width), float(page.height))
    lines: list[Block] = []
    words: list[Block] = []
    for number, line in enumerate(page.lines(), 1):
        own = [
            _block("WORD", _id(job_id, word.id), page, word.polygon, word.bbox, word.text, word.confidence)
            for word in line.words
        ]
        name = _id(job_id, f"p{page.number}-l{number}")
        sure = mean_confidence(line.words) if line.confidence is None else line.confidence
        made = _block("LINE", name, page, line.polygon, line.bbox, line.text, sure)
        lines.append(_with_children(made, own))
        words += own
    made = _block("PAGE", _id(job_id, f"p{page.number}"), page, polygon_of(whole), whole)
    return [_with_children(made, lines), *lines, *words]


def _block(
    kind: str,
    name: str,
    page: Page,
    polygon: Polygon,
    bbox: Box,
    text: str | None = None,
    confidence: float | None = None,
) -> Block:
    """What an engine does not tell is left out, as it may be."""
    made: Block = {"BlockType": kind, "Id": name, "Page": page.number, "Geometry": _geometry(page, polygon, bbox)}
    if text is not None:
        made["Text"] = text
    if confidence is not None:
        made["Confidence"] = round(100 * confidence, 4)
    return made


def _with_children(block: Block, children: Sequence[Block]) -> Block:
    if children:
        block["Relationships"] = [{"Type": "CHILD", "Ids": [child["Id"] for child in children]}]
    return block


def _geometry(page: Page, polygon: Polygon, bbox: Box) -> dict[str, Any]:
    left, top = _ratio(bbox[0], page.width), _ratio(bbox[1], page.height)
    right, bottom = _ratio(bbox[2], page.width), _ratio(bbox[3], page.height)
    return {
        "BoundingBox": {
            "Width": round(max(right - left, 0.0), _DIGITS),
            "Height": round(max(bottom - top, 0.0), _DIGITS),
            "Left": left,
            "Top": top,
        },
        "Polygon": [{"X": _ratio(x, page.width), "Y": _ratio(y, page.height)} for x, y in polygon],
    }


def _ratio(pixels: float, whole: int) -> float:
    """Of the page's width or height; what an engine sees beyond its edge lies on the edge."""
    return round(clamp(pixels, whole) / whole, _DIGITS) if whole else 0.0


def _id(job_id: str, name: str) -> str:
    """A UUID, as Textract's ids are."""
    return str(uuid.uuid5(_OF_BLOCKS, f"{job_id} {name}"))
