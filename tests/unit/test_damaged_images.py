"""Damage and traps that a decoder passes over in silence, or that keep it busy for minutes."""

from __future__ import annotations

import gc
import struct
import time
import tracemalloc
import weakref
import zlib

import pytest
from PIL import Image

from ocrqueue.errors import ImageCorrupt, ImageTruncated, OcrQueueError
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.images.decoding import open_image
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.images.png_completeness import png_data_is_short
from tests.faults.corpus_pictures import codings, good_picture
from tests.support.hostile_images import (
    animated_webp,
    encoded,
    gif_with_frames,
    jpeg_segment,
    multi_page_tiff,
    picture,
    png_chunk,
    png_header,
    tiff_directory_offsets,
)

SETTINGS = load_worker_settings()


def read(data: bytes) -> list[PageImage]:
    with open_image(data, SETTINGS) as image:
        return [image.page(number) for number in range(1, image.page_count + 1)]


# --- floods ----------------------------------------------------------------------------------------------------


def progressive_of_scans(count: int, between: bytes = b"") -> bytes:
    """A JPEG of 8000 x 9000 pixels in `count` scans that say nothing, `between` them these bytes."""
    frame = jpeg_segment(0xC2, struct.pack(">B2HB3B", 8, 9000, 8000, 1, 1, 0x11, 0))
    tables = jpeg_segment(0xDB, b"\0" + b"\1" * 64) + jpeg_segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    scan = jpeg_segment(0xDA, b"\1\1\0\1\x3f\0") + b"\0\0"
    return b"\xff\xd8" + tables + frame + (between + scan) * count + b"\xff\xd9"


def with_parts(kind: str, part: bytes) -> bytes:
    """A good file with 120,000 times `part` after its head."""
    good, head = encoded(picture(), kind), {"JPEG": 2, "PNG": 33, "GIF": 13 + 768}[kind]
    return good[:head] + part * 120_000 + good[head:]


@pytest.mark.parametrize("between", [b"", b"\xff\1", b"\xff\xd0", b"\xff\xfe\0\0", b"\xff" * 9], ids=bytes.hex)
def test_scans_without_end_are_refused_at_once(between: bytes) -> None:
    """Whatever is put between them that a decoder skips, and that could be taken for the length of a segment."""
    began = time.process_time()
    with pytest.raises(ImageCorrupt, match="more than 500 scans"):
        read(progressive_of_scans(2000, between))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("JPEG", b"\xff\xfe\0\2"),
        ("JPEG", b"\xff\xe1\0\2"),
        ("JPEG", b"\xff\xdb\0\2"),
        ("JPEG", b"\xff\1\xff\xfe\0\2"),
        ("JPEG", b"\xff"),
        ("PNG", png_chunk(b"tEXt", b"k\0")),
        ("PNG", png_chunk(b"eXIf", b"")),
        ("PNG", png_chunk(b"prVt", b"")),
        ("GIF", b"!\xfe\0"),
        ("GIF", b"!\xfe\1a\0"),
    ],
)
def test_parts_without_end_are_refused_at_once(kind: str, part: bytes) -> None:
    data, began = with_parts(kind, part), time.process_time()
    with pytest.raises(ImageCorrupt, match="more than 100000"):
        read(data)
    assert time.process_time() - began < 1


def test_one_comment_of_endless_blocks_is_refused() -> None:
    good = gif_with_frames(1)
    with pytest.raises(ImageCorrupt, match="more than 100000"):
        read(good[:19] + b"!\xfe" + b"\1a" * 120_000 + b"\0" + good[19:])


@pytest.mark.parametrize("coding", codings("jpeg"))
def test_no_usual_jpeg_has_too_much_of_anything(coding: str) -> None:
    assert read(good_picture("jpeg", coding))


def test_a_png_may_have_many_chunks_of_pixels() -> None:
    whole = encoded(picture(), "PNG")
    at = whole.index(b"IDAT") - 4
    size = int.from_bytes(whole[at : at + 4], "big")
    data = whole[at + 8 : at + 8 + size]
    pieces = b"".join(
        png_chunk(b"IDAT", data[place : place + 1]) + png_chunk(b"IDAT", b"") * 100 for place in range(size)
    )
    (page,) = read(whole[:at] + pieces + whole[-12:])
    assert page.image.tobytes() == picture().tobytes()


# --- less than is announced ------------------------------------------------------------------------------------


def png_of_rows(
    announced: int, rows: int, *, depth: int = 8, color: int = 0, row: bytes = b"\0" + b"\xff" * 40
) -> bytes:
    """A PNG, 40 pixels wide at 8 bits of grey, whose data is whole in itself and holds `rows` rows."""
    data = png_chunk(b"IDAT", zlib.compress(row * rows))
    return png_header(40, announced, depth, color) + data + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("rows", [1, 50, 99])
def test_a_png_with_too_few_rows_is_truncated(rows: int) -> None:
    with pytest.raises(ImageTruncated, match="fewer rows"):
        read(png_of_rows(100, rows))


def test_half_a_row_is_not_a_row() -> None:
    whole = png_of_rows(100, 100, row=b"\0" + bytes(40))
    short = zlib.compress((b"\0" + bytes(40)) * 100)
    assert read(whole)[0].image.size == (40, 100)
    cut = zlib.compress(zlib.decompress(short)[:-1])
    data = png_header(40, 100) + png_chunk(b"IDAT", cut) + png_chunk(b"IEND", b"")
    with open_image(data, SETTINGS) as image:
        assert image.page(1).image.tobytes() == bytes(40 * 99) + b"\xff" * 40
        assert [each.code for each in image.warnings] == ["image.end_missing"]


@pytest.mark.parametrize(
    ("depth", "color", "bytes_a_row"), [(1, 0, 5), (2, 0, 10), (8, 2, 120), (16, 6, 320), (8, 4, 80)]
)
def test_a_png_that_ends_in_black_or_nothing_is_whole(depth: int, color: int, bytes_a_row: int) -> None:
    row = b"\0" + bytes(bytes_a_row)
    assert read(png_of_rows(100, 100, depth=depth, color=color, row=row))[0].image.size == (40, 100)
    with pytest.raises(ImageTruncated):
        read(png_of_rows(100, 99, depth=depth, color=color, row=row))


def test_the_passes_of_an_interlaced_png_are_counted() -> None:
    """8 x 8 pixels in Adam7: rows of 1, 1, 2, 2 and 2, 4 and so on, each with a byte for its filter; 79 bytes."""
    header = png_chunk(b"IHDR", struct.pack(">2L5B", 8, 8, 8, 0, 0, 0, 1))
    for size, whole in ((79, True), (78, False), (43, False)):
        data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(size))) + png_chunk(b"IEND", b"")
        if whole:
            assert read(data)[0].image.size == (8, 8)
        else:
            with pytest.raises(ImageTruncated):
                read(data)


def test_a_bomb_behind_the_rows_is_not_inflated() -> None:
    data = zlib.compress((b"\0" + bytes(40)) * 100 + bytes(50_000_000))
    bomb = png_header(40, 100) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        assert not png_data_is_short(bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_tiff_cut_in_the_pointer_to_its_next_page_lacks_a_page(cut: int) -> None:
    """The first page can be read, and nobody knows how many more there were."""
    whole = multi_page_tiff(3, compression="tiff_adobe_deflate")
    (_, pointer) = tiff_directory_offsets(whole)[0]
    with open_image(whole[: pointer + 4 - cut], SETTINGS) as image:
        assert image.page_count == 2
        assert image.page(1).image.size == picture().size
        with pytest.raises(ImageTruncated):
            image.page(2)


# --- what it leaves --------------------------------------------------------------------------------------------


def test_a_broken_animation_is_freed_with_its_bytes() -> None:
    """No cycle of an exception and the frames of its traceback holds it until Python collects cycles."""
    whole = animated_webp()
    image = open_image(whole[: len(whole) - 1000] + bytes(1000), SETTINGS)
    with pytest.raises(OcrQueueError):
        image.page(3)
    gone = weakref.ref(image)
    gc.disable()
    try:
        del image
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pixels_of_a_file_that_is_cut_off_are_freed_with_it(kind: str) -> None:
    """They may be hundreds of megabytes."""
    noise = Image.effect_noise((900, 900), 60)
    data = encoded(noise, kind)
    with open_image(data[: len(data) // 2], SETTINGS) as image, pytest.raises(ImageTruncated):
        image.page(1)
    gc.collect()
    gc.disable()
    try:
        with open_image(data[: len(data) // 2], SETTINGS) as image:
            with pytest.raises(ImageTruncated) as caught:
                image.page(1)
            del caught
        assert not [found for found in gc.get_objects() if isinstance(found, ImageTruncated)]
    finally:
        gc.enable()
