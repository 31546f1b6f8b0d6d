"""The sample images and what is stated about them agree."""

from __future__ import annotations

from functools import lru_cache

import pytest
from PIL import Image

from tests.support.samples import NAMES, SAMPLES, box, description, pages

CRISP = ["contract", "english-page", "korean-page", "rotated-page", "two-columns"]
LARGEST_FOLDER_BYTES = 2_500_000


@lru_cache(maxsize=2)
def page_of(name: str, number: int) -> Image.Image:
    return pages(name)[number - 1].convert("L")


def test_all_kinds_of_sample_are_there() -> None:
    images = {description(name)["image"] for name in NAMES}
    assert images == {
        "contract.tif",
        "english-page.png",
        "korean-page.png",
        "letter.pdf",
        "receipt.jpg",
        "rotated-page.png",
        "street-sign.jpg",
        "two-columns.png",
    }
    assert sum(path.stat().st_size for path in SAMPLES.iterdir() if path.is_file()) < LARGEST_FOLDER_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_words_are_the_text_in_reading_order(name: str) -> None:
    texts = (SAMPLES / f"{name}.txt").read_text(encoding="utf-8").split("\f")
    words = description(name)["words"]
    assert {word["page"] for word in words} == set(range(1, len(texts) + 1))
    for number, text in enumerate(texts, 1):
        assert text.split() == [word["text"] for word in words if word["page"] == number]


@pytest.mark.parametrize("name", NAMES)
def test_polygons_lie_in_the_image_and_hold_ink(name: str) -> None:
    for word in description(name)["words"]:
        page = page_of(name, word["page"])
        left, top, right, bottom = box(word)
        assert 0 <= left < right <= page.width, word
        assert 0 <= top < bottom <= page.height, word
        darkest, brightest = page.crop((left, top, right, bottom)).getextrema()
        assert brightest - darkest > 90, word


@pytest.mark.parametrize("name", CRISP)
def test_polygons_are_tight(name: str) -> None:
    """The ink reaches all four sides of the box, and around the box there is a rim without ink."""
    description_ = description(name)
    inks = {
        number: page_of(name, number).point(lambda level: 255 * (level < 110))
        for number in {word["page"] for word in description_["words"]}
    }
    for word in description_["words"]:
        ink = inks[word["page"]]
        left, top, right, bottom = box(word)
        inner = ink.crop((left, top, right, bottom)).getbbox()
        outer = ink.crop((left - 1, top - 1, right + 1, bottom + 1)).getbbox()
        assert inner is not None
        assert outer == tuple(edge + 1 for edge in inner), f"ink of {word} beyond its box"
        slack = (inner[0], inner[1], right - left - inner[2], bottom - top - inner[3])
        assert max(slack) <= 2, f"{word} has a box too large by {slack}"


@pytest.mark.parametrize(("name", "direction"), [("rotated-page", (0, 1)), ("english-page", (1, 0))])
def test_polygons_begin_at_the_top_left_as_read(name: str, direction: tuple[int, int]) -> None:
    for word in description(name)["words"]:
        (x0, y0), (x1, y1), _, (x3, y3) = word["polygon"]
        along, down = (x1 - x0, y1 - y0), (x3 - x0, y3 - y0)
        assert along[0] * direction[0] + along[1] * direction[1] == abs(along[0]) + abs(along[1]) > 0
        # On a screen, where y grows downwards, "down" is "along" turned clockwise.
        assert along[0] * down[1] - along[1] * down[0] > 0


def test_the_sign_is_skewed() -> None:
    polygon = description("street-sign")["words"][0]["polygon"]
    assert abs(polygon[0][1] - polygon[1][1]) > 10
