"""What printing, scanning and phones do to a picture."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def degrade(picture: Picture, random: Random) -> Picture:
    """Blur, loss of resolution, noise and JPEG, each at times. Same shape out: H x W or H x W x 3."""
    height, width = picture.shape[:2]
    if random.random() < 0.35:
        factor = random.uniform(0.4, 0.9)
        small = (max(8, int(width * factor)), max(8, int(height * factor)))
        picture = _resized(_resized(picture, small, cv2.INTER_AREA), (width, height), cv2.INTER_LINEAR)
    if random.random() < 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (3, 3), random.uniform(0.3, 1.4)), np.uint8)
    if random.random() < 0.3:
        noise = np.random.default_rng(random.getrandbits(32)).normal(0, random.uniform(1, 12), picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.2:
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, random.randint(30, 90)])
        picture = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED), np.uint8)
    return picture


def _resized(picture: Picture, size: tuple[int, int], interpolation: int) -> Picture:
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation), np.uint8)


def ink_and_paper(random: Random) -> tuple[int, int]:
    """Two grey levels that can be told apart: dark on light mostly."""
    kind = random.random()
    if kind < 0.6:
        return random.randint(0, 70), random.randint(215, 255)
    if kind < 0.85:
        ink = random.randint(0, 140)
        return ink, random.randint(min(255, ink + 80), 255)
    paper = random.randint(0, 130)
    return random.randint(min(255, paper + 90), 255), paper
