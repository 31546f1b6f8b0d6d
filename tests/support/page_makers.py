"""Pages of printed words whose places are known, and words with rising blur: from the fonts that the tests install."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = tuple(
    Path("/usr/share/fonts/truetype") / name
    for name in ("dejavu/DejaVuSans.ttf", "dejavu/DejaVuSerif.ttf", "liberation/LiberationSans-Regular.ttf")
)
VOCABULARY = (
    "harbour", "clock", "ferry", "bakery", "window", "garden", "letter", "bridge",
    "morning", "engine", "paper", "silver", "market", "winter", "travel", "number",
    "station", "office", "doctor", "yellow", "Monday", "river", "mountain", "between",
    "forward", "picture", "1984", "2026", "17.50", "Total:", "(copy)", "North",
)  # fmt: skip


@dataclass(frozen=True)
class MadeWord:
    text: str
    box: tuple[float, float, float, float]


def made_page(random: Random, size: tuple[int, int], text_px: int = 24) -> tuple[Image.Image, list[MadeWord]]:
    """Black on white, width x height pixels, and the ink box of each word."""
    image = Image.new("RGB", size, "white")
    draw, words = ImageDraw.Draw(image), []
    y = 10.0
    while y + 2 * text_px < size[1]:
        font = ImageFont.truetype(str(random.choice(FONTS)), text_px)
        x = 12.0
        while True:
            text = random.choice(VOCABULARY)
            if x + font.getlength(text) > size[0] - 12:
                break
            draw.text((x, y), text, font=font, fill="black")
            left, top, right, bottom = font.getbbox(text)
            words.append(MadeWord(text, (x + left, y + top, x + right, y + bottom)))
            x += font.getlength(text + " ") * 1.15
        y += 1.7 * text_px
    return image, words


def blurred_words(number: int, most_px: float, seed: int = 5) -> list[tuple[str, float, Image.Image]]:
    """Words one on a picture, with a Gaussian blur whose radius rises evenly from 0 to `most_px` pixels."""
    random, made = Random(seed), []
    for index in range(number):
        radius = most_px * index / (number - 1)
        text = random.choice(VOCABULARY)
        font = ImageFont.truetype(str(random.choice(FONTS)), 28)
        image = Image.new("RGB", (round(font.getlength(text)) + 60, 80), "white")
        ImageDraw.Draw(image).text((30, 22), text, font=font, fill="black")
        made.append((text, radius, image.filter(ImageFilter.GaussianBlur(radius))))
    return made
