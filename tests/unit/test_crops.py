"""Word crops: the right pixels, upright as read, whatever the box; archives with each member where it is said to be."""

from __future__ import annotations

import math
import random
import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

from ocrqueue.document import Polygon, Word, box_of, polygon_of
from ocrqueue_worker.geometry import to_original, upright
from ocrqueue_worker.images.cropping import archive_key, build_archive, crop_key, crop_word
from ocrqueue_worker.images.png import encode_png
from ocrqueue_worker.pipeline.cached_crops import copy_key

WORD_BOX = (40, 30, 150, 70)


def upright_page(mode: str = "L") -> Image.Image:
    page = Image.new("L", (300, 200), 255)
    ImageDraw.Draw(page).text((42, 30), "Word", fill=0, font=ImageFont.load_default(size=40))
    return page.convert(mode)


def word(polygon: Polygon) -> Word:
    return Word(id="p001-w0001", text="Word", polygon=polygon, bbox=box_of([polygon]))


def mean_difference(first: Image.Image, second: Image.Image) -> float:
    return ImageStat.Stat(ImageChops.difference(first, second)).mean[0]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_crop_is_upright_whichever_way_the_page_lies(rotation: int, mode: str) -> None:
    page = upright(upright_page(mode), -rotation % 360)
    polygon = to_original(polygon_of(WORD_BOX), rotation, *page.size)
    crop = crop_word(page, word(polygon), rotation, padding=3)
    assert crop.mode == mode
    assert crop.tobytes() == upright_page(mode).crop((37, 27, 153, 73)).tobytes()


def test_a_word_turned_on_an_upright_page_is_read_its_own_way() -> None:
    page = upright(upright_page(), 270)
    polygon = to_original(polygon_of(WORD_BOX), 90, *page.size)
    assert crop_word(page, word(polygon), 0, padding=0).tobytes() == upright_page().crop(WORD_BOX).tobytes()


def test_where_the_polygon_does_not_tell_the_page_does() -> None:
    page = upright(upright_page(), 180)
    box = box_of([to_original(polygon_of(WORD_BOX), 180, *page.size)])
    left, top, right, bottom = box
    mirrored: Polygon = ((right, top), (left, top), (left, bottom), (right, bottom))
    assert crop_word(page, word(mirrored), 180, padding=0).tobytes() == upright_page().crop(WORD_BOX).tobytes()


def test_padding_ends_at_the_edge_of_the_page() -> None:
    crop = crop_word(upright_page(), word(polygon_of((0, 0, 300, 10))), 0, padding=7)
    assert crop.size == (300, 17)


def test_fractions_of_pixels_are_not_cut_off() -> None:
    crop = crop_word(upright_page(), word(polygon_of((40.9, 30.2, 149.1, 69.5))), 0, padding=0)
    assert crop.tobytes() == upright_page().crop((40, 30, 150, 70)).tobytes()


@pytest.mark.parametrize("degrees", [-30, -8, 4, 17, 95, 171, 262])
def test_a_skewed_word_is_straightened(degrees: float) -> None:
    """Turn the page by any angle about its middle: the crop is as from the upright page, but for resampling."""
    page = upright_page()
    scene = Image.new("L", (500, 500), 255)
    scene.paste(page, (100, 150))
    # Pillow turns counter-clockwise by positive angles; the scene's text is turned clockwise by `degrees`.
    turned = scene.rotate(-degrees, resample=Image.Resampling.BICUBIC, fillcolor=255)
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))

    def place(x: float, y: float) -> tuple[float, float]:
        dx, dy = x + 100 - 250, y + 150 - 250
        return (250 + dx * cos - dy * sin, 250 + dx * sin + dy * cos)

    left, top, right, bottom = WORD_BOX
    polygon = (place(left, top), place(right, top), place(right, bottom), place(left, bottom))
    crop = crop_word(turned, word(polygon), 0, padding=4)
    expected = page.crop((left - 4, top - 4, right + 4, bottom + 4))
    assert crop.size == expected.size
    assert mean_difference(crop, expected) < 6
    assert mean_difference(crop.transpose(Image.Transpose.ROTATE_180), expected) > 30


def test_outside_the_page_a_skewed_crop_is_white() -> None:
    page = Image.new("RGB", (200, 100), "black")
    polygon: Polygon = ((-10, 5), (90, 15), (87, 45), (-13, 35))
    crop = crop_word(page, word(polygon), 0, padding=0)
    assert crop.getpixel((0, 5)) == (255, 255, 255)
    assert crop.getpixel((50, 15)) == (0, 0, 0)


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-400, 600) | st.integers(-400, 600)
points = st.tuples(numbers, numbers)


@given(
    polygon=st.tuples(points, points, points, points),
    rotation=st.sampled_from([0, 90, 180, 270]),
    padding=st.integers(0, 20),
)
def test_no_region_is_too_strange(polygon: Polygon, rotation: int, padding: int) -> None:
    page = Image.new("L", (60, 40), 255)
    strange = Word.model_construct(id="p001-w0001", text="", polygon=polygon, bbox=box_of([polygon]))
    crop = crop_word(page, strange, rotation, padding)
    assert min(crop.size) >= 1
    assert crop.width * crop.height <= 20_000
    assert Image.open(BytesIO(encode_png(crop))).size == crop.size


@pytest.mark.parametrize(
    "box", [(-50, -50, -10, -10), (500, 500, 600, 600), (10, 10, 10, 10), (20, 20, 5, 5), (299, 199, 300, 200)]
)
def test_boxes_without_pixels_give_one(box: tuple[float, float, float, float]) -> None:
    region = Word(id="p001-w0001", text="", polygon=polygon_of(box), bbox=box)
    assert crop_word(upright_page(), region, 0, padding=0).size == (1, 1)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_numbers_that_are_none_give_a_pixel(number: float) -> None:
    for box in ((number, 0, 10, 10), (0, number, 10, 10), (number,) * 4):
        region = Word.model_construct(id="p001-w0001", text="", polygon=polygon_of(box), bbox=box)
        assert min(crop_word(upright_page(), region, 90, padding=2).size) >= 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_png_is_exact_and_bare(mode: str) -> None:
    page = upright_page(mode)
    page.info = {"icc_profile": b"profile", "dpi": (300, 300), "transparency": 0, "exif": b"Exif\0\0"}
    crop = crop_word(page, word(polygon_of(WORD_BOX)), 0, padding=0)
    png = encode_png(crop)
    with Image.open(BytesIO(png)) as read:
        assert (read.format, read.mode, read.info) == ("PNG", mode, {})
        assert read.tobytes() == crop.tobytes()
    assert page.info["dpi"] == (300, 300)


def members(count: int) -> list[tuple[str, bytes]]:
    source = random.Random(0)
    return [(f"p001-w{number:04d}.png", source.randbytes(source.randrange(200))) for number in range(1, count + 1)]


def test_archive_members_are_where_they_are_said_to_be() -> None:
    named = [*members(20), ("wörd.png", b"not ASCII"), ("empty.png", b"")]
    data, places = build_archive(named)
    assert [data[offset : offset + length] for offset, length in places] == [content for _, content in named]
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert [(name, archive.read(name)) for name in archive.namelist()] == named
        for member in archive.infolist():
            assert member.compress_type == zipfile.ZIP_STORED
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.external_attr >> 16 == 0o644


def test_archive_places_hold_with_zip64_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the limit zipfile puts 20 bytes more into the local header of each member."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    named = [("small.png", b"s" * 10), ("large.png", b"l" * 500), ("after.png", b"a" * 30)]
    data, places = build_archive(named)
    assert places[1][0] - places[0][0] > 10 + 30 + len("large.png")
    assert [data[offset : offset + length] for offset, length in places] == [content for _, content in named]


def test_archive_is_the_same_each_time() -> None:
    assert build_archive(members(50)) == build_archive(members(50))


def test_archive_refuses_two_members_of_one_name() -> None:
    with pytest.raises(ValueError, match="differ"):
        build_archive([("a.png", b"1"), ("a.png", b"2")])


def test_archive_of_nothing_is_a_zip() -> None:
    data, places = build_archive([])
    assert places == []
    assert zipfile.ZipFile(BytesIO(data)).namelist() == []


def test_each_attempt_has_a_place_of_its_own() -> None:
    assert crop_key("job-1", "", "p001-w0001") == "results/job-1/crops/p001-w0001.png"
    assert crop_key("job-1", "2-5f3a", "p001-w0001") == "results/job-1/crops-2-5f3a/p001-w0001.png"
    assert (archive_key("job-1", ""), archive_key("job-1", "2-5f3a")) == (
        "results/job-1/crops.zip",
        "results/job-1/crops-2-5f3a.zip",
    )


@pytest.mark.parametrize("attempt", ["", "2-0b", "13-ffa0"])
@pytest.mark.parametrize("root", ["s3://bucket/results/crops", "file:///results/old/crops"])
def test_a_copy_of_crops_lies_where_the_attempts_own_would(root: str, attempt: str) -> None:
    for earlier in ("", "2-0b", "13-ffa0"):
        for of in (
            archive_key,
            lambda job, name: archive_key(job, name, 7),
            lambda job, name: crop_key(job, name, "p001-w0001"),
        ):
            assert copy_key(f"{root}/{of('old', earlier)}", "old", "new", attempt) == of("new", attempt)
