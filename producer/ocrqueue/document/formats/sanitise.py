"""What every format keeps out: characters that break a line or a file, coordinates that are no pixels.

Engines return what they like, and a result.json may have been written by anyone who can write to the bucket.
"""

from __future__ import annotations

import math
import re

from ocrqueue.document import Box, Page, Polygon

# What str.splitlines() and terminals take for a break, and the tab.
_BREAKS = re.compile("[\\t-\\r\\x1c-\\x1e\\x85\\u2028\\u2029]+")

# XML 1.0 (fifth edition), production [2] Char, less the control characters that it discourages (they steer terminals).
_NOT_TEXT = re.compile("[^\\x20-\\x7e\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def inline_text(text: str) -> str:
    """`text` on one line: breaks and tabs become a space, control characters and lone surrogates U+FFFD."""
    return _NOT_TEXT.sub("\ufffd", _BREAKS.sub(" ", text)).strip(" ")


def clamp(value: float, limit: float) -> float:
    """`value` brought into 0..limit; 0 where it is not a number."""
    return 0.0 if math.isnan(value) else min(max(value, 0.0), float(limit))


def pixel_box(box: Box, page: Page) -> tuple[int, int, int, int]:
    """left, top, right, bottom: the smallest box of whole pixels around `box`, within the page."""
    left = math.floor(clamp(box[0], page.width))
    top = math.floor(clamp(box[1], page.height))
    right = math.ceil(clamp(box[2], page.width))
    bottom = math.ceil(clamp(box[3], page.height))
    return left, top, max(left, right), max(top, bottom)


def points(polygon: Polygon, page: Page) -> str:
    """`x,y x,y x,y x,y` in whole pixels within the page, as ALTO and PAGE write a polygon."""
    return " ".join(f"{round(clamp(x, page.width))},{round(clamp(y, page.height))}" for x, y in polygon)
