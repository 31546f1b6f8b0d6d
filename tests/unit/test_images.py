"""Decoding what cannot be trusted: each file ends in its page or in its own error, in bounded memory, silently."""

from __future__ import annotations

import random
import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageFile, ImageStat, PngImagePlugin

from ocrqueue.errors import (
    ImageCorrupt,
    ImageNotRecognised,
    ImageTooLarge,
    ImageTooManyPages,
    ImageTooSmall,
    ImageTruncated,
    OcrQueueError,
)
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.images.decoding import open_image
from ocrqueue_worker.images.page import PageImage
from tests.support.hostile_images import (
    HOSTILE,
    PARTIAL,
    animated_gif,
    animated_webp,
    encoded,
    gif_with_frames,
    jpeg_segment,
    multi_page_tiff,
    oriented,
    picture,
    png_chunk,
    png_header,
    png_with_chunk,
    stereo_jpeg,
    tiff_directory_offsets,
    tiff_with_broken_page,
    tiny_png,
)

SETTINGS = load_worker_settings()
GOOD = [name for name, (_, code) in HOSTILE.items() if code is None]
BAD = [name for name, (_, code) in HOSTILE.items() if code is not None and name not in PARTIAL]


def read(data: bytes, settings: WorkerSettings = SETTINGS) -> list[PageImage]:
    with open_image(data, settings) as image:
        return [image.page(number) for number in range(1, image.page_count + 1)]


def read_one(data: bytes) -> PageImage:
    (page,) = read(data)
    return page


def limits(**values: int) -> WorkerSettings:
    return load_worker_settings(**values)


def unlike(image: Image.Image, expected: Image.Image) -> float:
    """Mean difference of levels, 0 to 255; 255 where the sizes differ."""
    if image.size != expected.size:
        return 255.0
    return float(ImageStat.Stat(ImageChops.difference(image.convert("L"), expected.convert("L"))).mean[0])


def tiff(width: int, height: int, data: bytes, *, bits: int = 8, photometric: int = 1, **more: int) -> bytes:
    """A little-endian TIFF of one grey strip, its directory first; `more` maps tag_NNN to a LONG."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: height, 279: len(data)}
    tags |= {int(name.removeprefix("tag_")): value for name, value in more.items()}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + data


def big_endian(data: bytes) -> bytes:
    """A `tiff()` with its header and directory in the other byte order; the strip stays as it is."""
    (count,) = struct.unpack_from("<H", data, 8)
    entries = [struct.unpack_from("<HHLL", data, 10 + 12 * index) for index in range(count)]
    swapped = b"".join(struct.pack(">HHLL", *entry) for entry in entries)
    return b"MM\0*" + struct.pack(">LH", 8, count) + swapped + data[10 + len(swapped) :]


# --- the collection --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_ends_in_its_own_error(name: str) -> None:
    make, code = HOSTILE[name]
    with pytest.raises(OcrQueueError) as caught:
        read(make())
    assert caught.value.info.code == code
    assert not caught.value.info.retryable
    assert " at 0x" not in caught.value.info.message


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_file_is_read_well(name: str) -> None:
    first = read(HOSTILE[name][0]())[0]
    assert first.number == 1
    assert first.image.mode in ("L", "RGB")
    assert first.image.info == {}
    # Colored ink and JPEG's losses change the levels by up to 4; a page gone white is 15 off, an inverted one 250.
    assert unlike(first.image, picture()) < 5


def test_the_collection_holds_every_image_error() -> None:
    codes = {code for _, code in HOSTILE.values()}
    assert codes >= {f"image.{name}" for name in ("empty", "not_recognised", "truncated", "corrupt")}
    assert codes >= {f"image.{name}" for name in ("too_small", "too_large", "too_many_pages")}


def test_the_message_tells_what_else_it_may_be() -> None:
    with pytest.raises(ImageNotRecognised, match="a ZIP archive"):
        read(HOSTILE["zip"][0]())


# --- pages -----------------------------------------------------------------------------------------------------


def test_pages_of_a_tiff_come_one_by_one_in_any_order() -> None:
    with open_image(multi_page_tiff(compression="tiff_lzw"), SETTINGS) as image:
        assert (image.format, image.page_count) == ("TIFF", 3)
        for number in (3, 1, 2, 2):
            page = image.page(number)
            assert page.number == number
            assert page.image.tobytes() == picture(f"Page {number}").tobytes()
        for number in (0, 4):
            with pytest.raises(IndexError):
                image.page(number)


def test_a_page_outlives_its_file() -> None:
    for data in (animated_gif(), animated_webp(), multi_page_tiff(), encoded(picture(), "PNG")):
        pages = read(data)
        before = [page.image.tobytes() for page in pages]
        pages[0].image.paste(0, (0, 0, 5, 5))
        assert [page.image.tobytes() for page in pages[1:]] == before[1:]


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_a_broken_page_of_a_tiff_costs_only_itself(broken: int) -> None:
    with open_image(tiff_with_broken_page(broken), SETTINGS) as image:
        assert image.page_count == 3
        with pytest.raises(ImageCorrupt) as caught:
            image.page(broken)
        assert caught.value.info.details["page"] == broken
        for number in {1, 2, 3} - {broken}:
            assert image.page(number).image.tobytes() == picture(f"Page {number}").tobytes()


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_a_page_whose_tags_are_broken_costs_only_itself(broken: int) -> None:
    data = bytearray(multi_page_tiff())
    directory, pointer = tiff_directory_offsets(bytes(data))[broken - 1]
    data[directory + 2 : pointer] = b"\xff" * (pointer - directory - 2)
    with open_image(bytes(data), SETTINGS) as image:
        with pytest.raises(ImageCorrupt):
            image.page(broken)
        for number in {1, 2, 3} - {broken}:
            assert image.page(number).image.tobytes() == picture(f"Page {number}").tobytes()


def test_pages_that_are_cut_off_a_tiff_are_missed() -> None:
    data = multi_page_tiff()
    (_, _), (second, _), _ = tiff_directory_offsets(data)
    with open_image(data[: second + 10], SETTINGS) as image:
        assert image.page_count == 2
        assert image.page(1).image.tobytes() == picture("Page 1").tobytes()
        with pytest.raises(ImageTruncated):
            image.page(2)


def test_compressed_strips_that_are_cut_off_are_missed() -> None:
    """libtiff only says that decoding failed."""
    data = tiff(320, 96, zlib.compress(picture().tobytes()), tag_259=8)
    assert unlike(read_one(data).image, picture()) == 0
    with pytest.raises(ImageTruncated):
        read(data[:-100])
    with pytest.raises(ImageCorrupt):
        read(data[:-100] + bytes(100))


def test_big_tiff() -> None:
    with open_image(multi_page_tiff(big_tiff=True), SETTINGS) as image:
        assert image.page_count == 3
        assert image.page(3).image.tobytes() == picture("Page 3").tobytes()


def test_frames_of_a_gif_are_what_a_viewer_shows() -> None:
    first, second, third = read(animated_gif())
    with_dot = picture()
    with_dot.paste(0, (300, 80, 310, 90))
    assert unlike(first.image, picture()) < 1
    assert unlike(second.image, with_dot) < 1
    assert unlike(third.image, picture("third")) < 1


def test_frames_of_a_webp_come_in_any_order() -> None:
    with open_image(animated_webp(), SETTINGS) as image:
        assert (image.format, image.page_count) == ("WEBP", 3)
        assert unlike(image.page(3).image, picture("third")) == 0
        assert unlike(image.page(1).image, picture()) == 0
        assert unlike(image.page(2).image, picture("second")) == 0


def test_frames_after_a_broken_one_are_not_guessed() -> None:
    data = animated_gif()
    with open_image(data, SETTINGS) as image:
        assert image.page_count == 3
    with Image.open(BytesIO(data)) as gif:
        gif.seek(1)
        start = gif.tile[0].offset
    broken = data[:start] + b"\x04\xff\xff\xff\xff\0" + data[start + 6 :]
    with open_image(broken, SETTINGS) as image:
        assert unlike(image.page(1).image, picture()) < 1
        for number in (2, 3):
            with pytest.raises(ImageCorrupt) as caught:
                image.page(number)
            assert caught.value.info.details["page"] == 2
        assert unlike(image.page(1).image, picture()) < 1


def test_one_picture_of_a_stereo_jpeg_and_of_an_animated_png() -> None:
    assert open_image(stereo_jpeg(), SETTINGS).format == "JPEG"
    assert len(read(stereo_jpeg())) == 1
    assert len(read(HOSTILE["animated_png"][0]())) == 1


def test_the_content_counts_and_not_the_name() -> None:
    kinds = {kind: kind for kind in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000", "PCX")}
    assert open_image(encoded(picture(), "PPM"), SETTINGS).format == "PNM"
    assert {kind: open_image(encoded(picture(), kind), SETTINGS).format for kind in kinds} == kinds
    for other in ("ICO", "TGA", "DDS", "SGI"):
        with pytest.raises(ImageNotRecognised):
            open_image(encoded(picture().convert("RGB"), other), SETTINGS)


# --- limits ----------------------------------------------------------------------------------------------------


def test_pixel_limit_is_exact() -> None:
    data = encoded(Image.new("L", (100, 50), 255), "PNG")
    assert read(data, limits(image_max_pixels=5000))
    with pytest.raises(ImageTooLarge) as caught:
        open_image(data, limits(image_max_pixels=4999))
    assert caught.value.info.details == {"width": 100, "height": 50, "limit": 4999, "page": None}


def test_a_large_frame_is_found_before_the_first_is_decoded() -> None:
    with pytest.raises(ImageTooLarge):
        open_image(HOSTILE["gif_bomb_by_frame"][0](), SETTINGS)


def test_each_page_of_a_tiff_has_its_own_size() -> None:
    pages = [Image.new("L", size, 255) for size in ((50, 50), (200, 200), (2, 50), (60, 60))]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with open_image(data, limits(image_max_pixels=10_000)) as image:
        assert image.page(1).image.size == (50, 50)
        with pytest.raises(ImageTooLarge):
            image.page(2)
        with pytest.raises(ImageTooSmall):
            image.page(3)
        assert image.page(4).image.size == (60, 60)


def test_a_limit_above_pillows_own_holds() -> None:
    """Pillow refuses 178,956,970 pixels and more unless told."""
    data = tiny_png(14_000, 13_000)
    with pytest.raises(ImageTooLarge):
        open_image(data, SETTINGS)
    before = Image.MAX_IMAGE_PIXELS
    try:
        assert open_image(data, limits(image_max_pixels=200_000_000)).page_count == 1
    finally:
        Image.MAX_IMAGE_PIXELS = before


def test_shortest_side() -> None:
    assert read(encoded(Image.new("L", (3, 3), 255), "PNG"))
    with pytest.raises(ImageTooSmall):
        open_image(encoded(Image.new("L", (300, 2), 255), "PNG"), SETTINGS)
    assert read(encoded(Image.new("L", (1, 1), 255), "PNG"), limits(image_min_side_px=1))


@pytest.mark.parametrize(
    "data",
    [
        multi_page_tiff(3),
        animated_webp(),
        animated_gif(),
    ],
    ids=["TIFF", "WEBP", "GIF"],
)
def test_page_limit_is_exact(data: bytes) -> None:
    assert open_image(data, limits(image_max_pages=3)).page_count == 3
    with pytest.raises(ImageTooManyPages):
        open_image(data, limits(image_max_pages=2))


# --- pixels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_shown_upright(kind: str, orientation: int) -> None:
    page = read_one(oriented(picture(), orientation, kind))
    assert unlike(page.image, picture()) < 3


def test_every_page_of_a_tiff_has_its_own_orientation() -> None:
    stored = picture().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(stored, "TIFF", exif=exif, save_all=True, append_images=[stored], compression="tiff_lzw")
    assert [unlike(page.image, picture()) for page in read(data)] == [0, 0]


@pytest.mark.parametrize("name", ["sixteen_bit_png", "sixteen_bit_tiff", "float_tiff", "la_png", "one_bit_png"])
def test_grey_stays_grey(name: str) -> None:
    assert read_one(HOSTILE[name][0]()).image.mode == "L"


def test_sixteen_bits_keep_their_range() -> None:
    levels = [0, 1000, 20_000, 40_000, 60_000, 65_535]
    image = Image.new("I", (6, 3))
    image.putdata(levels * 3)
    for kind in ("PNG", "TIFF"):
        page = read_one(encoded(image.convert("I;16"), kind))
        assert list(page.image.tobytes()[:6]) == [level * 255 // 65_535 for level in levels]
    strip = b"".join(struct.pack(">H", level) for level in levels) * 3
    page = read_one(big_endian(tiff(6, 3, strip, bits=16)))
    assert list(page.image.tobytes()[:6]) == [level * 255 // 65_535 for level in levels]


def test_twelve_bits_keep_their_range() -> None:
    packed = bytes.fromhex("000 fff 800 400".replace(" ", ""))
    page = read_one(tiff(4, 3, packed * 3, bits=12))
    assert list(page.image.tobytes()[:4]) == [0, 255, 0x800 * 255 // 4095, 0x400 * 255 // 4095]


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_white_is_zero(bits: int) -> None:
    row = {1: b"\x0f", 8: b"\0\0\0\0\xff\xff\xff\xff", 16: bytes(8) + b"\xff" * 8}[bits]
    page = read_one(tiff(8, 3, row * 3, bits=bits, photometric=0))
    assert list(page.image.tobytes()[:8]) == [255] * 4 + [0] * 4


def test_wide_numbers_are_scaled_from_least_to_most() -> None:
    levels = [-2_000_000_000, 0, 2_000_000_000]
    data = tiff(3, 3, struct.pack("<3i", *levels) * 3, bits=32, tag_339=2)
    assert list(read_one(data).image.tobytes()[:3]) == [0, 128, 255]
    data = tiff(3, 3, struct.pack("<3f", -0.5, 0.0, 0.5) * 3, bits=32, tag_339=3)
    assert list(read_one(data).image.tobytes()[:3]) == [0, 128, 255]
    data = tiff(3, 3, struct.pack("<3f", -0.5, 0.0, 0.5) * 3, bits=32, photometric=0, tag_339=3)
    assert list(read_one(data).image.tobytes()[:3]) == [255, 128, 0]


def test_a_flat_page_of_wide_numbers_is_white_and_one_of_no_numbers_corrupt() -> None:
    assert set(read_one(tiff(3, 3, bytes(36), bits=32, tag_339=3)).image.tobytes()) == {255}
    for strange in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ImageCorrupt):
            read(tiff(3, 3, struct.pack("<f", strange) * 9, bits=32, tag_339=3))


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("strange", [float("nan"), float("inf"), float("-inf")])
def test_a_pixel_that_is_no_finite_number_is_paper(strange: float, photometric: int) -> None:
    for place in range(3):
        levels = [0.0, 0.0, 0.0, 0.0, 1.0, 0.5]
        levels[place] = strange
        data = tiff(6, 3, struct.pack("<6f", *levels) * 3, bits=32, photometric=photometric, tag_339=3)
        black, white = (0, 255) if photometric else (255, 0)
        wanted = [black, black, black, black, white, 128]
        wanted[place] = 255
        assert list(read_one(data).image.tobytes()[:5]) == wanted[:5]


def test_transparency_is_laid_on_white() -> None:
    half = Image.new("RGBA", (4, 4), (0, 0, 200, 128))
    assert read_one(encoded(half, "PNG")).image.getpixel((0, 0)) == (127, 127, 227)
    # one transparent level, in every way that a PNG can have it
    for mode, key, other, white in (
        ("L", 0, 90, 255),
        ("1", 0, 1, 255),
        ("RGB", (0, 0, 0), (9, 80, 90), (255, 255, 255)),
        ("P", 0, 1, (255, 255, 255)),
    ):
        image = Image.new(mode, (4, 4), key)
        if mode == "P":
            image.putpalette([0, 0, 0, 9, 80, 90])
        image.paste(other, (2, 0, 4, 4))
        page = read_one(encoded(image, "PNG", transparency=key)).image
        assert page.getpixel((0, 0)) == white
        assert page.getpixel((3, 0)) == {"L": 90, "1": 255}.get(mode, (9, 80, 90))


def test_premultiplied_alpha_is_laid_on_white() -> None:
    """TIFF's ExtraSamples 1: black that is half seen is stored as 0, white as 128."""
    page = read_one(tiff(3, 3, bytes((0, 128, 128, 128, 0, 0)) * 3, tag_277=2, tag_338=1))
    assert list(page.image.tobytes()[:3]) == [127, 255, 255]


def test_opaque_alpha_changes_nothing() -> None:
    opaque = Image.new("RGBA", (4, 4), (1, 2, 3, 255))
    assert read_one(encoded(opaque, "PNG")).image.getpixel((0, 0)) == (1, 2, 3)


def test_sixteen_bit_grey_with_a_transparent_level() -> None:
    rows = (b"\0" + struct.pack(">4H", 0, 0, 30_000, 30_000)) * 4
    chunks = png_chunk(b"tRNS", b"\0\0") + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    page = read_one(png_header(4, 4, depth=16) + chunks).image
    assert list(page.tobytes()[:4]) == [255, 255, 116, 116]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGB", "CMYK", "P", "YCbCr"])
def test_tiff_modes(mode: str) -> None:
    image = picture().convert("RGB") if mode in ("P", "CMYK", "YCbCr") else picture()
    assert unlike(read_one(encoded(image.convert(mode), "TIFF")).image, picture()) < 3


# --- resolution ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "dpi"),
    [
        ("PNG", {"dpi": (300, 300)}, 300.0),
        ("JPEG", {"dpi": (200, 200)}, 200.0),
        ("TIFF", {"dpi": (600, 600)}, 600.0),
        ("TIFF", {"resolution": 100, "resolution_unit": "cm"}, 254.0),
        ("BMP", {"dpi": (150, 150)}, 150.0),
        ("PNG", {"dpi": (300, 310)}, 305.0),
        ("TIFF", {"dpi": (204, 98)}, 204.0),
        ("TIFF", {"dpi": (300, 72)}, None),
        ("PNG", {"dpi": (2400, 2400)}, None),
        ("TIFF", {"dpi": (1, 1)}, None),
        ("PNG", {"dpi": (20_000, 20_000)}, None),
        ("PNG", {}, None),
        ("JPEG", {}, None),
        ("TIFF", {}, None),
        ("GIF", {}, None),
        ("WEBP", {}, None),
    ],
)
def test_dpi_as_the_file_states_it(kind: str, options: dict[str, Any], dpi: float | None) -> None:
    stated = read_one(encoded(picture(), kind, **options)).dpi
    assert stated == (None if dpi is None else pytest.approx(dpi, abs=0.02))


def test_dpi_of_exif() -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 400, 400, 2
    assert read_one(encoded(picture(), "JPEG", exif=exif)).dpi == 400
    exif[0x011A], exif[0x011B], exif[0x0128] = 100, 100, 3
    assert read_one(encoded(picture(), "WEBP", exif=exif)).dpi == 254


def test_broken_exif_states_no_dpi() -> None:
    """Pillow makes up 72 in this case."""
    data = encoded(picture(), "JPEG")
    broken = data[:2] + jpeg_segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x01") + data[2:]
    with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(BytesIO(broken)) as image:
        assert image.info["dpi"] == (72, 72)
    assert read_one(broken).dpi is None


# --- what must not be swallowed, and what must not leak ----------------------------------------------------------


class TimeIsUpError(Exception):
    """Stands for the exception by which a soft time limit arrives."""


@pytest.mark.parametrize("error", [MemoryError(), TimeIsUpError()])
def test_time_limits_and_want_of_memory_get_through(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def interrupted(self: ImageFile.ImageFile) -> None:
        raise error

    data = encoded(picture(), "PNG")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", interrupted)
    with pytest.raises(type(error)):
        read(data)


def test_pillows_want_of_memory_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(self: ImageFile.ImageFile) -> None:
        raise OSError("out of memory error when reading image file")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", exhausted)
    with pytest.raises(MemoryError):
        read(encoded(picture(), "PNG"))


def test_pillows_switches_and_warning_filters_stay() -> None:
    filters = list(warnings.filters)
    for make, _ in HOSTILE.values():
        try:
            read(make())
        except OcrQueueError:
            continue
    assert warnings.filters == filters
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_only_the_profile_is_left_out_for_its_own_sake() -> None:
    """The orientation beside a profile that cannot be read is still heeded."""
    data = oriented(picture(), 6)
    assert unlike(read_one(data[:2] + jpeg_segment(0xE2, b"ICC_PROFILE\0") + data[2:]).image, picture()) < 3
    png = oriented(picture(), 6, "PNG")
    assert unlike(read_one(png[:33] + png_chunk(b"iCCP", b"broken") + png[33:]).image, picture()) == 0
    huge = png_with_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2_000_000)))
    assert unlike(read_one(huge).image, picture()) == 0


def test_a_profile_that_is_left_out_is_missed() -> None:
    for name in ("garbage_profile_png", "garbage_profile_jpeg"):
        with open_image(HOSTILE[name][0](), SETTINGS) as image:
            image.page(1)
            assert [each.code for each in image.warnings] == ["image.metadata_left_out"]


def every_format() -> dict[str, bytes]:
    page, fax = picture(), picture().convert("1")
    plain = {kind: encoded(page, kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")}
    return plain | {
        "progressive": encoded(page, "JPEG", progressive=True),
        "lossless": encoded(page, "WEBP", lossless=True),
        "lzw": encoded(page, "TIFF", compression="tiff_lzw"),
        "jpeg_in_tiff": encoded(page, "TIFF", compression="jpeg"),
        "fax": encoded(fax, "TIFF", compression="group4"),
        "big_tiff": encoded(page, "TIFF", big_tiff=True),
        **{name: HOSTILE[name][0]() for name in GOOD},
    }


@pytest.mark.parametrize("seed", range(8))
def test_mutations_end_in_a_page_or_an_error_of_ours(seed: int) -> None:
    """1 to 16 changed bytes, half of them in the first 200: 40 mutations of each of some 35 files in all."""
    chance = random.Random(seed)
    settings = limits(image_max_pixels=2_000_000)
    outcomes = set()
    for data in every_format().values():
        for _ in range(5):
            mutated = bytearray(data)
            for _ in range(chance.choice((1, 1, 2, 4, 16))):
                end = len(data) if chance.random() < 0.5 else min(len(data), 200)
                mutated[chance.randrange(end)] = chance.choice((0, 255, chance.randrange(256)))
            try:
                with open_image(bytes(mutated), settings) as image:
                    for number in range(1, image.page_count + 1):
                        assert image.page(number).image.mode in ("L", "RGB")
                outcomes.add("read")
            except OcrQueueError as error:
                outcomes.add(error.code)
    assert outcomes >= {"read", "image.corrupt", "image.truncated", "image.not_recognised"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "lzw", "fax", "progressive"])
def test_no_cut_goes_unnoticed(kind: str) -> None:
    """Wherever a file is cut off before its last pixels, it is called truncated, or unknown where its name is gone.

    A progressive JPEG that lacks its finest data only is read, and says so.
    """
    data = every_format()[kind]
    last_pixels = int(len(data) * 0.9)
    for end in range(1, last_pixels, max(1, last_pixels // 150)):
        try:
            image = open_image(data[:end], SETTINGS)
            page = image.page(image.page_count).image
        except OcrQueueError as error:
            code = error.code
        else:
            code = ""
        assert code in ("image.truncated", "") or (end < 30 and code == "image.not_recognised")
        if not code:
            assert kind == "progressive"
            assert [each.code for each in image.warnings] == ["image.end_missing"]
            assert unlike(page, picture()) < 3


def test_an_animation_that_is_cut_between_two_frames_is_told_of() -> None:
    header, frame = len(gif_with_frames(0)) - 1, 15
    assert warned_of(gif_with_frames(2)) == (2, [])
    assert warned_of(gif_with_frames(2)[: header + frame]) == (1, ["image.end_missing"])


def warned_of(data: bytes) -> tuple[int, list[str]]:
    """How many pages there are, and the codes of the warnings."""
    with open_image(data, SETTINGS) as image:
        return image.page_count, [each.code for each in image.warnings]


def test_a_gif_without_its_trailer_is_good() -> None:
    assert unlike(read_one(encoded(picture(), "GIF")[:-1]).image, picture()) < 1
    with pytest.raises(ImageTruncated):
        open_image(gif_with_frames(0)[:-1], SETTINGS)
