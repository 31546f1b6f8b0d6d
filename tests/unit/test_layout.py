"""Lines and reading order by geometry: set pages whose order is known, turned, scaled, warped and jittered."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ocrqueue.document import Block, Line, Word, box_of
from ocrqueue_worker.geometry import polygon_area
from ocrqueue_worker.layout import inferred_blocks

SAMPLES = Path(__file__).parents[2] / "samples"

Floats = NDArray[np.float64]
Mapping = Callable[[Floats], Floats]
Lines = list[list[Word]]

PROSE = (
    *("needle", "stands", "above", "the", "red", "mark", "close", "lower", "valve", "by", "half", "a", "turn", "and"),
    *("wait", "five", "minutes", "before", "you", "look", "again", "deliveries", "arrive", "between", "two", "driver"),
    *(
        "has",
        "no",
        "key",
        "rings",
        "at",
        "small",
        "gate",
        "count",
        "crates",
        "because",
        "paper",
        "is",
        "often",
        "wrong",
    ),
)


def word(text: str, quad: Floats) -> Word:
    (a, b, c, d) = ((float(x), float(y)) for x, y in quad)
    return Word(id="p001-w0000", text=text, polygon=(a, b, c, d), bbox=box_of([(a, b, c, d)]))


def set_line(texts: Sequence[str], left: float, baseline: float, size: float = 20, space: float = 0.3) -> list[Word]:
    """Words with boxes as tight as Tesseract's: ascenders and descenders make them differ in height."""
    words = []
    for text in texts:
        ascent = 0.72 if any(c in "bdfhkltABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" for c in text) else 0.5
        descent = 0.2 if any(c in "gjpqy,;" for c in text) else 0.0
        width = 0.5 * size * len(text)
        top, bottom = baseline - ascent * size, baseline + descent * size
        words.append(word(text, np.array([(left, top), (left + width, top), (left + width, bottom), (left, bottom)])))
        left += width + space * size
    return words


def set_column(
    rng: random.Random, rows: int, left: float, top: float, width: float, size: float = 20, leading: float = 1.3
) -> Lines:
    """Ragged prose that no line of is wider than `width`."""
    lines = []
    for row in range(rows):
        texts: list[str] = []
        used = 0.0
        while used + (taken := 0.5 * size * len(text := rng.choice(PROSE))) <= width:
            texts.append(text)
            used += taken + 0.3 * size
        lines.append(set_line(texts, left, top + row * leading * size, size))
    return lines


def moved(lines: Lines, mapping: Mapping) -> Lines:
    return [[word(w.text, mapping(np.array(w.polygon))) for w in line] for line in lines]


def turned(degrees: float, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> Mapping:
    angle = np.radians(degrees)
    matrix = scale * np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    return lambda points: points @ matrix + shift


def shuffled(lines: Lines) -> list[Word]:
    words = [w for line in lines for w in line]
    random.Random(len(words)).shuffle(words)
    return words


def lines_of(blocks: Sequence[Block]) -> list[Line]:
    return [line for block in blocks for paragraph in block.paragraphs for line in paragraph.lines]


def inferred(lines: Lines) -> list[list[tuple[object, ...]]]:
    """Lines by their words' places, so that words of one text differ."""
    return [[w.polygon for w in line.words] for line in lines_of(inferred_blocks(shuffled(lines)))]


def expected(lines: Lines) -> list[list[tuple[object, ...]]]:
    return [[w.polygon for w in line] for line in lines]


def assert_read_as_set(lines: Lines) -> None:
    assert inferred(lines) == expected(lines)


def page_of_all_sorts(seed: int) -> Lines:
    """A heading, two columns, a table and a foot, in reading order."""
    rng = random.Random(seed)
    heading = [set_line(["Notes", "for", "the", "Night", "Shift"], 100, 80, size=44)]
    left = set_column(rng, rng.randint(4, 12), 100, 160, 360)
    right = set_column(rng, rng.randint(4, 12), 500, 160, 360)
    bottom = 160 + max(len(left), len(right)) * 26 + 60
    table = [
        set_line(["Article", str(row)], 100, bottom + row * 30)
        + set_line([f"{rng.randint(1, 99)}.50"], 560, bottom + row * 30)
        for row in range(rng.randint(2, 6))
    ]
    foot = [set_line(["page", "seven", "of", "nine"], 400, bottom + 330)]
    return [*heading, *left, *right, *table, *foot]


@pytest.mark.parametrize("name", [path.stem for path in sorted(SAMPLES.glob("*.json"))])
def test_the_samples_words_are_read_in_the_samples_order(name: str) -> None:
    """Their JSON names the words in reading order, their text breaks the lines."""
    truth = json.loads((SAMPLES / f"{name}.json").read_text())
    text = (SAMPLES / f"{name}.txt").read_text().replace("\f", "\n")
    set_lines = [line.split() for line in text.splitlines() if line.strip()]
    read_lines = []
    for page in sorted({w["page"] for w in truth["words"]}):
        words = [word(w["text"], np.array(w["polygon"])) for w in truth["words"] if w["page"] == page]
        read_lines += [[w.text for w in line.words] for line in lines_of(inferred_blocks(shuffled([words])))]
    assert read_lines == set_lines


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    degrees=st.floats(-180, 180),
    scale=st.floats(0.02, 50),
    x=st.floats(-1e4, 1e4),
    y=st.floats(-1e4, 1e4),
)
def test_neither_rotation_nor_scale_nor_place_matters(
    seed: int, degrees: float, scale: float, x: float, y: float
) -> None:
    assert_read_as_set(moved(page_of_all_sorts(seed), turned(degrees, scale, (x, y))))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), noise=st.floats(0, 0.03), slant=st.floats(-0.1, 0.1), pinch=st.floats(-0.1, 0.1))
def test_a_photo_is_read_as_the_page(seed: int, noise: float, slant: float, pinch: float) -> None:
    """Perspective across and down, and corners that are off by some hundredths of the height."""
    generator = np.random.default_rng(seed)

    def photographed(points: Floats) -> Floats:
        depth = 1 + slant * (points[:, :1] - 500) / 1000 + pinch * (points[:, 1:] - 400) / 1000
        return points / depth + generator.normal(0, noise * 14, points.shape)

    assert_read_as_set(moved(page_of_all_sorts(seed), photographed))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    columns=st.integers(2, 4),
    gutter=st.floats(1.0, 4.0),
    rows=st.integers(5, 30),
    offset=st.sampled_from([0.0, 0.5]),
)
def test_columns_are_never_interleaved(seed: int, columns: int, gutter: float, rows: int, offset: float) -> None:
    """With gutters from what LaTeX sets to four heights, on a common grid of lines or not."""
    rng = random.Random(seed)
    width, size = 300.0, 20.0
    page = []
    for column in range(columns):
        left = column * (width + gutter * 0.72 * size)
        page += set_column(rng, rows, left, 100 + (column % 2) * offset * 1.3 * size, width, size)
    assert_read_as_set(page)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 20),
    gaps=st.lists(st.floats(2, 30), min_size=1, max_size=4),
    degrees=st.floats(-180, 180),
)
def test_the_rows_of_a_table_are_lines(seed: int, rows: int, gaps: list[float], degrees: float) -> None:
    rng = random.Random(seed)
    page = []
    for row in range(rows):
        left, line = 50.0, []
        for gap in [0.0, *gaps]:
            left += gap * 14
            line += set_line([f"{rng.randint(100, 999)}"], left, 100 + row * 28)
            left += 30
        page.append(line)
    assert_read_as_set(moved(page, turned(degrees)))


def test_a_receipt_keeps_prices_with_their_articles() -> None:
    articles = ["Rye bread", "Butter", "Eggs, dozen", "Black tea of the finest sort", "Oat milk"]
    page = [set_line(["GREEN", "LANTERN", "GROCERY"], 180, 60)]
    page += [
        set_line(["1", *name.split()], 50, 120 + row * 28) + set_line(["12.30"], 600, 120 + row * 28)
        for row, name in enumerate(articles)
    ]
    page += [set_line(["TOTAL"], 50, 300) + set_line(["61.50"], 600, 300)]
    assert_read_as_set(page)


def test_a_heading_and_a_foot_go_across_columns() -> None:
    rng = random.Random(7)
    page = [
        set_line(["A", "heading", "across", "the", "page"], 100, 60, size=30),
        *set_column(rng, 6, 100, 110, 300),
        *set_column(rng, 9, 450, 110, 300),
        set_line(
            ["what", "the", "foot", "says", "goes", "across", "the", "columns", "as", "well"], 220, 110 + 9 * 26 + 20
        ),
    ]
    assert_read_as_set(page)


@pytest.mark.parametrize("degrees", [90, -90, 180, 45])
def test_text_of_two_directions_is_not_mixed(degrees: float) -> None:
    rng = random.Random(3)
    body = set_column(rng, 12, 0, 0, 500)
    note = moved(set_column(rng, 2, 0, 0, 260), turned(degrees, shift=(720, 120)))
    found = inferred([*body, *note])
    assert [line for line in found if line in expected(body)] == expected(body)
    assert [line for line in found if line in expected(note)] == expected(note)
    assert len(found) == len(body) + len(note)


def test_raised_and_lowered_characters_stay_in_their_line() -> None:
    base = set_line(["water", "H", "O", "boils", "at", "373"], 50, 100)
    lowered = word("2", np.array([(132, 96), (138, 96), (138, 106), (132, 106)]))
    raised = word("9", np.array([(250, 82), (255, 82), (255, 91), (250, 91)]))
    below = set_line(["and", "freezes", "at", "273"], 50, 126)
    line = sorted([*base, lowered, raised], key=lambda w: w.bbox[0])
    assert_read_as_set([line, below])


def test_dashes_and_points_stay_in_their_line() -> None:
    line = set_line(["from", "ten"], 50, 100)
    dash = word("\N{EN DASH}", np.array([(134, 93), (148, 93), (148, 95), (134, 95)]))
    rest = set_line(["noon"], 154, 100)
    point = word(".", np.array([(196, 97), (199, 97), (199, 100), (196, 100)]))
    assert_read_as_set([[*line, dash, *rest, point], set_line(["on", "any", "day"], 50, 126)])


def test_a_short_word_with_a_box_of_its_own_mind_stays_in_its_line() -> None:
    """Detectors give what is about square an upright box, however the line is turned."""
    lines = moved([set_line(["see", "if", "I", "am", "there"], 0, y) for y in (0, 26, 52)], turned(30))
    for line in lines:
        center = np.array(line[2].polygon).mean(axis=0)
        line[2] = word("I", center + 6 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]))
    assert_read_as_set(lines)


def test_lines_that_are_one_region_each_are_read_by_columns() -> None:
    """As engines have it that find lines, not words."""
    left = [set_line(["a" * 28], 50, 100 + 26 * row) for row in range(8)]
    right = [set_line(["a" * 28], 370, 100 + 26 * row) for row in range(8)]
    assert_read_as_set([*left, *right])


def test_paragraphs_begin_where_lines_are_further_apart() -> None:
    rng = random.Random(5)
    page = [*set_column(rng, 4, 100, 100, 400), *set_column(rng, 3, 100, 100 + 4 * 26 + 14, 400)]
    (block,) = inferred_blocks(shuffled(page))
    assert [len(paragraph.lines) for paragraph in block.paragraphs] == [4, 3]
    heading = set_line(["Another", "Size"], 100, 60, size=44)
    assert [len(block.paragraphs) for block in inferred_blocks(shuffled([heading, *page]))] == [1, 2]


@given(degrees=st.floats(-180, 180))
@settings(max_examples=30, deadline=None)
def test_a_line_is_the_rectangle_around_its_words_as_they_are_read(degrees: float) -> None:
    texts = ["some", "words", "that", "belong", "together"]
    upright = np.array([(50, 100 - 0.72 * 20), (344, 100 - 0.72 * 20), (344, 104), (50, 104)])
    page = moved([set_line(texts, 50, 100)], turned(degrees))
    (block,) = inferred_blocks(shuffled(page))
    for part in (block, block.paragraphs[0], block.paragraphs[0].lines[0]):
        assert np.array(part.polygon) == pytest.approx(turned(degrees)(upright), abs=0.01)
        assert part.bbox == box_of([part.polygon])


def test_upright_words_have_upright_lines_to_the_pixel() -> None:
    (line,) = lines_of(inferred_blocks(set_line(["jagged", "on", "Top"], 50, 100)))
    assert line.polygon == ((50, 85.6), (176 - 4, 85.6), (172, 104), (50, 104))


def test_nothing_is_placed_beyond_the_page() -> None:
    """The corners of a turned rectangle may lie off the page where none of its words does."""
    page = moved(
        [set_line(["short"], 0, 0), set_line(["short"], 0, 26), set_line(["wide"] * 8, 0, 52)], turned(30, 1, (40, 20))
    )
    corners = np.array([corner for line in page for w in line for corner in w.polygon])
    width, height = corners.max(axis=0) + 1
    (free,) = inferred_blocks(shuffled(page))
    assert free.bbox[2] > width
    (block,) = inferred_blocks(shuffled(page), size=(width, height))
    for part in (block, *lines_of([block])):
        left, top, right, bottom = part.bbox
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height


def test_ids_count_in_reading_order_and_confidences_are_means() -> None:
    words = [
        w.model_copy(update={"confidence": c}) for w, c in zip(set_line(["b", "a"], 50, 100), (0.5, 1.0), strict=True)
    ]
    below = set_line(["c"], 50, 126)
    kept = inferred_blocks([*below, *words])
    assert {w.id for line in lines_of(kept) for w in line.words} == {"p001-w0000"}
    (block,) = inferred_blocks([*below, *reversed(words)], page=12)
    assert [(w.text, w.id) for line in lines_of([block]) for w in line.words] == [
        ("b", "p012-w0001"),
        ("a", "p012-w0002"),
        ("c", "p012-w0003"),
    ]
    assert [line.confidence for line in lines_of([block])] == [0.75, None]
    assert block.confidence == 0.75


def test_a_page_without_words_has_no_blocks() -> None:
    assert inferred_blocks([]) == ()


@pytest.mark.parametrize("quad", [[(5, 5)] * 4, [(5, 5), (9, 5), (9, 5), (5, 5)], [(5, 5), (5, 5), (5, 9), (5, 9)]])
def test_a_word_of_no_area_is_a_line(quad: list[tuple[float, float]]) -> None:
    (block,) = inferred_blocks([word("x", np.array(quad))])
    assert polygon_area(block.polygon) == 0
    assert block.text == "x"


coordinate = st.floats(-50, 2000) | st.sampled_from([0.0, 100.0, 100.5])
quads = st.lists(st.tuples(coordinate, coordinate), min_size=4, max_size=4)


@settings(max_examples=100, deadline=None)
@given(shapes=st.lists(quads | quads.map(lambda quad: [quad[0]] * 4), min_size=1, max_size=30))
def test_every_word_is_in_one_line(shapes: list[list[tuple[float, float]]]) -> None:
    words = [word(str(number), np.array(quad)) for number, quad in enumerate(shapes)]
    found = [int(w.text) for line in lines_of(inferred_blocks(words, size=(2000, 2000))) for w in line.words]
    assert sorted(found) == list(range(len(words)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_in_which_words_are_given_does_not_matter(seed: int) -> None:
    page = page_of_all_sorts(seed % 20)
    words = [w for line in page for w in line]
    random.Random(seed).shuffle(words)
    assert [[w.polygon for w in line.words] for line in lines_of(inferred_blocks(words))] == expected(page)


def test_a_dense_page_takes_a_fraction_of_a_second() -> None:
    rng = random.Random(1)
    page = [line for column in range(4) for line in set_column(rng, 110, column * 460, 0, 400)]
    words = shuffled(page)
    assert len(words) > 2500
    start = time.process_time()
    blocks = inferred_blocks(words)
    assert time.process_time() - start < 1.5  # 0.2 s on a machine with nothing else to do
    assert [[w.polygon for w in line.words] for line in lines_of(blocks)] == expected(page)


def test_what_is_no_page_ends_as_well() -> None:
    generator = np.random.default_rng(0)
    corner = generator.uniform(0, 50, (3000, 1, 2))
    size = generator.uniform(0, 400, (3000, 1, 2))
    heap = corner + size * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    words = [word("x", quad) for quad in heap]
    start = time.process_time()
    assert sum(len(line.words) for line in lines_of(inferred_blocks(words))) == 3000
    assert time.process_time() - start < 10
