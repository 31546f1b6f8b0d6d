"""The sample images and what is stated about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pypdfium2
from PIL import Image, ImageSequence

SAMPLES = Path(__file__).parents[2] / "samples"


NAMES = sorted(path.stem for path in SAMPLES.glob("*.json"))


def description(name: str, folder: Path = SAMPLES) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def pages(name: str) -> list[Image.Image]:
    """Its pages as workers see them."""
    path = SAMPLES / description(name)["image"]
    if path.suffix == ".pdf":
        # a scan at 150 pixels to the inch, pixel for pixel
        with pypdfium2.PdfDocument(path) as pdf:
            return [page.render(scale=150 / 72).to_pil() for page in pdf]
    with Image.open(path) as image:
        return [frame.copy() for frame in ImageSequence.Iterator(image)]


def box(word: dict[str, Any]) -> tuple[int, int, int, int]:
    xs, ys = zip(*word["polygon"], strict=True)
    return round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys))
