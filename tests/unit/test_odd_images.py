"""Pictures as people have them: each is read as a viewer shows it, or better; what was wrong with it is said."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps, ImageStat

from ocrqueue.errors import (
    ImageCorrupt,
    ImageNotRecognised,
    ImageTooLarge,
    ImageTruncated,
    ImageUnsupported,
    OcrQueueError,
)
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.images import codecs, heif
from ocrqueue_worker.images.decoding import open_image
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.images.warnings import CODES
from tests.support.codecs import RARE, rare_jpeg, rare_tiff
from tests.support.hostile_images import (
    adobe_cmyk_jpeg,
    cmyk_jpeg,
    encoded,
    jpeg_segment,
    multi_page_tiff,
    oriented,
    picture,
    png_chunk,
    png_header,
    png_with_chunk,
)

SETTINGS = load_worker_settings()
OFFER = 'truncated="read"'
HEIC = (Path(__file__).parents[1] / "support" / "word.heic").read_bytes()


def read(data: bytes, settings: WorkerSettings = SETTINGS, *, truncated: bool = False) -> tuple[PageImage, list[str]]:
    """The first page, and the codes of the warnings."""
    with open_image(data, settings, read_truncated=truncated) as image:
        page = image.page(1)
        assert all(each.code in CODES and "{" not in each.message for each in image.warnings)
        return page, [each.code for each in image.warnings]


def unlike(image: Image.Image, expected: Image.Image) -> float:
    if image.size != expected.size:
        return 255.0
    return float(ImageStat.Stat(ImageChops.difference(image.convert("L"), expected.convert("L"))).mean[0])


def contrast(image: Image.Image) -> float:
    """How far the letters' levels are from those around them, whichever is lighter."""
    grey = image.convert("L")
    ink = ImageOps.invert(picture()).point(lambda level: 255 if level > 200 else 0)
    paper = picture().point(lambda level: 255 if level > 250 else 0)
    return abs(ImageStat.Stat(grey, ink).mean[0] - ImageStat.Stat(grey, paper).mean[0])


# --- transparency ------------------------------------------------------------------------------------------------


def lettering(ink: tuple[int, int, int], hidden: tuple[int, int, int] = (0, 0, 0)) -> Image.Image:
    """The word in `ink`, opaque, all else transparent."""
    image = Image.composite(Image.new("RGB", picture().size, ink), Image.new("RGB", picture().size, hidden), paper())
    image.putalpha(paper())
    return image


def paper() -> Image.Image:
    return ImageOps.invert(picture())


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("ink", "chosen"),
    [((255, 255, 255), True), ((235, 235, 200), True), ((0, 0, 0), False), ((200, 30, 30), False)],
)
def test_letters_on_nothing_are_seen(kind: str, ink: tuple[int, int, int], chosen: bool) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    page, warnings = read(encoded(lettering(ink), kind, **options))
    assert contrast(page.image) > 100
    assert warnings == (["image.background_chosen"] if chosen else [])


def test_black_and_white_letters_on_nothing_are_both_seen() -> None:
    both = lettering((255, 255, 255))
    both.paste((0, 0, 0), (0, 0, 150, 96), both.getchannel("A").crop((0, 0, 150, 96)))
    page, warnings = read(encoded(both, "PNG"))
    assert warnings == ["image.background_chosen"]
    assert page.image.getpixel((0, 0)) == (128, 128, 128)


def test_a_page_with_a_transparent_margin_stays_on_white() -> None:
    page = Image.new("RGBA", (700, 300), (0, 0, 0, 0))
    page.paste(picture().convert("RGBA"), (150, 100))
    shown, warnings = read(encoded(page, "PNG"))
    assert shown.image.getpixel((0, 0)) == (255, 255, 255)
    assert warnings == []


@pytest.mark.parametrize("alpha", [0, 1, 20])
def test_alpha_that_hides_everything_is_an_error_of_the_writers(alpha: int) -> None:
    image = picture().convert("RGB")
    image.putalpha(alpha)
    page, warnings = read(encoded(image, "PNG"))
    assert unlike(page.image, picture()) == 0
    assert warnings == ["image.alpha_ignored"]


def test_alpha_of_one_where_255_is_meant() -> None:
    image = Image.new("RGBA", picture().size, 0)
    image.putalpha(paper().point(lambda level: level // 128))
    assert contrast(read(encoded(image, "PNG"))[0].image) > 150


def test_an_empty_transparent_page_is_white() -> None:
    page, warnings = read(encoded(Image.new("RGBA", (300, 200), (0, 0, 0, 0)), "PNG"))
    assert page.image.getextrema() == ((255, 255),) * 3
    assert warnings == []


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1"])
def test_ink_that_is_declared_transparent_is_seen(mode: str) -> None:
    """The level or palette entry of the letters, or of the paper."""
    bare = picture().point(lambda level: 255 if level > 128 else 0)
    for level in (0, 255):
        image = bare.convert(mode)
        key = image.getcolors()[level // 255][1]
        named = key // 255 if mode == "1" else key
        page, _ = read(encoded(image, "PNG", transparency=named))
        assert contrast(page.image) > 150


# --- levels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_few_bits_in_16_are_stretched(kind: str, bits: int) -> None:
    most = (1 << bits) - 1
    image = picture().convert("I").point(lambda level: level * (most // 255)).convert("I;16")
    page, warnings = read(encoded(image, kind))
    assert contrast(page.image) > 200
    assert warnings == (["image.levels_stretched"] if bits < 16 else [])


@pytest.mark.parametrize(("lowest", "span"), [(30_000, 100), (30_000, 10), (65_000, 31), (29_900, 400), (60_000, 5000)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_narrow_range_in_16_bits_is_stretched_wherever_it_lies(kind: str, lowest: int, span: int) -> None:
    image = picture().convert("I").point(lambda level: level * (span / 255) + lowest)
    for dead in (False, True):
        if dead:
            image.putpixel((1, 1), 65_535)
        page, warnings = read(encoded(image.convert("I;16"), kind))
        assert contrast(page.image) > 200
        assert warnings == ["image.levels_stretched"]


@pytest.mark.parametrize(("level", "noise"), [(30_000, 2), (30_000, 50), (60_000, 200), (65_000, 30)])
def test_the_noise_of_a_blank_page_is_not_stretched(level: int, noise: int) -> None:
    steps = Image.effect_noise((900, 700), 30).convert("F")
    image = steps.point(lambda step: (step - 128.0) * (noise / 30) + level).convert("I").convert("I;16")
    page, warnings = read(encoded(image, "PNG"))
    darkest, lightest = page.image.getextrema()
    assert lightest - darkest < 16
    assert warnings == []


def test_a_single_letter_on_an_empty_page_in_16_bits_stays() -> None:
    """It has fewer pixels than may be dead, and the paper is lighter on one side."""
    paper_level = Image.linear_gradient("L").resize((1500, 1500)).convert("I").point(lambda level: level * 10 + 60_000)
    paper_level.paste(5_000, (700, 700, 706, 730))
    page, warnings = read(encoded(paper_level.convert("I;16"), "PNG"))
    assert page.image.getpixel((703, 715)) < 30
    assert page.image.crop((0, 0, 600, 1500)).getextrema()[0] > 200
    assert warnings == []


def test_a_few_dead_pixels_do_not_darken_a_page() -> None:
    for mode in ("I;16", "F"):
        image = picture().convert("I")
        image.putpixel((1, 1), 60_000)
        page, warnings = read(encoded(image.convert(mode), "TIFF"))
        assert contrast(page.image) > 100
        assert warnings == ["image.levels_stretched"]


@pytest.mark.parametrize("value", [1e9, 1e12, 1e30, -1e30])
def test_a_pixel_of_a_huge_number_does_not_hide_a_page(value: float) -> None:
    image = Image.eval(picture(), lambda level: level).convert("F")
    image.putpixel((1, 1), value)
    page, warnings = read(encoded(image, "TIFF"))
    page.image.putpixel((1, 1), 255)
    assert unlike(page.image, picture()) < 4
    assert warnings == ["image.levels_stretched"]


@pytest.mark.parametrize("value", [-9999.0, -32768.0, -3.4e38, 1e20, 999_999.0])
@pytest.mark.parametrize("share", [20, 3])
def test_pixels_that_stand_for_no_data_are_paper(value: float, share: int) -> None:
    """They stand beside the page."""
    width, height = picture().size
    image = Image.new("F", (width + width // share, height), value)
    image.paste(picture().convert("F"), (0, 0))
    page, warnings = read(encoded(image, "TIFF"))
    assert unlike(page.image.crop((0, 0, width, height)), picture()) < 4
    assert page.image.crop((width, 0, *image.size)).getextrema() == (255, 255)
    assert warnings == ["image.levels_stretched"]


@pytest.mark.parametrize(("ink", "noise"), [(0.0, 0.0), (0.0, 1e-5), (1.0, 1e-5), (-9999.0, 0.0)])
def test_ink_that_is_all_alike_is_data(ink: float, noise: float) -> None:
    """On paper that is all alike, or with a little noise."""
    letters = picture().point(lambda level: 255 * (level < 128))
    image = Image.effect_noise(letters.size, 20).convert("F").point(lambda level: level * noise + 0.5)
    image.paste(ink, mask=letters)
    page, _ = read(encoded(image, "TIFF"))
    assert contrast(page.image) > 200


# --- colors ------------------------------------------------------------------------------------------------------


def colored(ink: tuple[int, int, int], ground: tuple[int, int, int]) -> Image.Image:
    return Image.composite(Image.new("RGB", picture().size, ground), Image.new("RGB", picture().size, ink), picture())


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ((220, 0, 60), (0, 120, 30)),
        ((212, 44, 60), (0, 116, 212)),
        ((0, 130, 0), (150, 56, 150)),
        ((90, 90, 250), (115, 105, 20)),
    ],
)
def test_colors_that_are_equally_light_are_told_apart(
    ink: tuple[int, int, int], ground: tuple[int, int, int], noise: bool
) -> None:
    image = colored(ink, ground)
    assert contrast(image) < 25
    data = encoded(image, "JPEG", quality=90, subsampling=0) if noise else encoded(image, "PNG")
    page, warnings = read(data)
    assert contrast(page.image) > 50
    assert warnings == ["image.colors_alike"]


@pytest.mark.parametrize(
    ("ink", "ground"), [((0, 0, 0), (255, 255, 255)), ((180, 0, 0), (255, 255, 240)), ((255, 255, 0), (0, 0, 90))]
)
def test_colors_that_differ_in_light_stay(ink: tuple[int, int, int], ground: tuple[int, int, int]) -> None:
    page, warnings = read(encoded(colored(ink, ground), "PNG"))
    assert page.image.tobytes() == colored(ink, ground).tobytes()
    assert warnings == []


def test_a_colored_rule_on_a_page_of_black_text_changes_nothing() -> None:
    page = Image.new("RGB", (900, 700), "white")
    draw = ImageDraw.Draw(page)
    for row in range(12):
        draw.text((40, 40 + 50 * row), "black text of the page", fill="black", font=ImageFont.load_default(size=36))
    draw.rectangle((40, 645, 300, 680), fill=(0, 120, 30))
    draw.rectangle((60, 655, 280, 670), fill=(220, 0, 60))
    assert read(encoded(page, "PNG"))[1] == []


# --- CMYK --------------------------------------------------------------------------------------------------------


def without_adobe(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def test_cmyk_without_its_marker_is_read_whichever_way_it_is_stored() -> None:
    inks = Image.merge("CMYK", (*[Image.new("L", picture().size, 0)] * 3, paper()))
    as_they_are = without_adobe(encoded(ImageChops.invert(inks), "JPEG", quality=95))
    for data, warnings in ((cmyk_jpeg(), []), (as_they_are, ["image.cmyk_polarity"]), (adobe_cmyk_jpeg(), [])):
        page, found = read(data)
        assert unlike(page.image, picture()) < 5
        assert found == warnings


# --- sound, but for the frame ------------------------------------------------------------------------------------


def with_wrong_checksum(data: bytes, name: bytes) -> bytes:
    at = data.index(name)
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    return data[:end] + bytes(byte ^ 255 for byte in data[end : end + 4]) + data[end + 4 :]


@pytest.mark.parametrize("name", [b"tEXt", b"gAMA", b"pHYs", b"tIME"])
def test_a_wrong_checksum_costs_the_chunk_and_not_the_picture(name: bytes) -> None:
    body = {b"tEXt": b"k\0v", b"gAMA": struct.pack(">L", 45_455), b"pHYs": struct.pack(">2LB", 9, 9, 1)}
    page, warnings = read(with_wrong_checksum(png_with_chunk(name, body.get(name, bytes(7))), name))
    assert page.image.tobytes() == picture().tobytes()
    assert warnings == ["image.checksum"]


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE"])
def test_a_wrong_checksum_of_what_the_pixels_need_is_damage(name: bytes) -> None:
    with pytest.raises(ImageCorrupt):
        read(with_wrong_checksum(encoded(picture().convert("P"), "PNG"), name))


def test_pixels_that_are_not_what_they_were_are_damage() -> None:
    data = bytearray(encoded(picture(), "PNG"))
    at = data.index(b"IDAT")
    data[at + 200] ^= 16
    with pytest.raises(ImageCorrupt):
        read(bytes(data))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 2_000_000)),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * 2_000_000)),
    ],
)
def test_a_huge_text_is_left_out(name: bytes, body: bytes) -> None:
    page, warnings = read(png_with_chunk(name, body))
    assert page.image.tobytes() == picture().tobytes()
    assert warnings == ["image.metadata_left_out"]


def test_an_end_that_is_missing_is_missed_and_no_more() -> None:
    jpeg, png = encoded(picture(), "JPEG"), encoded(picture(), "PNG")
    for data in (jpeg[:-2], jpeg[:-1], png[:-12], png[:-14]):
        page, warnings = read(data)
        assert unlike(page.image, picture()) < 3
        assert warnings in (["image.end_missing"], [])
    assert read(jpeg[:-2])[1] == ["image.end_missing"]


@cache
def tall() -> Image.Image:
    """No part of it is flat: what is missing is a share of the bytes as of the rows."""
    page = Image.effect_noise((400, 2400), 60)
    page.paste(picture(), (40, 40))
    return page


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_last_percent_may_be_missing_and_is_white(kind: str) -> None:
    data = encoded(tall(), kind)
    page, warnings = read(data[: int(len(data) * 0.995)])
    assert warnings == ["image.end_missing"]
    assert page.image.crop((0, 2395, 400, 2400)).getextrema() == (255, 255)
    assert unlike(page.image.crop((0, 0, 400, 2370)), tall().crop((0, 0, 400, 2370))) < 20


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.97])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_is_cut_off_is_refused_or_read_as_far_as_it_is_there(kind: str, share: float) -> None:
    data = encoded(tall(), kind)[: int(len(encoded(tall(), kind)) * share)]
    with pytest.raises(ImageTruncated) as refused:
        read(data)
    assert OFFER in refused.value.info.remedy
    with open_image(data, SETTINGS, read_truncated=True) as image:
        page = image.page(1)
        assert image.truncated[1].code == "image.truncated"
        assert OFFER not in image.truncated[1].remedy, "it was asked for"
        assert [each.code for each in image.warnings] == ["image.part_missing"]
    there = int(2400 * share * 0.95) - 16
    assert unlike(page.image.crop((0, 0, 400, there)), tall().crop((0, 0, 400, there))) < 20
    assert page.image.crop((0, int(2400 * min(share + 0.08, 0.995)), 400, 2400)).getextrema() == (255, 255)


@pytest.mark.parametrize("kind", ["PPM", "PCX", "BMP", "GIF", "JPEG2000", "WEBP", "AVIF"])
@pytest.mark.parametrize("asked", [False, True])
def test_reading_in_part_is_not_offered_where_it_is_not_done(kind: str, asked: bool) -> None:
    whole = encoded(tall(), kind)
    with pytest.raises(OcrQueueError) as refused:
        read(whole[: int(len(whole) * 0.7)], truncated=asked)
    assert OFFER not in refused.value.info.remedy


@pytest.mark.parametrize("asked", [False, True])
def test_reading_in_part_is_not_offered_where_nothing_is_there(asked: bool) -> None:
    with pytest.raises(OcrQueueError) as refused:
        read(encoded(tall(), "PNG")[:50], truncated=asked)
    assert OFFER not in refused.value.info.remedy


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
def test_a_tiff_that_is_cut_off(compression: str | None) -> None:
    """The directory stands first, as of a file that a scanner streams."""
    rows = [tall().crop((0, top, 400, top + 100)) for top in range(0, 2400, 100)]
    packed = [row.tobytes() if compression is None else zlib.compress(row.tobytes()) for row in rows]
    code = {None: 1, "tiff_adobe_deflate": 8}[compression]
    tags = {256: (400,), 257: (2400,), 258: (8,), 259: (code,), 277: (1,), 278: (100,)}
    whole = tiff(tags, *packed)
    assert read(whole)[1] == []
    data = whole[: int(len(whole) * 0.6)]
    with pytest.raises(ImageTruncated) as refused:
        read(data)
    assert OFFER in refused.value.info.remedy
    page, warnings = read(data, truncated=True)
    assert warnings == ["image.part_missing"]
    assert page.image.size == (400, 2400)
    assert page.image.crop((0, 0, 400, 1300)).tobytes() == tall().crop((0, 0, 400, 1300)).tobytes()
    assert page.image.crop((0, 1500, 400, 2400)).getextrema() == (255, 255)
    if compression is None:
        page, warnings = read(whole[:-4000])
        assert warnings == ["image.end_missing"]
        assert page.image.crop((0, 0, 400, 2390)).tobytes() == tall().crop((0, 0, 400, 2390)).tobytes()


# --- unusual codings ---------------------------------------------------------------------------------------------


def tiff(tags: dict[int, tuple[int, ...]], *strips: bytes) -> bytes:
    """A little-endian TIFF of these strips or tiles, its directory first."""
    places = 324 if 322 in tags else 273
    sizes = tuple(len(strip) for strip in strips)
    tags = {259: (1,), 262: (1,), places: (0,) * len(strips), {273: 279, 324: 325}[places]: sizes} | tags
    bodies = {tag: _values(tag, values) for tag, values in tags.items()}
    at = 8 + 2 + 12 * len(tags) + 4
    first = at + sum(len(body) for body in bodies.values() if len(body) > 4)
    tags[places] = tuple(first + sum(sizes[:number]) for number in range(len(strips)))
    entries, more = b"", b""
    for tag, values in sorted(tags.items()):
        body = _values(tag, values)
        place = struct.pack("<L", at + len(more)) if len(body) > 4 else body.ljust(4, b"\0")
        entries += struct.pack("<HHL", tag, 3 if tag in _SHORTS else 4, len(values)) + place
        more += body if len(body) > 4 else b""
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + more + b"".join(strips)


_SHORTS = (258, 338, 339)


def _values(tag: int, values: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(values)}{'H' if tag in _SHORTS else 'L'}", *values)


def planes(*bands: Image.Image) -> bytes:
    return b"".join(bytes(pixel) for pixel in zip(*(band.tobytes() for band in bands), strict=True))


SIZE = {256: (320,), 257: (96,), 278: (96,)}


def test_channels_beyond_the_colors_are_left_out() -> None:
    none, full = Image.new("L", (320, 96), 0), Image.new("L", (320, 96), 255)
    cmyka = tiff(SIZE | {258: (8,) * 5, 262: (5,), 277: (5,), 338: (1,)}, planes(none, none, none, paper(), full))
    assert unlike(read(cmyka)[0].image, picture()) < 2
    rgbxx = tiff(SIZE | {258: (8,) * 5, 262: (2,), 277: (5,), 338: (0, 2)}, planes(*[picture()] * 3, full, none))
    assert unlike(read(rgbxx)[0].image, picture()) < 2


@pytest.mark.parametrize(("bits", "letter", "form"), [(16, "H", 1), (32, "f", 3), (32, "L", 1)])
def test_wide_channels_side_by_side(bits: int, letter: str, form: int) -> None:
    scale = {"H": 257, "f": 1 / 255, "L": 16_843_009}[letter]
    top = {"H": 65_535, "f": 1.0, "L": 2**31 - 1}[letter]
    values = [
        min(level * scale, top) if letter == "f" else int(min(level * scale, top)) for level in picture().tobytes()
    ]
    for channels, photometric in ((2, 1), (3, 2)):
        if (bits, channels) == (16, 3):
            continue  # Pillow's own
        rows = [value for level in values for value in ([level, top] if channels == 2 else [level] * 3)]
        tags = SIZE | {258: (bits,) * channels, 262: (photometric,), 277: (channels,), 339: (form,) * channels}
        data = tiff(tags | ({338: (2,)} if channels == 2 else {}), struct.pack(f"<{len(rows)}{letter}", *rows))
        page, _ = read(data)
        assert contrast(page.image) > 100


@pytest.mark.parametrize(("bits", "letter", "form"), [(16, "H", 1), (32, "f", 3), (32, "L", 1)])
def test_wide_channels_in_planes_and_in_tiles(bits: int, letter: str, form: int) -> None:
    unit = {"H": 257, "f": 1.0, "L": 16_843_009}[letter]
    plane = struct.pack(f"<{320 * 96}{letter}", *(level * unit for level in picture().tobytes()))
    full = struct.pack(f"<{320 * 96}{letter}", *[255 * unit] * (320 * 96))
    wide = {258: (bits,) * 2, 277: (2,), 338: (2,), 339: (form,) * 2}
    assert unlike(read(tiff(SIZE | wide | {284: (2,)}, plane, full))[0].image, picture()) < 2
    rgb = {258: (bits,) * 3, 262: (2,), 277: (3,), 339: (form,) * 3}
    assert unlike(read(tiff(SIZE | rgb | {284: (2,)}, full, plane, full))[0].image, picture()) < 2
    size = bits // 8
    tiles = []
    for top in range(0, 96, 32):
        for left in range(0, 320, 64):
            values = b""
            for row in range(top, top + 32):
                for column in range(left, left + 64):
                    place = (row * 320 + column) * size
                    values += plane[place : place + size] + full[:size]
            tiles.append(values)
    tiled = {256: (320,), 257: (96,), 322: (64,), 323: (32,)}
    assert unlike(read(tiff(tiled | wide, *tiles))[0].image, picture()) < 2


def test_unsigned_numbers_of_32_bits_are_not_taken_for_signed() -> None:
    data = struct.pack("<30720L", *(level * 16_843_009 for level in picture().tobytes()))
    assert unlike(read(tiff(SIZE | {258: (32,)}, data))[0].image, picture()) < 2


@pytest.mark.parametrize(("compression", "kind"), [(50001, "WEBP"), (34712, "JPEG2000"), (34933, "PNG")])
def test_files_within_a_tiff(compression: int, kind: str) -> None:
    tags = SIZE | {258: (8, 8, 8), 259: (compression,), 262: (2,), 277: (3,)}
    page, _ = read(tiff(tags, encoded(picture().convert("RGB"), kind)))
    assert unlike(page.image, picture()) < 5
    with pytest.raises((ImageTruncated, ImageUnsupported, ImageCorrupt)):
        read(tiff(tags, encoded(picture().convert("RGB"), kind))[:-300])
    larger = encoded(Image.new("RGB", (5000, 5000)), kind)
    with pytest.raises((ImageUnsupported, ImageCorrupt)):
        read(tiff(tags, larger))


@pytest.mark.parametrize(
    ("compression", "name"), [(34661, "JBIG"), (34934, "JPEG XR"), (34676, "SGI Log"), (999, "999")]
)
def test_a_coding_that_is_not_read_is_named(compression: int, name: str) -> None:
    data = tiff(SIZE | {258: (8,), 259: (compression,), 277: (1,)}, bytes(500))
    with pytest.raises(ImageUnsupported, match=name) as caught:
        read(data)
    assert name in str(caught.value.info.details["coding"])
    assert "Save it as" in caught.value.info.remedy


@pytest.mark.parametrize(
    ("marker", "precision", "name"),
    [(0xC5, 8, "hierarchical"), (0xC1, 12, "12-bit JPEG of 4 channels"), (0xC3, 8, "lossless JPEG of 4 channels")],
)
def test_a_jpeg_that_is_not_read_is_named(marker: int, precision: int, name: str) -> None:
    channels = b"".join(bytes((number, 0x11, 0)) for number in range(1, 5))
    frame = jpeg_segment(marker, struct.pack(">B2HB", precision, 96, 320, 4) + channels)
    scan = jpeg_segment(0xDA, b"\1\1\0\0\x3f\0") + bytes(200)
    with pytest.raises(ImageUnsupported, match=name):
        read(b"\xff\xd8" + frame + scan + b"\xff\xd9")


@pytest.mark.parametrize("coding", RARE)
def test_a_coding_of_imagecodecs_is_read_where_it_is_installed(coding: str) -> None:
    pytest.importorskip("imagecodecs")
    data = RARE[coding]()
    page, warnings = read(data)
    assert unlike(page.image, picture()) < 3
    assert warnings == []
    with pytest.raises(ImageTooLarge):
        read(data, load_worker_settings(image_max_pixels=320 * 96 - 1))
    for share in (0.3, 0.7):
        with pytest.raises((ImageTruncated, ImageCorrupt)):
            read(data[: int(len(data) * (share if "frames" not in coding else share / 2))])


def test_a_rare_jpeg_is_turned_upright_and_its_levels_are_stretched() -> None:
    pytest.importorskip("imagecodecs")
    data = rare_jpeg(bits=12)
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = data[:2] + jpeg_segment(0xE1, b"Exif\0\0" + exif.tobytes()) + data[2:]
    assert unlike(read(turned)[0].image, picture().transpose(Image.Transpose.ROTATE_180)) < 3
    dark = picture().point(lambda level: level // 12)
    page, warnings = read(rare_jpeg(dark, bits=12))
    assert contrast(page.image) > 150
    assert warnings == ["image.levels_stretched"]


@pytest.mark.parametrize("coding", ["JPEG of 12 bits", "lossless JPEG", "JPEG-LS", "JPEG XL", "LERC"])
def test_without_imagecodecs_the_coding_is_named_and_what_to_install(
    coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("imagecodecs")
    data = RARE[coding]()
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    with pytest.raises(ImageUnsupported, match=coding.replace("JPEG of 12 bits", "12-bit JPEG")) as caught:
        read(data)
    assert "ocrqueue-worker[codecs]" in caught.value.info.remedy


def test_a_part_of_another_size_than_its_tiff_states_takes_no_memory() -> None:
    pytest.importorskip("imagecodecs")
    whole = rare_tiff(34887)
    for tag, value in ((256, 300), (278, 39), (258, 16)):
        at = whole.index(struct.pack("<HHL", tag, 4, 1)) + 8
        with pytest.raises(ImageCorrupt):
            read(whole[:at] + struct.pack("<L", value) + whole[at + 4 :])


# --- TIFF's other images -----------------------------------------------------------------------------------------


def with_tag(data: bytes, page: int, tag: int, value: int) -> bytes:
    """Page `page`, from 0, has this tag in the place of its first one, which must be a LONG of one value."""
    offset = int.from_bytes(data[4:8], "little")
    for _ in range(page):
        count = int.from_bytes(data[offset : offset + 2], "little")
        offset = int.from_bytes(data[offset + 2 + 12 * count :][:4], "little")
    entry = struct.pack("<HHLL", tag, 4, 1, value)
    count = int.from_bytes(data[offset : offset + 2], "little")
    entries = data[offset + 2 : offset + 2 + 12 * count]
    following = data[offset + 2 + 12 * count :][:4]
    moved = struct.pack("<H", count + 1) + entry + entries + following
    at = len(data) + len(data) % 2
    pointers = [4]
    walk = int.from_bytes(data[4:8], "little")
    while walk:
        here = int.from_bytes(data[walk : walk + 2], "little")
        pointers.append(walk + 2 + 12 * here)
        walk = int.from_bytes(data[pointers[-1] :][:4], "little")
    changed = bytearray(data.ljust(at, b"\0") + moved)
    changed[pointers[page] : pointers[page] + 4] = struct.pack("<L", at)
    return bytes(changed)


@pytest.mark.parametrize("kind", [1, 4, 5])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_thumbnails_and_masks_are_no_pages(kind: int, which: int) -> None:
    data = with_tag(multi_page_tiff(), which, 254, kind)
    with open_image(data, SETTINGS) as image:
        assert image.page_count == 2
        kept = [number for number in range(3) if number != which]
        for place, number in enumerate(kept, start=1):
            assert unlike(image.page(place).image, picture(f"Page {number + 1}")) < 1


def test_a_page_of_a_series_is_a_page() -> None:
    assert open_image(with_tag(multi_page_tiff(), 1, 254, 2), SETTINGS).page_count == 3


def test_a_file_of_nothing_but_a_thumbnail_is_read() -> None:
    assert open_image(with_tag(encoded(picture(), "TIFF"), 0, 254, 1), SETTINGS).page_count == 1


def test_thumbnails_do_not_count_against_the_limit_of_pages() -> None:
    data = with_tag(multi_page_tiff(), 0, 254, 1)
    assert open_image(data, load_worker_settings(image_max_pages=2)).page_count == 2


# --- pixels that are not square ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dpi", "size"),
    [((204, 98), (320, 200)), ((204, 391), (613, 96)), ((200, 100), (320, 192)), ((204, 196), None), ((300, 72), None)],
)
def test_fax_pixels_are_made_square(dpi: tuple[int, int], size: tuple[int, int] | None) -> None:
    page, warnings = read(encoded(picture().convert("1"), "TIFF", compression="group4", dpi=dpi))
    assert page.image.size == (size or (320, 96))
    assert page.file_size == ((320, 96) if size else None)
    assert page.dpi == (max(dpi) if size else 200.0 if dpi == (204, 196) else None)
    assert warnings == (["image.pixels_squared"] if size else [])


def test_fax_pixels_of_a_page_that_lies_on_its_side() -> None:
    data = oriented(picture(), 6, "TIFF", dpi=(98, 204))
    page, _ = read(data)
    assert page.file_size == (320, 96)
    assert page.image.size == (320, 200)


def test_a_page_that_would_be_too_large_is_made_square_by_shrinking() -> None:
    data = encoded(Image.new("L", (1000, 900), 255), "TIFF", dpi=(204, 98))
    page, _ = read(data, load_worker_settings(image_max_pixels=1_000_000))
    assert page.image.size == (480, 900)
    assert page.file_size == (1000, 900)


# --- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PPM", "PCX"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_more_formats(kind: str, mode: str) -> None:
    page, warnings = read(encoded(picture().convert(mode), kind))
    assert unlike(page.image, picture()) < 5
    assert warnings == []


def test_kinds_of_netpbm() -> None:
    bare = b"P2 # by hand\n# and foot\n320 96\n255\n" + b" ".join(b"%d" % level for level in picture().tobytes())
    assert unlike(read(bare)[0].image, picture()) == 0
    wide = picture().convert("I").point(lambda level: level * 257).convert("I;16")
    assert unlike(read(encoded(wide, "PPM"))[0].image, picture()) < 2
    assert unlike(read(encoded(picture().convert("1"), "PPM"))[0].image, picture()) < 20


def test_frames_of_an_avif() -> None:
    data = encoded(picture(), "AVIF", save_all=True, append_images=[picture("second")])
    with open_image(data, SETTINGS) as image:
        assert image.page_count == 2
        assert unlike(image.page(2).image, picture("second")) < 5
        assert unlike(image.page(1).image, picture()) < 5


def test_a_bare_jpeg_2000_codestream_and_16_bits() -> None:
    assert unlike(read(encoded(picture(), "JPEG2000", no_jp2=True))[0].image, picture()) < 2
    wide = picture().convert("I").point(lambda level: level * 257).convert("I;16")
    assert unlike(read(encoded(wide, "JPEG2000"))[0].image, picture()) < 2


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PPM", "PCX"])
def test_more_formats_have_the_same_limits(kind: str) -> None:
    data = encoded(picture(), kind)
    with pytest.raises(ImageTooLarge):
        open_image(data, load_worker_settings(image_max_pixels=320 * 96 - 1))
    with pytest.raises((ImageTruncated, ImageCorrupt)):
        read(data[: len(data) * 2 // 3])


def test_heic_is_read_where_its_package_is_installed() -> None:
    pytest.importorskip("pillow_heif")
    page, warnings = read(HEIC)
    assert unlike(page.image, picture()) < 5
    assert warnings == []
    with pytest.raises(ImageTooLarge):
        open_image(HEIC, load_worker_settings(image_max_pixels=1000))
    with pytest.raises((ImageTruncated, ImageCorrupt)):
        read(HEIC[: len(HEIC) * 2 // 3])


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    heif.prepare_heif.cache_clear()
    try:
        with pytest.raises(ImageUnsupported) as caught:
            open_image(HEIC, SETTINGS)
        assert "ocrqueue-worker[heif]" in caught.value.info.remedy
    finally:
        heif.prepare_heif.cache_clear()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"8BPS\0\1" + bytes(90), "Photoshop"),
        (b"AT&TFORM" + bytes(90), "DjVu"),
        (bytes(128) + b"DICM" + bytes(90), "DICOM"),
        (b"II\xbc\x01" + bytes(90), "JPEG XR"),
        (b"P7\nWIDTH 9\n", "PAM"),
        (b"\0\0\1\0\1\0" + bytes(90), "icon"),
        (b"\x1f\x8b\x08" + bytes(90), "gzip"),
        (b'{"error": "denied"}', "JSON"),
        (b"data:image/png;base64,iVBORw0KGgo", "base64"),
        (b"iVBORw0KGgoAAAANSUhEUg", "base64"),
        (b"\0\0\0\x18ftypmp42" + bytes(90), "video"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "HTML"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(ImageNotRecognised, match=name):
        open_image(data, SETTINGS)


# --- resolution --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dpi", "stated"), [(2400, None), (1200, None), (1, None), (300, 300.0), (72, 72.0)])
def test_a_resolution_that_cannot_be_right_is_not_stated(dpi: int, stated: float | None) -> None:
    page, warnings = read(encoded(picture(), "PNG", dpi=(dpi, dpi)))
    assert page.dpi == (None if stated is None else pytest.approx(stated, abs=0.1))
    assert warnings == (["image.resolution_ignored"] if dpi >= 1200 else [])


def test_a_stream_of_pixels_is_not_loaded_twice() -> None:
    """What mends a file works once: what it cannot mend ends in the error that there was."""
    short = png_header(40, 100) + png_chunk(b"IDAT", zlib.compress(bytes(41 * 10))) + png_chunk(b"IEND", b"")
    with open_image(short, SETTINGS) as image:
        for _ in range(3):
            with pytest.raises(ImageTruncated):
                image.page(1)
    assert BytesIO(short).read()
