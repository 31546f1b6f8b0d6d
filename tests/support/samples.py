"""The sample images and what is stated about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "samples"


NAMES = sorted(path.stem for path in SAMPLES.glob("*.json"))


def description(name: str, folder: Path = SAMPLES) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def box(word: dict[str, Any]) -> tuple[int, int, int, int]:
    xs, ys = zip(*word["polygon"], strict=True)
    return round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys))
