"""The measured rates and the ideal line, both axes doubling from mark to mark."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log2
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from tests.benchmarks.scale.load import Load

_SIZE: Final = (770, 430)
_FINER: Final = 2
"""Drawn so many times larger, then reduced: smooth lines."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 44, 40, 54
_INK, _GRID, _IDEAL, _MEASURED, _LIMIT = "#222222", "#e4e4e4", "#999999", "#1f6fb4", "#c0392b"


def draw_rates(loads: Sequence[Load], limit: float, title: str, path: Path) -> None:
    """A PNG of the loads (of one delay), and the rate `limit`, in jobs a second, that they cannot exceed."""
    most = max(log2(limit), log2(loads[-1].ideal))
    plot = _Plot((log2(loads[0].processes), log2(loads[-1].processes)), (floor(log2(loads[0].rate)), ceil(most)))
    plot.axes([load.processes for load in loads], title)
    plot.line([(load.processes, load.ideal) for load in loads], _IDEAL)
    plot.line([(loads[0].processes, limit), (loads[-1].processes, limit)], _LIMIT)
    plot.text(
        (loads[0].processes, limit), f"without delay, all processes together: {limit:.0f} a second", _LIMIT, (6, 6)
    )
    plot.text((loads[len(loads) // 2].processes, loads[len(loads) // 2].ideal), "ideal", _IDEAL, (-52, -22))
    plot.line([(load.processes, load.rate) for load in loads], _MEASURED)
    for load in loads:
        plot.dot((load.processes, load.rate), _MEASURED)
        plot.text((load.processes, load.rate), f"{load.share:.2f}", _MEASURED, (-6 if load is loads[0] else -12, 10))
    plot.save(path)


class _Plot:
    """Coordinates are values; spans are their binary logarithms."""

    def __init__(self, x_span: tuple[float, float], y_span: tuple[float, float]) -> None:
        self._spans = x_span, y_span
        self._image = Image.new("RGB", (_SIZE[0] * _FINER, _SIZE[1] * _FINER), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(13 * _FINER)

    def axes(self, xs: Sequence[float], title: str) -> None:
        (x_low, x_high), (y_low, y_high) = self._spans
        for x in xs:
            self.line([(x, 2**y_low), (x, 2**y_high)], _GRID, 1)
            self.text((x, 2**y_low), f"{x:g}", _INK, (-4, 8))
        for exponent in range(int(y_low), int(y_high) + 1):
            self.line([(2**x_low, 2**exponent), (2**x_high, 2**exponent)], _GRID, 1)
            self.text((2**x_low, 2**exponent), f"{2**exponent:g}", _INK, (-44, -8))
        self.text((2**x_low, 2**y_low), "worker processes", _INK, (250, 28))
        self.text((2**x_low, 2**y_high), title, _INK, (-44, -34))

    def line(self, points: Sequence[tuple[float, float]], color: str, width: int = 2) -> None:
        self._draw.line([self._at(point) for point in points], fill=color, width=width * _FINER)

    def dot(self, point: tuple[float, float], color: str) -> None:
        x, y = self._at(point)
        radius = 4 * _FINER
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def text(self, point: tuple[float, float], text: str, color: str, offset: tuple[int, int]) -> None:
        """`offset`, in pixels, from the point to the text's upper left corner."""
        x, y = self._at(point)
        self._draw.text((x + offset[0] * _FINER, y + offset[1] * _FINER), text, fill=color, font=self._font)

    def save(self, path: Path) -> None:
        self._image.resize(_SIZE, Image.Resampling.LANCZOS).quantize(64).save(path, optimize=True)

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        (x_low, x_high), (y_low, y_high) = self._spans
        along = (log2(point[0]) - x_low) / ((x_high - x_low) or 1)
        up = (log2(point[1]) - y_low) / ((y_high - y_low) or 1)
        x = _LEFT + along * (_SIZE[0] - _LEFT - _RIGHT)
        return x * _FINER, (_SIZE[1] - _BOTTOM - up * (_SIZE[1] - _TOP - _BOTTOM)) * _FINER
