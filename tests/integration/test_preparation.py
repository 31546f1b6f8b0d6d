"""Pages turned, tilted, dim, small and ruled, read by a real engine: as well as upright, and in their own pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue import OcrQueue
from ocrqueue.document import Page, Preparation, box_of
from ocrqueue.job import Prepare
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.tesseract import TesseractEngine
from ocrqueue_worker.engines.tesseract.options import TesseractOptions
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.pipeline.page_reading import read_pages
from ocrqueue_worker.preparation.affine import Affine, moved
from tests.support.page_makers import MadeWord, made_page
from tests.support.pictures import png
from tests.support.spoiled_pages import spoiled

pytest_plugins = ["tests.support.server_fixtures"]

LINES = (
    "The ferry leaves the northern pier",
    "at half past six and reaches the island",
    "before the market opens. Passengers with",
    "bicycles board first; please keep the",
    "gangway clear and hold children by hand.",
    "Tickets are sold on board and at the pier.",
    "No dogs without a leash after sunset.",
)
Point = tuple[float, float]


def sheet(letters: int = 30, lines: Sequence[str] = LINES) -> Image.Image:
    image = Image.new("L", (30 * letters, 18 * letters), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.truetype("DejaVuSans.ttf", letters)
    for number, line in enumerate(lines):
        draw.text((2 * letters, (1.5 + 2 * number) * letters), line, 0, font)
    return image


@pytest.fixture(scope="module")
def engine() -> TesseractEngine:
    return TesseractEngine(load_worker_settings())


def read(engine: TesseractEngine, image: Image.Image, prepare: Prepare = "auto", **options: object) -> Page:
    reading = Reading(("eng",), engine.parse_options(options))  # type: ignore[arg-type]  # options of several types in one dict
    (page,) = read_pages(engine, [PageImage(1, image)], reading, prepare)
    assert isinstance(page, Page)
    return page


def f1(page: Page, upright: Page) -> float:
    found, wanted = (Counter(word.text for word in each.words()) for each in (page, upright))
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def edge_distances(page: Page, upright: Page, where: Affine) -> list[float]:
    """As distances(), of the edges of upright boxes: Tesseract does not say which corner of a word comes first."""
    counts = Counter(word.text for word in upright.words())
    places = {word.text: word.polygon for word in upright.words() if counts[word.text] == 1}
    return [
        abs(edge - found)
        for word in page.words()
        if word.text in places
        for edge, found in zip(
            box_of([tuple(moved(corner, where) for corner in places[word.text])]),  # type: ignore[list-item]  # four corners of two numbers
            word.bbox,
            strict=True,
        )
    ]


def distances(page: Page, upright: Page, where: Callable[[Point], Point]) -> list[float]:
    """Of the corners of the words that are in both once, from where they are on the page."""
    counts = Counter(word.text for word in upright.words())
    places = {word.text: word.polygon for word in upright.words() if counts[word.text] == 1}
    return [
        math.dist(where(corner), found)
        for word in page.words()
        if word.text in places
        for corner, found in zip(places[word.text], word.polygon, strict=True)
    ]


@pytest.fixture(scope="module")
def upright(engine: TesseractEngine) -> Page:
    page = read(engine, sheet())
    assert page.preparation is None, "a good page is not prepared"
    assert len(list(page.words())) > 40
    return page


def test_a_page_upside_down_is_read_and_its_words_are_where_they_are(engine: TesseractEngine, upright: Page) -> None:
    page = read(engine, sheet().transpose(Image.Transpose.ROTATE_180))
    assert page.rotation == 180
    assert page.preparation is not None
    assert page.preparation.steps == ("rotate",)
    assert f1(page, upright) >= 0.95
    width, height = sheet().size
    assert max(distances(page, upright, lambda at: (width - at[0], height - at[1]))) <= 2


@pytest.mark.parametrize("kind", ["turned by 90", "turned by 270", "mirrored", "skewed", "darkened"])
def test_a_spoiled_page_is_read_and_its_words_are_where_they_are(
    engine: TesseractEngine, upright: Page, kind: str
) -> None:
    made = spoiled(sheet(), kind, seed=3, number=0)
    page = read(engine, made.image)
    assert f1(page, upright) >= 0.95
    assert (page.width, page.height) == made.image.size
    if kind.startswith("turned"):
        assert max(edge_distances(page, upright, made.to_spoiled)) <= 2
    else:
        found = distances(page, upright, lambda at: moved(at, made.to_spoiled))
        assert max(found) <= 2
    if kind == "mirrored":
        assert page.preparation is not None
        assert page.preparation.steps == ("mirror",)
        assert "mirror" not in (read(engine, made.image, ("rotate",)).preparation or Preparation(steps=())).steps


def test_a_mirrored_page_that_is_upside_down_is_read(engine: TesseractEngine, upright: Page) -> None:
    page = read(engine, sheet().transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    assert f1(page, upright) >= 0.95
    height = sheet().height
    assert max(distances(page, upright, lambda at: (at[0], height - at[1]))) <= 2


@pytest.mark.parametrize(
    "lines",
    [
        [line.upper() for line in LINES],
        ["4471 0982 7735", "1206 5548 9034", "8813 2407 6659", "3075 9142 8806"],
        ["Please keep this door", "closed at all times"],
    ],
    ids=["capitals", "digits", "few words"],
)
def test_what_reads_with_some_confidence_upside_down_is_tried_the_other_way_up(
    engine: TesseractEngine, lines: list[str]
) -> None:
    """Capitals and digits read as others of their kind, and few words by chance."""
    image = sheet(lines=lines)
    upright = read(engine, image)
    page = read(engine, image.transpose(Image.Transpose.ROTATE_180))
    assert page.rotation == 180
    assert f1(page, upright) >= 0.9


@pytest.mark.parametrize("degrees", [0, 5])
def test_a_page_on_a_dark_table_is_not_taken_for_a_negative(
    engine: TesseractEngine, upright: Page, degrees: int
) -> None:
    table, paper = (60, 40, 30), sheet().convert("RGB")
    turned = paper.rotate(-degrees, expand=True, fillcolor=table, resample=Image.Resampling.BICUBIC)
    photo = Image.new("RGB", (round(2.2 * turned.width), round(1.3 * turned.height)), table)
    photo.paste(turned, (turned.width // 2, turned.height // 8))
    page = read(engine, photo, "always")
    assert "invert" not in (page.preparation or Preparation(steps=())).steps
    assert f1(page, upright) >= 0.9


def test_a_page_half_in_shadow_is_not_taken_for_a_negative(engine: TesseractEngine, upright: Page) -> None:
    shaded = sheet()
    half = (0, 0, shaded.width * 3 // 5, shaded.height)
    shaded.paste(shaded.crop(half).point(lambda level: level * 0.35), half)
    plain = f1(read(engine, shaded, "none"), upright)
    for prepare in ("auto", "always"):
        page = read(engine, shaded, prepare)
        assert "invert" not in (page.preparation or Preparation(steps=())).steps
        assert f1(page, upright) >= plain + 0.2, "words on the edge of the shadow may be lost"


@pytest.mark.parametrize("degrees", [-12, -7, 7, 10])
def test_a_tilted_page_is_read_and_its_words_are_where_they_are(
    engine: TesseractEngine, upright: Page, degrees: int
) -> None:
    image = sheet()
    tilted = image.rotate(-degrees, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def where(at: Point) -> Point:
        x, y = at[0] - image.width / 2, at[1] - image.height / 2
        return (tilted.width / 2 + cos * x - sin * y, tilted.height / 2 + sin * x + cos * y)

    page = read(engine, tilted)
    assert f1(page, upright) >= 0.9
    assert page.preparation is not None
    assert page.preparation.angle == pytest.approx(degrees, abs=0.2)
    assert max(distances(page, upright, where)) <= 2


def ink_of(image: Image.Image, word: MadeWord) -> tuple[float, ...]:
    """Its box to the pixel."""
    left, top, right, bottom = (round(edge) + by for edge, by in zip(word.box, (-3, -3, 3, 3), strict=True))
    dark = image.crop((left, top, right, bottom)).convert("L").point(lambda level: 255 if level < 160 else 0)
    found = dark.getbbox() or (0, 0, 0, 0)
    return (left + found[0], top + found[1], left + found[2], top + found[3])


class InTiles(TesseractEngine):
    """Tesseract as if it read no more than 700 pixels a side."""

    def longest_side(self, options: TesseractOptions) -> int:
        return 700


@pytest.mark.parametrize("lies", [False, True])
def test_words_of_a_page_that_is_read_in_tiles_are_where_they_are(lies: bool) -> None:
    """Each of them once, its box as its ink is."""
    image, words = made_page(Random(3), (2600, 640) if lies else (640, 2600))
    page = read(InTiles(load_worker_settings()), image, "none")
    assert page.preparation is not None
    assert page.preparation.tiles > 3
    found = [word for word in page.words() if len(word.text) > 2]
    near = {
        place: [word for word in found if math.dist(word.bbox[:2], made.box[:2]) < 15]
        for place, made in enumerate(words)
    }
    assert max(map(len, near.values())) == 1
    read_right = [(words[place], own[0]) for place, own in near.items() if own and own[0].text == words[place].text]
    assert len(read_right) > 0.9 * len(words)
    off = [abs(a - b) for made, word in read_right for a, b in zip(ink_of(image, made), word.bbox, strict=True)]
    assert max(off) <= 2


def test_a_small_page_is_enlarged(engine: TesseractEngine, upright: Page) -> None:
    page = read(engine, sheet(8))
    assert f1(page, upright) >= 0.9
    assert f1(read(engine, sheet(8), "none"), upright) < 0.5
    assert page.preparation is not None
    assert page.preparation.scale > 1
    assert (page.width, page.height) == (240, 144)


@pytest.mark.parametrize("dots", [4, 5, 6])
def test_a_page_of_broken_letters_is_read(engine: TesseractEngine, upright: Page, dots: int) -> None:
    """As dot-matrix printers leave them: white between any two rows and columns of dots."""
    image = sheet()
    draw = ImageDraw.Draw(image)
    for place in range(0, max(image.size), dots):
        draw.line((place, 0, place, image.height), 255)
        draw.line((0, place, image.width, place), 255)
    assert not list(read(engine, image, "none").words())
    page = read(engine, image)
    assert f1(page, upright) >= 0.95
    assert page.preparation is not None
    assert page.preparation.steps == ("strokes",)
    # the strokes are a pixel wider, and some have lost one at their edge
    assert max(distances(page, upright, lambda at: at)) <= 3


@pytest.mark.parametrize("levels", [(60, 187), (84, 186), (0, 191)])
@pytest.mark.parametrize("prepare", ["auto", "always"])
def test_a_dithered_page_is_read(
    engine: TesseractEngine, upright: Page, levels: tuple[int, int], prepare: Prepare
) -> None:
    dark, light = levels
    grey = Image.eval(sheet(), lambda level: dark + level * (light - dark) // 255)
    page = read(engine, grey.convert("1").convert("L"), prepare)
    assert f1(page, upright) >= 0.95
    assert page.preparation is not None
    assert page.preparation.steps[0] == "despeckle"


def test_of_noise_thick_strokes_make_no_words(engine: TesseractEngine) -> None:
    chance = Random(5)
    noise = Image.frombytes("L", (900, 540), bytes(chance.choices((0, 255), (1, 4), k=900 * 540)))
    assert not [word for word in read(engine, noise).words() if (word.confidence or 0) > 0.5]


def test_a_table_in_rules_is_read(engine: TesseractEngine) -> None:
    image, words = Image.new("L", (900, 360), 255), ["Part", "Pieces", "Hinge", "24", "Bracket", "816", "Screw", "500"]
    draw, font = ImageDraw.Draw(image), ImageFont.truetype("DejaVuSans.ttf", 28)
    for number, word in enumerate(words):
        left, top = 20 + number % 2 * 430, 20 + number // 2 * 80
        draw.rectangle((left, top, left + 430, top + 80), outline=0, width=5)
        draw.text((left + 20, top + 24), word, 0, font)
    page = read(engine, image, ("rules",))
    assert [word.text for word in page.words()] == words


def test_what_was_asked_for_is_done_and_no_more(engine: TesseractEngine, upright: Page) -> None:
    turned = sheet().transpose(Image.Transpose.ROTATE_180)
    assert read(engine, turned, "none").preparation is None
    assert f1(read(engine, turned, "none"), upright) < 0.3
    assert f1(read(engine, turned, "always"), upright) >= 0.95
    assert f1(read(engine, turned, ("deskew",)), upright) < 0.3
    given = read(engine, turned, rotate=180)
    assert (given.preparation, given.rotation) == (None, 180)
    assert not TesseractEngine(load_worker_settings()).may_prepare(TesseractOptions(psm=0))


def test_a_page_with_nothing_on_it_has_no_words(engine: TesseractEngine) -> None:
    assert not list(read(engine, Image.new("L", (900, 1200), 255)).words())


def test_a_job_says_how_its_page_was_prepared(queue: OcrQueue) -> None:
    turned = png(sheet().transpose(Image.Transpose.ROTATE_180))
    document = queue.submit(turned, engine="tesseract", languages="eng").result(120)
    (page,) = document.pages
    assert page.preparation is not None
    assert page.preparation.steps == ("rotate",)
    assert "ferry" in document.text
    plain = queue.submit(turned, engine="tesseract", languages="eng", prepare="none").result(120)
    assert not plain.cached, "it is another reading"
    assert "ferry" not in plain.text
    steps = queue.submit(turned, engine="tesseract", languages="eng", prepare=["rotate", "light"]).result(120)
    assert "ferry" in steps.text
