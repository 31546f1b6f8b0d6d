"""Pages that are made easier to read: what is found of them, what is done, and the way back to their own pixels."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageStat

from ocrqueue.document import Block, Line, Page, Paragraph, Polygon, Word, box_of, polygon_of
from ocrqueue.job import PREPARATION_STEPS, PreparationStep
from ocrqueue_worker.geometry import Rotation, upright
from ocrqueue_worker.preparation.affine import moved
from ocrqueue_worker.preparation.ink import ink, runs
from ocrqueue_worker.preparation.picture import Picture
from ocrqueue_worker.preparation.quality import is_better, reads_badly
from ocrqueue_worker.preparation.repainting import without_dither
from ocrqueue_worker.preparation.skew import text_direction
from ocrqueue_worker.preparation.steps import prepared

TEXT = "The ferry leaves the northern pier at half past six and reaches the island before the market opens."
MOST = 40_000_000


def sheet(size: tuple[int, int] = (900, 640), letters: int = 30, lines: int = 10) -> Image.Image:
    image = Image.new("L", size, 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(letters)
    words, chosen = TEXT.split(), random.Random(7)
    for line in range(lines):
        text = " ".join(chosen.sample(words, 9))[:48]
        draw.text((size[0] / 22, size[1] / 16 + line * letters * 1.7), text, 0, font)
    return image


def page(words: Sequence[tuple[str, Polygon, float | None]], size: tuple[int, int]) -> Page:
    made = tuple(
        Word(id=f"p001-w{number:04}", text=text, polygon=polygon, bbox=box_of([polygon]), confidence=sure)
        for number, (text, polygon, sure) in enumerate(words, 1)
    )
    whole = {"polygon": polygon_of((0, 0, *size)), "bbox": (0, 0, *size)}
    blocks = (Block(paragraphs=(Paragraph(lines=(Line(words=made, **whole),), **whole),), **whole),) if made else ()
    return Page(number=1, width=size[0], height=size[1], blocks=blocks)


def covering(image: Image.Image, sure: float) -> Page:
    """All of it read, with this confidence."""
    return page([("ferry" * 20, polygon_of((0, 0, *image.size)), sure)], image.size)


def steps_of(image: Image.Image, *steps: PreparationStep) -> tuple[PreparationStep, ...]:
    return prepared(Picture.of(image), steps or PREPARATION_STEPS, MOST).steps


def test_what_is_set_straight_has_white_corners_whatever_its_colours() -> None:
    tilted = sheet().convert("RGB").rotate(6, expand=True, fillcolor="white")
    ready = prepared(Picture.of(tilted), ("deskew", "rules"), MOST)
    assert ready.steps == ("deskew",)
    assert ready.image.mode == "L"
    assert ready.image.getpixel((1, 1)) == 255


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [-12.0, -8.0, -3.0, 3.0, 5.5, 12.0])
def test_the_tilt_of_lines_is_found_to_a_fifth_of_a_degree(angle: float) -> None:
    """Pillow turns counter-clockwise."""
    tilted = sheet().rotate(-angle, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    on_its_side, found = text_direction(ink(tilted))
    assert not on_its_side
    assert found == pytest.approx(angle, abs=0.2)


def test_level_lines_are_level_and_one_letter_has_no_direction() -> None:
    assert text_direction(ink(sheet())) == (False, 0.0)
    assert text_direction(ink(sheet(lines=0))) == (False, 0.0)


@pytest.mark.parametrize("turned", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270])
def test_a_page_on_its_side_is_known(turned: Image.Transpose) -> None:
    assert text_direction(ink(sheet().transpose(turned)))[0]


def test_a_good_page_needs_no_step() -> None:
    assert steps_of(sheet()) == ()


def test_each_step_is_taken_where_it_is_needed() -> None:
    good, dots = sheet(), random.Random(4)
    ruled, small = good.copy(), sheet((300, 220), 9)
    draw = ImageDraw.Draw(ruled)
    draw.rectangle((20, 20, 860, 600), outline=0, width=5)
    speckled = good.copy()
    for _ in range(9000):
        speckled.putpixel((dots.randrange(900), dots.randrange(640)), 0)
    assert steps_of(Image.eval(good, lambda level: 255 - level))[:1] == ("invert",)
    assert steps_of(Image.eval(good, lambda level: 60 + level // 8)) == ("light",)
    assert steps_of(good.rotate(5, fillcolor=255)) == ("deskew",)
    assert steps_of(good.transpose(Image.Transpose.ROTATE_90)) == ("rotate",)
    assert steps_of(ruled) == ("rules",)
    assert steps_of(small) == ("enlarge",)
    assert steps_of(speckled)[:1] == ("despeckle",)
    assert steps_of(ruled, "deskew") == (), "what was not asked for is not done"


@pytest.mark.parametrize("levels", [(60, 187), (84, 186), (0, 191), (42, 207)])
@pytest.mark.parametrize("jpeg", [False, True])
def test_a_page_whose_grey_is_dithered_is_made_grey_again(levels: tuple[int, int], jpeg: bool) -> None:
    dark, light = levels
    grey = Image.eval(sheet(), lambda level: dark + level * (light - dark) // 255)
    dithered = grey.convert("1").convert("L")
    if jpeg:
        file = BytesIO()
        dithered.save(file, "JPEG", quality=85)
        dithered = Image.open(file)
    ready = prepared(Picture.of(dithered), ("despeckle",), MOST)
    assert ready.steps == ("despeckle",)
    off = ImageChops.difference(ready.image, grey.filter(ImageFilter.GaussianBlur(1.2)))
    assert ImageStat.Stat(off).mean[0] < 20
    assert ImageStat.Stat(ImageChops.difference(dithered, grey)).mean[0] > 50


@pytest.mark.parametrize("letters", [9, 12, 30])
def test_a_clean_scan_in_black_and_white_is_not_smoothed(letters: int) -> None:
    page = sheet((30 * letters, 21 * letters), letters).point(lambda level: 255 * (level > 127))
    assert without_dither(page) is None


def test_single_dots_are_no_dither() -> None:
    """They are removed, which keeps letters sharper."""
    page, dots = sheet(), random.Random(4)
    for _ in range(30_000):
        page.putpixel((dots.randrange(900), dots.randrange(640)), dots.choice((0, 255)))
    assert without_dither(page.point(lambda level: 255 * (level > 127))) is None


def test_a_page_is_enlarged_no_further_than_memory_allows() -> None:
    small = sheet((300, 220), 9)
    ready = prepared(Picture.of(small), ("enlarge",), 4 * 300 * 220)
    assert ready.image.width * ready.image.height <= 1.02 * 4 * 300 * 220


def test_a_picture_without_text_is_not_made_a_huge_page() -> None:
    """The rows of smooth waves look like lines of small text."""
    across, down = np.meshgrid(np.arange(1200), np.arange(900))
    waves = 127 + 60 * np.sin(across / 70) + 60 * np.sin(down / 50 + across / 90)
    ready = prepared(Picture.of(Image.fromarray(waves.clip(0, 255).astype(np.uint8))), PREPARATION_STEPS, MOST)
    assert "enlarge" in ready.steps
    assert ready.image.width * ready.image.height <= 10_100_000


def test_small_letters_on_a_large_page_are_doubled() -> None:
    page = Image.new("L", (2480, 3508), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for line in range(160):
        draw.text((150, 150 + 20 * line), f"{TEXT} {TEXT} {TEXT} {TEXT}", 0, font)
    assert prepared(Picture.of(page), ("enlarge",), MOST).scale == 2
    assert prepared(Picture.of(sheet((300, 220), 9)), ("enlarge",), MOST).scale > 3


def test_rules_go_and_letters_stay() -> None:
    image = Image.new("L", (600, 200), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((10, 10, 590, 190), outline=0, width=6)
    draw.text((60, 80), "Hinge 24", 0, ImageFont.load_default(32))
    letters = image.crop((40, 60, 560, 140))
    cleared = prepared(Picture.of(image), ("rules",), MOST).image
    assert cleared.crop((40, 60, 560, 140)).tobytes() == letters.tobytes()
    assert sum(cleared.crop((0, 0, 600, 30)).histogram()[:128]) == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 900), (1200, 4), (37, 41), (2500, 30)])
def test_pages_of_any_shape_are_looked_at_and_prepared(size: tuple[int, int]) -> None:
    noise = random.Random(5)
    for mode in ("L", "RGB"):
        bands = size[0] * size[1] * len(mode)
        for data in (bytes(bands), bytes([255]) * bands, noise.randbytes(bands)):
            image = Image.frombytes(mode, size, data)
            reads_badly(page([], size), image)
            reads_badly(covering(image, 0.8), image)
            ready = prepared(Picture.of(image), PREPARATION_STEPS, MOST)
            assert min(ready.image.size) >= 1
            assert ready.on_page(page([], ready.image.size)).width == size[0]


# --- the way back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("angle", [-8.0, 0.0, 5.0])
@pytest.mark.parametrize("mirror", [False, True])
def test_points_of_the_prepared_picture_are_those_of_the_page(rotation: Rotation, angle: float, mirror: bool) -> None:
    """A black square is where it was found."""
    image = Image.new("L", (700, 400), 255)
    ImageDraw.Draw(image).rectangle((500, 90, 519, 109), fill=0)
    ready = Picture.of(image)
    ready = ready.turned(rotation) if rotation else ready
    ready = ready.deskewed(angle, 255) if angle else ready
    ready = ready.enlarged(2.5)
    ready = ready.mirrored() if mirror else ready
    left, top, right, bottom = Image.eval(ready.image, lambda level: 255 - level).getbbox() or (0, 0, 0, 0)
    x, y = moved(((left + right) / 2, (top + bottom) / 2), ready.to_page)
    assert math.dist((x, y), (510, 100)) < 1.0
    assert ready.rotation == rotation


def test_what_was_read_is_told_in_the_pages_pixels_with_what_was_done() -> None:
    image = sheet()
    ready = Picture.of(image).turned(90).enlarged(2.0)
    assert ready.image.size == (1280, 1800)
    assert ready.image.getpixel((0, 0)) == upright(image, 90).getpixel((0, 0))
    read = ready.on_page(page([("ferry", polygon_of((0, 0, 200, 100)), 0.9)], ready.image.size))
    (word,) = read.words()
    assert word.polygon == ((900, 0), (900, 100), (850, 100), (850, 0))
    assert word.bbox == (850, 0, 900, 100)
    assert (read.width, read.height, read.rotation) == (900, 640, 90)
    assert read.preparation is not None
    assert read.preparation.model_dump() == {"steps": ("rotate", "enlarge"), "angle": 0.0, "scale": 2.0, "tiles": 1}


def test_a_page_that_was_not_prepared_says_nothing_of_it() -> None:
    assert "preparation" not in page([], (10, 10)).model_dump(mode="json")


# --- whether it is worth it ------------------------------------------------------------------------------------------


def test_a_page_reads_badly_that_is_doubtful_or_of_which_much_is_missed() -> None:
    image = sheet()
    assert not reads_badly(covering(image, 0.95), image)
    assert not reads_badly(covering(image, 0.7), image)
    assert reads_badly(covering(image, 0.4), image)
    assert reads_badly(page([], image.size), image)
    assert reads_badly(page([("ferry", polygon_of((40, 40, 300, 70)), 0.97)], image.size), image)
    assert not reads_badly(page([], image.size), Image.new("L", image.size, 255)), "nothing is written there"


def test_an_engine_without_confidences_is_believed() -> None:
    image = sheet()
    assert not reads_badly(page([("ferry", polygon_of((0, 0, 20, 20)), None)], image.size), image)


def test_tilted_lines_and_words_on_end_read_badly_unless_the_engine_is_sure() -> None:
    image = sheet()
    full = ("ferry" * 20, polygon_of((0, 0, *image.size)))
    tilted = [("one", polygon_of((0, 0, 60, 20))), ("two", polygon_of((80, 10, 140, 30)))]
    tilted.append(("three", polygon_of((160, 20, 220, 40))))
    on_end = [full, *((text, polygon_of((left, 0, left + 20, 90))) for left, text in ((0, "one"), (50, "two")))]
    for words in ([*tilted, full][:3], on_end):
        for sure, badly in ((0.8, True), (0.95, False)):
            read = page([(text, polygon, sure) for text, polygon in words], image.size)
            blank = Image.new("L", image.size, 255)
            assert reads_badly(read, blank) is badly


def test_the_second_reading_must_be_better_by_more_than_chance() -> None:
    image = sheet()
    assert is_better(covering(image, 0.9), covering(image, 0.5))
    assert not is_better(covering(image, 0.51), covering(image, 0.5))
    assert is_better(covering(image, 0.9), page([], image.size))


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 13, 20])
def test_runs_are_the_pixels_in_rows_of_that_length(length: int) -> None:
    dots = random.Random(length)
    for rows, columns in ((1, 1), (3, length), (4, 12), (6, 40)):
        for share in (0.1, 0.6, 0.9, 1.0):
            mask = np.array([[dots.random() < share for _ in range(columns)] for _ in range(rows)])
            expected = [
                [
                    any(mask[row, first : first + length].sum() == length for first in begins(column, length))
                    for column in range(columns)
                ]
                for row in range(rows)
            ]
            assert runs(mask, length).tolist() == expected


def begins(column: int, length: int) -> range:
    """Where a row of that length begins that has this column in it."""
    return range(max(0, column - length + 1), column + 1)
