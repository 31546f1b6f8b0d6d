"""The overlay picture, and the page's picture that it is drawn on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFont

from ocrqueue.document import Document, Page, Polygon, Word, box_of
from ocrqueue.document.formats import fonts
from ocrqueue.document.formats.overlay import draw_overlay, open_page
from ocrqueue.errors import (
    ImageCorrupt,
    ImageEmpty,
    ImageNotRecognised,
    ImageTooLarge,
    ImageTruncated,
    ImageUnsupported,
    PageNotFound,
)
from tests.support.documents import block_of, document_of, line_of, page_of, paragraph_of, word

SAMPLES = Path(__file__).parents[2] / "samples"
NASTY = "<&\"\x00\x0b'>"
KOREAN = "도서관의"
HEBREW = "שלום"

# --- the overlay -----------------------------------------------------------------------------------------------


def sample_document(name: str, confidence: float | None) -> tuple[Document, Image.Image]:
    """The Document that a perfect engine would give of a sample, and the sample's first page."""
    description = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    image = open_page((SAMPLES / description["image"]).read_bytes(), 1)
    words = []
    for item in description["words"]:
        polygon: Polygon = tuple(map(tuple, item["polygon"]))
        words.append(Word(id="w", text=item["text"], polygon=polygon, bbox=box_of([polygon]), confidence=confidence))
    block = block_of([paragraph_of([line_of(words[start : start + 8]) for start in range(0, len(words), 8)])])
    return document_of(Page(number=1, width=image.width, height=image.height, blocks=(block,))), image


def pixel(image: Image.Image, x: float, y: float) -> tuple[int, int, int]:
    value = image.getpixel((round(x), round(y)))
    assert isinstance(value, tuple)
    return value[0], value[1], value[2]


def colours(image: Image.Image) -> list[tuple[int, int, int]]:
    return [pixel(image, x, y) for x in range(image.width) for y in range(image.height)]


@pytest.mark.parametrize(
    ("name", "offset"), [("korean-page", (1240, 0)), ("rotated-page", (0, 1240)), ("street-sign", (0, 900))]
)
def test_overlay_marks_every_polygon_and_writes_its_text(name: str, offset: tuple[int, int]) -> None:
    document, image = sample_document(name, confidence=1.0)
    overlay = draw_overlay(document, image, 1)
    assert overlay.mode == "RGB"
    assert overlay.size == (image.width + offset[0], image.height + offset[1])
    for read in document.words():
        for (x0, y0), (x1, y1) in zip(read.polygon, (*read.polygon[1:], read.polygon[0]), strict=True):
            # A slanting edge passes beside the middle of its ends by a fraction of a pixel.
            x, y = round((x0 + x1) / 2), round((y0 + y1) / 2)
            near = overlay.crop((x - 1, y - 1, x + 2, y + 2))
            assert any(green > max(red, blue) + 60 for red, green, blue in colours(near)), read
        left, top, right, bottom = (round(edge) for edge in read.bbox)
        written = overlay.crop((left + offset[0], top + offset[1], right + offset[0], bottom + offset[1]))
        darkest, brightest = written.convert("L").getextrema()
        assert darkest < 100, f"{read.text} is not written beside the page"
        assert brightest > 180, f"{read.text} has no light ground"


def test_overlay_leaves_the_rest_of_the_page_alone() -> None:
    document, image = sample_document("english-page", confidence=0.9)
    overlay = draw_overlay(document, image, 1)
    left, top, right, bottom = document.pages[0].blocks[0].bbox
    for box in (
        (0, 0, image.width, round(top) - 3),
        (0, round(bottom) + 3, image.width, image.height),
        (0, 0, round(left) - 3, image.height),
        (round(right) + 3, 0, image.width, image.height),
    ):
        assert overlay.crop(box).tobytes() == image.crop(box).tobytes()


@pytest.mark.parametrize(("confidence", "strongest"), [(1.0, "green"), (0.0, "red"), (None, "none")])
def test_overlay_colours_tell_the_confidence(confidence: float | None, strongest: str) -> None:
    document = document_of(page_of(1, [[[["word"]]]], confidence))
    red, green, blue = pixel(draw_overlay(document, Image.new("RGB", (400, 300), "white"), 1), 30, 10)
    assert {"green": green > red + 100, "red": red > green + 100, "none": red == green == blue < 200}[strongest]


def test_overlay_on_a_copy_of_another_size() -> None:
    document = document_of(page_of(1, [[[["word"]]]], 1.0))
    overlay = draw_overlay(document, Image.new("L", (200, 150), "white"), 1)
    assert overlay.size == (200, 300)
    assert pixel(overlay, 15, 5) != (255, 255, 255)
    assert pixel(overlay, 100, 75) == (255, 255, 255)


def test_overlay_bears_whatever_the_words_hold() -> None:
    texts = [NASTY, "", " ", HEBREW, "مرحبا", "ไทย", "👍🏽", "\u0301", "x" * 5000, "\U0010fffd"]
    odd_boxes = [
        (math.nan, 0.0, 5.0, math.inf),
        (-50.0, -50.0, 900.0, 900.0),
        (7.0, 7.0, 7.0, 7.0),
        (9.0, 9.0, 3.0, 3.0),
    ]
    words = [word(text, (5.0 * n, 9.0, 5.0 * n + 30, 25.0)) for n, text in enumerate(texts)]
    words += [word("odd", box) for box in odd_boxes]
    page = Page(number=3, width=120, height=60, blocks=(block_of([paragraph_of([line_of(words)])]),))
    assert draw_overlay(document_of(page), Image.new("RGB", (120, 60)), 3).size == (120, 120)
    with pytest.raises(PageNotFound):
        draw_overlay(document_of(page), Image.new("RGB", (120, 60)), 1)


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine without fontconfig and without fonts."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    monkeypatch.setattr(fonts, "_font_files", {})
    fonts._load.cache_clear()
    yield
    fonts._load.cache_clear()


@pytest.mark.usefixtures("no_fonts")
@pytest.mark.parametrize("bitmap", [False, True])
def test_overlay_without_any_font_draws_what_pillow_has(bitmap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if bitmap:  # Pillow built without FreeType
        monkeypatch.setattr(ImageFont, "load_default", lambda _size: ImageFont.load_default_imagefont())
    document = document_of(page_of(1, [[[["word", KOREAN]]]]))
    overlay = draw_overlay(document, Image.new("RGB", (400, 300), "white"), 1)
    darkest, _ = overlay.crop((10, 310, 60, 330)).convert("L").getextrema()
    assert darkest < 100


def test_korean_is_drawn_with_a_font_that_has_it() -> None:
    font = fonts.font_for(KOREAN, 32)
    glyphs = {bytes(font.getmask(character)) for character in KOREAN}
    if not isinstance(font, ImageFont.FreeTypeFont) or not font.path or len(glyphs) == 1:
        pytest.skip("no font of this machine has Hangul")
    assert len(glyphs) == len(set(KOREAN))
    assert bytes(font.getmask("\U0010ffff")) not in glyphs


# --- the page's picture ----------------------------------------------------------------------------------------


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_open_page_applies_the_exif_orientation(kind: str) -> None:
    lying = Image.new("RGB", (40, 20), "white")
    lying.paste("black", (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    page = open_page(saved(lying, kind, exif=exif), 1)
    assert (page.mode, page.size) == ("RGB", (20, 40))
    assert pixel(page, 10, 3)[0] < 60
    assert pixel(page, 10, 35)[0] > 200


def test_open_page_seeks_and_counts_from_one() -> None:
    pages = [Image.new("L", (30, 20), level) for level in (10, 120, 240)]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert [pixel(open_page(data, number), 5, 5) for number in (1, 2, 3)] == [(10,) * 3, (120,) * 3, (240,) * 3]
    for number in (0, -1, 4):
        with pytest.raises(PageNotFound):
            open_page(data, number)


def test_open_page_lays_transparency_on_white() -> None:
    clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    assert pixel(open_page(saved(clear, "PNG"), 1), 5, 5) == (255, 255, 255)
    palette = Image.new("P", (10, 10), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert pixel(open_page(saved(palette, "GIF", transparency=0), 1), 5, 5) == (255, 255, 255)


def test_open_page_scales_16_bit_levels() -> None:
    assert pixel(open_page(saved(Image.new("I;16", (10, 10), 65535), "PNG"), 1), 5, 5) == (255, 255, 255)
    red, _, _ = pixel(open_page(saved(Image.new("I;16", (10, 10), 32768), "PNG"), 1), 5, 5)
    assert 120 < red < 135


def test_open_page_refuses_what_is_no_image() -> None:
    noise = Image.effect_noise((200, 200), 90)
    png = saved(noise, "PNG")
    with pytest.raises(ImageEmpty):
        open_page(b"", 1)
    with pytest.raises(ImageNotRecognised):
        open_page(b"<html> and so on", 1)
    with pytest.raises(ImageUnsupported, match="PDF"):
        open_page(b"%PDF-1.7 and so on", 1)
    with pytest.raises(ImageTruncated):
        open_page(png[: len(png) // 2], 1)
    with pytest.raises(ImageCorrupt):
        open_page(png[:1000] + bytes(2000) + png[3000:], 1)
    with pytest.raises(ImageTooLarge, match="200 x 200"):
        open_page(png, 1, max_pixels=39_999)


@pytest.mark.parametrize("limit", [100, 150])
def test_open_page_refuses_decompression_bombs(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns above its limit and raises above twice its limit, before the page's size can be looked at."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageTooLarge):
        open_page(saved(Image.new("1", (15, 15)), "PNG"), 1, max_pixels=limit)


def test_open_page_reads_as_much_as_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert open_page(saved(Image.new("1", (15, 15)), "PNG"), 1, max_pixels=225).size == (15, 15)
