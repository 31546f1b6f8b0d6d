"""Pages of text with the place of every character and word, and the maps that a CRAFT detector learns from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Final

import cv2
import keras_ocr.detection
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.small.degrading import Picture, degrade, ink_and_paper
from training.small.text import Language, font, printed_token

Quad = NDArray[np.float32]
"""4 x 2: x and y in pixels, from the top left, clockwise in reading orientation."""


@dataclass(frozen=True, slots=True)
class PrintedWord:
    text: str
    quad: Quad
    """Around its ink."""


@dataclass(slots=True)
class PrintedPage:
    picture: Picture
    """H x W x 3."""
    words: list[PrintedWord] = field(default_factory=list)
    lines: list[list[tuple[Quad, str]]] = field(default_factory=list)
    """The characters of each line with spaces between words, as `keras_ocr.detection.compute_maps` takes them."""


def printed_page(
    random: Random,
    language: Language,
    size: tuple[int, int],
    text_px: tuple[int, int],
    *,
    clean: bool,
    spaces: tuple[float, float] = (0.95, 1.7),
) -> PrintedPage:
    """A page of width x height pixels with text of these heights; `clean` is black on white, straight and sharp.

    `spaces` are the narrowest and the widest between words, in widths of the font's own.
    """
    width, height = size
    ink, paper = (0, 255) if clean else ink_and_paper(random)
    canvas = Image.new("RGB", size, _tinted(paper, random, clean=clean))
    page, draw = PrintedPage(np.empty(0, np.uint8)), ImageDraw.Draw(canvas)
    if not clean:
        _clutter(draw, size, ink, random)
    colour = _tinted(ink, random, clean=clean)
    y, path, text_size = random.uniform(2, height / 10), random.choice(language.fonts), _text_px(random, text_px)
    while True:
        if random.random() < (0.1 if clean else 0.35):
            path, text_size = random.choice(language.fonts), _text_px(random, text_px)
        ascent, descent = font(path, text_size).getmetrics()
        if y + ascent + descent >= height - 2:
            break
        if clean or random.random() > 0.1:
            start, face = (random.uniform(3, width / 8), y), font(path, text_size)
            style = _Style(face, colour, space=face.getlength(" ") * random.uniform(*spaces))
            _write_line(page, draw, start, style, width, random, language)
        y += (ascent + descent) * random.uniform(0.95, 1.6)
    page.picture = np.asarray(canvas)
    if not clean:
        if random.random() < 0.35:
            _turn(page, random.uniform(-12, 12), (paper, paper, paper))
        page.picture = degrade(page.picture, random)
    return page


def _text_px(random: Random, limits: tuple[int, int]) -> int:
    """Small text is more frequent than large, as in print."""
    return round(math.exp(random.uniform(math.log(limits[0]), math.log(limits[1]))))


def _tinted(grey: int, random: Random, *, clean: bool) -> tuple[int, int, int]:
    if clean or random.random() < 0.6:
        return grey, grey, grey
    red, green, blue = (min(255, max(0, grey + random.randint(-30, 30))) for _ in range(3))
    return red, green, blue


def _clutter(draw: ImageDraw.ImageDraw, size: tuple[int, int], ink: int, random: Random) -> None:
    """Rules, frames and bars, which are no text."""
    width, height = size
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        x, y = random.randint(0, width), random.randint(0, height)
        grey, thickness = (ink + random.randint(0, 60)) % 256, random.randint(1, 4)
        kind = random.random()
        if kind < 0.5:
            draw.line((x, y, random.choice((x, random.randint(0, width))), y), fill=(grey,) * 3, width=thickness)
        elif kind < 0.75:
            draw.line((x, y, x, random.randint(0, height)), fill=(grey,) * 3, width=thickness)
        else:
            corner = (x + random.randint(5, 150), y + random.randint(5, 150))
            draw.rectangle((x, y, *corner), outline=(grey,) * 3, width=thickness)


@dataclass(frozen=True, slots=True)
class _Style:
    face: ImageFont.FreeTypeFont
    colour: tuple[int, int, int]
    space: float
    """Between words, in pixels."""


def _write_line(
    page: PrintedPage,
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float],
    style: _Style,
    width: int,
    random: Random,
    language: Language,
) -> None:
    x, y = start
    face, space = style.face, style.space
    line: list[tuple[Quad, str]] = []
    while True:
        text = printed_token(random, language.words)
        length = face.getlength(text)
        if x + length >= width - 3:
            break
        draw.text((x, y), text, font=face, fill=style.colour)
        left, top, right, bottom = face.getbbox(text)
        page.words.append(PrintedWord(text, _quad(x + left, y + top, x + right, y + bottom)))
        if line:
            line.append((_quad(x - space, y + top, x, y + bottom), " "))
        for i, character in enumerate(text):
            begin, end = x + face.getlength(text[:i]), x + face.getlength(text[: i + 1])
            line.append((_quad(max(begin, x + left), y + top, min(end, x + right), y + bottom), character))
        x += length + space
        if random.random() < 0.06:
            x += space * random.uniform(2, 8)
    if line:
        page.lines.append(line)


def _quad(left: float, top: float, right: float, bottom: float) -> Quad:
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def _turn(page: PrintedPage, degrees: float, paper: tuple[int, int, int]) -> None:
    height, width = page.picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    page.picture = np.asarray(cv2.warpAffine(page.picture, turn, (width, height), borderValue=paper), np.uint8)

    def turned(quad: Quad) -> Quad:
        return (quad @ turn[:, :2].T + turn[:, 2]).astype(np.float32)

    def inside(quad: Quad) -> bool:
        return bool((quad >= 0).all() and (quad[:, 0] < width).all() and (quad[:, 1] < height).all())

    page.words = [PrintedWord(word.text, quad) for word in page.words if inside(quad := turned(word.quad))]
    lines = [[(quad, text) for q, text in line if inside(quad := turned(q))] for line in page.lines]
    page.lines = [line for line in lines if any(text != " " for _, text in line)]


GROWTH: Final = 0.5
"""`keras_ocr.detection.getBoxes` lets a region h map pixels high grow by about 2 * 0.5 * sqrt(h): fitted to boxes."""


def maps(page: PrintedPage, growth: float = GROWTH) -> NDArray[np.float32]:
    """H/2 x W/2 x 2 in [0, 1]: where characters are, and where they belong together, smaller by what boxes will grow.

    As `keras_ocr.detection.compute_maps` draws them (CRAFT, https://arxiv.org/abs/1904.01941, section 3.2), which warps
    the whole map for each character and takes seconds for a page.
    """
    height, width = page.picture.shape[:2]
    drawn = np.zeros((2, height // 2, width // 2), np.float32)
    for line in page.lines:
        before: Quad | None = None
        for quad, text in _tightened(line, growth):
            if text == " ":
                before = None
                continue
            _add_heat(drawn[0], quad / 2)
            centre = quad.mean(axis=0)
            above, below = ((quad[i] + quad[j]) / 2 for i, j in ((0, 1), (2, 3)))
            link = np.array([(centre + above) / 4, (centre + below) / 4], np.float32)
            if before is not None:
                _add_heat(drawn[1], np.array([before[0], link[0], link[1], before[1]], np.float32))
            before = link
    return np.moveaxis(drawn.clip(0, 255) / 255, 0, 2)


def _add_heat(drawn: NDArray[np.float32], quad: Quad) -> None:
    """The bell over a quadrilateral, both in map pixels."""
    left, top = np.floor(quad.min(axis=0)).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(quad.max(axis=0)).astype(int) + 1, drawn.shape[::-1])
    if right <= left or bottom <= top:
        return
    heat = _heatmap()
    corners = np.array([[0, 0], [len(heat), 0], [len(heat), len(heat)], [0, len(heat)]], np.float32)
    warp = cv2.getPerspectiveTransform(corners, (quad - (left, top)).astype(np.float32))
    drawn[top:bottom, left:right] += cv2.warpPerspective(heat, warp, (int(right - left), int(bottom - top)))


@lru_cache
def _heatmap() -> NDArray[np.float32]:
    return np.asarray(keras_ocr.detection.get_gaussian_heatmap(size=64, distanceRatio=1.5), np.float32)


def _tightened(line: list[tuple[Quad, str]], growth: float) -> list[tuple[Quad, str]]:
    """Characters made smaller by what getBoxes adds to a word later, so that boxes fit the ink."""
    tight = []
    for i, (quad, text) in enumerate(line):
        if text == " ":
            tight.append((quad, text))
            continue
        first = i == 0 or line[i - 1][1] == " "
        last = i == len(line) - 1 or line[i + 1][1] == " "
        down, along = quad[3] - quad[0], quad[1] - quad[0]
        height, width = float(np.linalg.norm(down)), float(np.linalg.norm(along))
        # 0.9 u^2 + 2 * growth * u = height / 2, where u^2 is the height of the region in map pixels before it grows
        u = (-2 * growth + math.sqrt(4 * growth**2 + 3.6 * height / 2)) / 1.8
        cut = (1 - min(1.0, 2 * u * u / height)) / 2
        side = min(0.25, growth * u / width)
        inset = np.array([side * first, -side * last, -side * last, side * first], np.float32)[:, None] * along
        shrink = np.array([cut, cut, -cut, -cut], np.float32)[:, None] * down
        tight.append(((quad + inset + shrink).astype(np.float32), text))
    return tight
