"""Where a page of a PDF is shown: its box and its turn, as PDFium takes them, by which workers draw pages."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from ocrqueue.document import Box, Page
from ocrqueue.document.formats.pdf_text import Matrix

if TYPE_CHECKING:
    import pikepdf

_LETTER: Final[Box] = (0.0, 0.0, 612.0, 792.0)
"""PDFium's page where the file gives no usable box."""
_DEPTH: Final = 64
"""Of the page tree; a tree that leads back to itself has no end."""


def viewed_to_page(page: Page, shown: pikepdf.Page) -> Matrix:
    """From the pixels of `page`, as it is shown, to the units of `shown`: its crop box, turned by its Rotate."""
    x0, y0, x1, y1 = _shown_box(shown.obj)
    width, height = max(page.width, 1), max(page.height, 1)
    turns = _quarter_turns(_inherited(shown.obj, "/Rotate"))
    if turns == 1:
        return (0.0, (y1 - y0) / width, (x1 - x0) / height, 0.0, x0, y0)
    if turns == 2:
        return (-(x1 - x0) / width, 0.0, 0.0, (y1 - y0) / height, x1, y0)
    if turns == 3:
        return (0.0, -(y1 - y0) / width, -(x1 - x0) / height, 0.0, x1, y1)
    return ((x1 - x0) / width, 0.0, 0.0, -(y1 - y0) / height, x0, y1)


def _shown_box(page: Any) -> Box:
    """What of the crop box lies in the media box; the media box where that is nothing."""
    media = _box(_inherited(page, "/MediaBox")) or _LETTER
    crop = _box(_inherited(page, "/CropBox")) or media
    shown = (max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3]))
    return shown if shown[0] < shown[2] and shown[1] < shown[3] else media


def _box(value: Any) -> Box | None:
    try:
        left, bottom, right, top = (float(side) for side in value)
    except (TypeError, ValueError, OverflowError):
        return None
    box = (min(left, right), min(bottom, top), max(left, right), max(bottom, top))
    return box if all(map(isfinite, box)) and box[0] < box[2] and box[1] < box[3] else None


def _quarter_turns(rotate: Any) -> int:
    """Clockwise. What is between two of them counts as the smaller, as in PDFium."""
    try:
        return int(int(rotate) / 90) % 4
    except (TypeError, ValueError, OverflowError):
        return 0


def _inherited(page: Any, name: str) -> Any:
    """An attribute of the page, or of the nodes above it. None: it has none."""
    node = page
    for _ in range(_DEPTH):
        try:
            if (value := node.get(name)) is not None:
                return value
            node = node.get("/Parent")
        except (AttributeError, TypeError, ValueError):
            return None
        if node is None:
            return None
    return None
