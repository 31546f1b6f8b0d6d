"""Word crops as keras-ocr's recogniser gets them: grey, 31 x 200 pixels, letterboxed to the top left on black."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw

from training.small.degrading import Picture, degrade, ink_and_paper
from training.small.text import Language, font

HEIGHT: Final = 31
WIDTH: Final = 200
ENLARGED: Final = 2
"""As `keras_ocr.pipeline.Pipeline` enlarges a page before it cuts words out."""

Tokens = Callable[[Random, Sequence[str]], str]


def crop(random: Random, language: Language, tokens: Tokens, *, longest: int, clean: bool) -> tuple[Picture, str]:
    """A crop of 31 x 200 grey pixels, and its text, which is cut off at `longest` characters."""
    text = tokens(random, language.words)[:longest]
    return _letterboxed(_drawn(text, random.choice(language.fonts), random, clean=clean)), text


def _drawn(text: str, path: Path, random: Random, *, clean: bool) -> Picture:
    face = font(path, random.choice((24, 28, 32)) if clean else random.randint(10, 48))
    left, top, right, bottom = face.getbbox(text)
    # the detector leaves a margin on all sides, and now and then cuts an edge off
    ascent, descent = face.getmetrics()
    height = ascent + descent
    before, after, above, below = (
        random.uniform(0.0, 0.15) * height if clean else random.uniform(-0.03, 0.3) * height for _ in range(4)
    )
    size = (max(4, round(right - left + before + after)), max(4, round(bottom - top + above + below)))
    ink, paper = (0, 255) if clean else ink_and_paper(random)
    canvas = Image.new("L", size, paper)
    ImageDraw.Draw(canvas).text((before - left, above - top), text, font=face, fill=ink)
    picture = np.asarray(canvas)
    if clean:
        return picture
    if random.random() < 0.35:
        turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), random.uniform(-2.5, 2.5), 1)
        picture = np.asarray(cv2.warpAffine(picture, turn, size, borderValue=paper), np.uint8)
    return degrade(picture, random)


def _letterboxed(picture: Picture) -> Picture:
    height, width = picture.shape
    picture = np.asarray(cv2.resize(picture, (width * ENLARGED, height * ENLARGED)), np.uint8)
    scale = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    size = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
    full = np.zeros((HEIGHT, WIDTH), np.uint8)
    full[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return full
