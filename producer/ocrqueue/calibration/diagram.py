"""Reliability diagrams as SVG: over the confidence that is stated, the share of words that are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ocrqueue.calibration.measuring import Bin, bins, calibration_error

_SIDE: Final = 220
_MARGIN: Final = 46
_TOP: Final = 58
_STEP: Final = _SIDE + _MARGIN + 14
_COLORS: Final = ("#c0392b", "#1f6fb4", "#2e8b57", "#8e44ad")
_LEAST: Final = 5
"""Words, fewer of which are no dot: their share says little."""


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of confidences: each with whether the word is right."""

    name: str
    stated: Sequence[tuple[float, bool]]


def reliability_diagram(panels: Sequence[tuple[str, Sequence[Series]]]) -> str:
    """An SVG with a panel for each title. On the diagonal confidences are what they say. The area of a dot is the share
    of the words that are in its bin; bins with fewer than five have none."""
    width, height = _STEP * len(panels) + 20, _TOP + _SIDE + 52
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for place, (title, series) in enumerate(panels):
        lines.append(f'<g transform="translate({_MARGIN + place * _STEP} {_TOP})">')
        lines += _panel(title, series)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>\n"])


def _panel(title: str, series: Sequence[Series]) -> Iterator[str]:
    yield f'<text y="-38" font-size="13" font-weight="bold">{escape(title)}</text>'
    for tick in range(0, 11, 2):
        at, share = _SIDE * tick / 10, tick / 10
        yield f'<path d="M{at:.0f} 0V{_SIDE}M0 {at:.0f}H{_SIDE}" stroke="#e4e4e4"/>'
        yield f'<text x="{at:.0f}" y="{_SIDE + 15}" text-anchor="middle">{share:g}</text>'
        yield f'<text x="-6" y="{_SIDE - at + 4:.0f}" text-anchor="end">{share:g}</text>'
    yield f'<path d="M0 {_SIDE}L{_SIDE} 0" stroke="#888" stroke-dasharray="4 3"/>'
    yield f'<text x="{_SIDE / 2:.0f}" y="{_SIDE + 34}" text-anchor="middle">confidence</text>'
    yield f'<text transform="translate(-32 {_SIDE / 2:.0f}) rotate(-90)" text-anchor="middle">words right</text>'
    for number, one in enumerate(series):
        color = _COLORS[number % len(_COLORS)]
        error = calibration_error(one.stated)
        y = -22 + 14 * number
        yield f'<circle cx="5" cy="{y - 4}" r="4" fill="{color}"/>'
        yield f'<text x="14" y="{y}">{escape(one.name)}: error {error:.3f}</text>'
        yield from _dots(bins(one.stated), color)


def _dots(parts: Sequence[Bin], color: str) -> Iterator[str]:
    words = sum(part.words for part in parts)
    shown = [(_SIDE * part.confidence, _SIDE * (1 - part.right), part) for part in parts if part.words >= _LEAST]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in shown)
    if path:
        yield f'<path d="M{path}" fill="none" stroke="{color}"/>'
    for x, y, part in shown:
        radius = 2 + 14 * (part.words / words) ** 0.5
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{color}" fill-opacity="0.45"/>'
