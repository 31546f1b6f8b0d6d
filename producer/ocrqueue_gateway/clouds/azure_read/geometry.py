"""Sizes and places on a page: pixels of images, inches of PDFs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from ocrqueue.document import Page, Polygon
from ocrqueue.document.formats.sanitise import clamp
from ocrqueue_gateway.clouds.azure_read.models import Numbers

_POINTS_PER_INCH: Final = 72.0


@dataclass(frozen=True, slots=True)
class Measure:
    """Of one page."""

    unit: Literal["pixel", "inch"]
    page: Page
    across: float
    """Units a pixel."""
    down: float

    @classmethod
    def of(cls, page: Page, *, is_pdf: bool) -> Measure:
        if not is_pdf:
            return cls("pixel", page, 1.0, 1.0)
        if page.size_pt is not None and page.width and page.height and all(0 < side < inf for side in page.size_pt):
            width, height = page.size_pt
            return cls("inch", page, width / _POINTS_PER_INCH / page.width, height / _POINTS_PER_INCH / page.height)
        inch = 1 / (page.dpi or _POINTS_PER_INCH)
        return cls("inch", page, inch, inch)

    @property
    def width(self) -> float:
        return self._rounded(self.page.width * self.across)

    @property
    def height(self) -> float:
        return self._rounded(self.page.height * self.down)

    def polygon(self, polygon: Polygon) -> Numbers:
        return tuple(
            self._rounded(clamp(value, limit) * unit)
            for x, y in polygon
            for value, limit, unit in ((x, self.page.width, self.across), (y, self.page.height, self.down))
        )

    def _rounded(self, value: float) -> float:
        return round(value, 4 if self.unit == "inch" else 2)


def angle(page: Page) -> float:
    """Degrees clockwise by which the text is turned, from above -180 to 180."""
    tilt = page.preparation.angle if page.preparation is not None else 0.0
    turned = (page.rotation + tilt) % 360
    return round(turned - 360 if turned > 180 else turned, 4)
