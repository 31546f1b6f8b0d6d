"""Turning by quarters against real pixels, and overlaps against known values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ocrqueue.document import Point, Polygon, Word, box_of, polygon_of
from ocrqueue_worker.geometry import (
    iou,
    letters_by_rotation,
    polygon_area,
    polygon_iou,
    signed_area,
    to_original,
    to_upright,
    upright,
)

rotations = st.sampled_from([0, 90, 180, 270])
sides = st.integers(min_value=2, max_value=40)


@st.composite
def boxes_on_pages(draw: st.DrawFn) -> tuple[int, int, tuple[int, int, int, int]]:
    """Width and height of a page, and a box of whole pixels on it."""
    width, height = draw(sides), draw(sides)
    left = draw(st.integers(0, width - 1))
    top = draw(st.integers(0, height - 1))
    return width, height, (left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))


def whole(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(number) for number in box)
    return (left, top, right, bottom)


@given(page=boxes_on_pages(), rotation=rotations)
def test_a_rectangle_found_upright_maps_to_where_it_was_drawn(
    page: tuple[int, int, tuple[int, int, int, int]], rotation: int
) -> None:
    width, height, box = page
    original = Image.new("L", (width, height), 255)
    original.paste(0, box)
    turned = upright(original, rotation)
    found = turned.point(lambda level: 255 - level).getbbox()
    assert found is not None
    mapped = to_original(polygon_of(found), rotation, width, height)
    assert box_of([mapped]) == box


@given(page=boxes_on_pages(), rotation=rotations)
def test_the_first_point_stays_top_left_as_read(
    page: tuple[int, int, tuple[int, int, int, int]], rotation: int
) -> None:
    """The upright corner pixels, each of its own level, are found at the mapped corners in the same order."""
    width, height, box = page
    turned = Image.new("L", (width, height), 255)
    left, top, right, bottom = box
    pixels = ((left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1))
    for level, pixel in enumerate(pixels):
        turned.putpixel(pixel, level)
    # The original is what upright() turned: turn by the rest of the circle.
    original = upright(turned, -rotation % 360)
    assert upright(original, rotation).tobytes() == turned.tobytes()
    for x, y in pixels:
        mapped = to_original(polygon_of((x, y, x + 1, y + 1)), rotation, *original.size)
        corner = whole(box_of([mapped]))
        assert original.getpixel(corner[:2]) == turned.getpixel((x, y))
        assert signed_area(mapped) == 1


@pytest.mark.parametrize(("rotation", "first"), [(0, (10, 20)), (90, (180, 10)), (180, (290, 180)), (270, (20, 290))])
def test_known_points(rotation: int, first: Point) -> None:
    width, height = (300, 200) if rotation in (0, 180) else (200, 300)
    assert to_original(polygon_of((10, 20, 110, 60)), rotation, width, height)[0] == first


@given(page=boxes_on_pages(), rotation=rotations)
def test_to_upright_is_the_inverse(page: tuple[int, int, tuple[int, int, int, int]], rotation: int) -> None:
    width, height, box = page
    there = to_upright(polygon_of(box), rotation, width, height)
    assert to_original(there, rotation, width, height) == polygon_of(box)
    left, top, right, bottom = box_of([there])
    turned_width, turned_height = (height, width) if rotation in (90, 270) else (width, height)
    assert left >= 0
    assert top >= 0
    assert right <= turned_width
    assert bottom <= turned_height


def test_upright_turns_counter_clockwise() -> None:
    image = Image.new("L", (3, 2), 255)
    image.putpixel((0, 0), 0)
    assert [upright(image, rotation).size for rotation in (0, 90, 180, 270)] == [(3, 2), (2, 3), (3, 2), (2, 3)]
    assert upright(image, 90).getpixel((0, 2)) == 0
    assert upright(image, 180).getpixel((2, 1)) == 0
    assert upright(image, 270).getpixel((1, 0)) == 0
    with pytest.raises(KeyError):
        upright(image, 45)


def test_iou_of_boxes() -> None:
    assert iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert iou((0, 0, 10, 10), (2, 2, 4, 4)) == pytest.approx(4 / 100)
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert iou((0, 0, 10, 10), (20, 20, 30, 30)) == 0
    assert iou((5, 5, 5, 5), (5, 5, 5, 5)) == 0
    assert iou((10, 10, 0, 0), (0, 0, 10, 10)) == 0


def test_area() -> None:
    assert polygon_area(polygon_of((2, 3, 12, 8))) == 50
    assert signed_area(polygon_of((2, 3, 12, 8))) == 50
    assert signed_area(polygon_of((2, 3, 12, 8))[::-1]) == -50
    assert polygon_area([(0, 0), (4, 0), (0, 3)]) == 6
    assert polygon_area([(0, 0), (4, 0)]) == 0
    assert polygon_area([]) == 0


def test_polygon_iou_of_a_square_and_its_diamond() -> None:
    """Twice the unit circle's square and the same turned by 45 degrees share a regular octagon."""
    square = polygon_of((-1, -1, 1, 1))
    far = math.sqrt(2)
    diamond: Polygon = ((0, -far), (far, 0), (0, far), (-far, 0))
    octagon = 8 * (math.sqrt(2) - 1)
    assert polygon_iou(square, diamond) == pytest.approx(octagon / (8 - octagon))
    assert polygon_iou(square, diamond[::-1]) == pytest.approx(octagon / (8 - octagon))
    assert polygon_iou(square[::-1], diamond) == pytest.approx(octagon / (8 - octagon))


def test_polygon_iou_of_what_has_no_area() -> None:
    line: Polygon = ((0, 0), (5, 0), (5, 0), (0, 0))
    assert polygon_iou(line, line) == 0
    assert polygon_iou(line, polygon_of((0, 0, 5, 5))) == 0
    assert polygon_iou((), polygon_of((0, 0, 5, 5))) == 0


coordinates = st.integers(-50, 50)


@given(st.tuples(coordinates, coordinates, coordinates, coordinates), st.tuples(*[coordinates] * 4))
def test_polygon_iou_of_boxes_is_their_iou(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> None:
    boxes = [(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)) for x0, y0, x1, y1 in (first, second)]
    expected = iou(*boxes)
    assert polygon_iou(polygon_of(boxes[0]), polygon_of(boxes[1])) == pytest.approx(expected)
    assert polygon_iou(polygon_of(boxes[1]), polygon_of(boxes[0])[::-1]) == pytest.approx(expected)


@given(
    angle=st.floats(0, 2 * math.pi),
    x=st.floats(-5, 5),
    y=st.floats(-5, 5),
    width=st.floats(1, 20),
    height=st.floats(1, 20),
)
def test_polygon_iou_does_not_change_when_both_are_turned(
    angle: float, x: float, y: float, width: float, height: float
) -> None:
    def turned(polygon: Polygon) -> list[Point]:
        sin, cos = math.sin(angle), math.cos(angle)
        return [(px * cos - py * sin, px * sin + py * cos) for px, py in polygon]

    first, second = (0.0, 0.0, 10.0, 10.0), (x, y, x + width, y + height)
    expected = iou(first, second)
    assert polygon_iou(turned(polygon_of(first)), turned(polygon_of(second))) == pytest.approx(expected, abs=1e-9)


def test_letters_count_for_the_way_in_which_their_words_run() -> None:
    """To the nearest quarter; a word without a length runs no way."""
    places = [("over", 0), ("and", 180), ("under", 180), ("up", 270)]
    turned = [(text, to_original(polygon_of((10, 20, 60, 40)), degrees, 100, 80)) for text, degrees in places]
    tilted: Polygon = ((10, 10), (60, 30), (55, 45), (5, 25))
    words = [
        Word(id="", text=text, polygon=polygon, bbox=box_of([polygon]))
        for text, polygon in [*turned, ("tilted", tilted), ("none", ((5, 5), (5, 5), (5, 9), (5, 9)))]
    ]
    assert letters_by_rotation(words) == {0: 10, 180: 8, 270: 2}
