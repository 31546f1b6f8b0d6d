"""Odd pictures as jobs: what was wrong with a file stands in its Document, and words are where the file has them."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ocrqueue import Document, OcrQueue
from ocrqueue.document import json_schema
from tests.support.hostile_images import encoded, picture, png_with_chunk
from tests.support.processes import as_environment, environment
from tests.unit.test_odd_images import tall, with_wrong_checksum

from .conftest import Installation

pytest_plugins = ["tests.support.server_fixtures"]


def codes(document: Document) -> list[tuple[str, int | None]]:
    return [(each.code, each.page) for each in document.warnings]


def test_a_good_picture_has_no_warnings_and_no_field_for_them(queue: OcrQueue) -> None:
    job = queue.submit(encoded(picture(), "PNG"), engine="null", cache=False)
    assert job.result(60).warnings == ()
    assert b'"warnings"' not in queue.storage.get(f"results/{job.id}/result.json")
    assert "warnings" in json_schema(Document)["properties"]


def test_warnings_stand_in_the_document_and_in_a_cached_one(queue: OcrQueue) -> None:
    data = with_wrong_checksum(png_with_chunk(b"tEXt", b"once\0a text"), b"tEXt")
    first = queue.submit(data, engine="tesseract", languages=["eng"]).result(60)
    again = queue.submit(data, engine="tesseract", languages=["eng"]).result(60)
    assert again.cached
    for document in (first, again):
        assert (document.status, codes(document)) == ("succeeded", [("image.checksum", None)])


def test_warnings_of_pages_that_are_read_as_parts_of_their_own(queue: OcrQueue) -> None:
    faxes = [picture(f"Page {number}").convert("1") for number in (1, 2, 3)]
    data = encoded(faxes[0], "TIFF", save_all=True, append_images=faxes[1:], compression="group4", dpi=(204, 98))
    document = queue.submit(data, engine="null").result(60)
    assert codes(document) == [("image.pixels_squared", number) for number in (1, 2, 3)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_that_is_cut_off_is_refused_or_partial(queue: OcrQueue, kind: str) -> None:
    whole = encoded(tall(), kind)
    data = whole[: int(len(whole) * 0.8)]
    refused = queue.submit(data, engine="null").wait(60)
    assert (refused.state, refused.error and refused.error.code) == ("failed", "image.truncated")
    for _ in range(2):
        job = queue.submit(data, engine="null", truncated="read")
        assert job.wait(60).state == "partial"
        document = job.result()
        assert [error.code for error in document.errors] == ["image.truncated"]
        assert codes(document) == [("image.part_missing", 1)]
        assert document.pages[0].error is None
        assert list(document.words())
    assert queue.submit(data, engine="null").wait(60).state == "failed"


def test_words_of_a_fax_page_are_where_the_file_has_them(queue: OcrQueue) -> None:
    """A page of 204 x 98 pixels to the inch, its letters drawn twice as wide as high."""
    square = Image.new("L", (900, 624), 255)
    font = ImageFont.truetype("DejaVuSans.ttf", 40)
    draw = ImageDraw.Draw(square)
    for row, text in enumerate(("Harbour", "Delivery", "Workshop")):
        at = (60 + 200 * row, 80 + 160 * row)
        draw.text(at, text, fill=0, font=font)
    fax = square.resize((900, 300)).point(lambda level: 255 if level > 128 else 0).convert("1")
    data = encoded(fax, "TIFF", compression="group4", dpi=(204, 98))
    job = queue.submit(data, engine="tesseract", languages=["eng"], crops="archive")
    document = job.result(100)
    (page,) = document.pages
    assert (page.width, page.height) == (900, 300)
    words = list(page.words())
    assert [word.text for word in words] == ["Harbour", "Delivery", "Workshop"]
    for row, word in enumerate(words):
        top = 35 + 77 * row
        left, above, right, below = ImageOps.invert(fax.convert("L").crop((0, top, 900, top + 77))).getbbox()
        expected = (left, top + above, right, top + below)
        assert max(abs(a - b) for a, b in zip(word.bbox, expected, strict=True)) <= 2
        assert word.crop is not None
        with word.crop.image() as crop:  # as it looks on paper
            assert crop.height > 30
            assert crop.height < crop.width


def test_a_picture_in_an_odd_format_is_read(queue: OcrQueue) -> None:
    buffer = BytesIO()
    picture().save(buffer, "JPEG2000")
    document = queue.submit(buffer.getvalue(), engine="null").result(60)
    assert document.input.format == "JPEG2000"
    assert (document.pages[0].width, document.pages[0].height) == picture().size


def test_the_command_says_what_was_wrong(installation: Installation) -> None:
    data = with_wrong_checksum(png_with_chunk(b"tEXt", b"said\0a text"), b"tEXt")
    job = installation.queue.submit(data, engine="null")
    job.wait(60)
    shown = subprocess.run(
        [sys.executable, "-m", "ocrqueue.cli", "result", job.id],
        env=environment(as_environment(installation.settings)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"warning: {job.id}: image.checksum: A checksum is wrong" in shown.stderr
