"""Image files as the world sends them: broken ones, traps, and odd ones that are good all the same.

`HOSTILE` maps a name to the maker of the file's bytes and the code of the error that it must end in, None where it
must be read well. All that must be read well show the word `WORD`. Files in `PARTIAL` have good pages too: the code
is that of the bad one. The codes hold for the default settings.
"""

from __future__ import annotations

import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

WORD = "Hello 42"

_UNDO_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def picture(text: str = WORD) -> Image.Image:
    """`text` in black on white, mode "L", 320 x 96 pixels."""
    image = Image.new("L", (320, 96), 255)
    ImageDraw.Draw(image).text((24, 16), text, fill=0, font=ImageFont.load_default(size=48))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# --- PNG -------------------------------------------------------------------------------------------------------


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int, depth: int = 8, color_type: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))


def tiny_png(width: int, height: int) -> bytes:
    """A PNG of the given size in grey whose data would fill one row at most."""
    data = png_chunk(b"IDAT", zlib.compress(bytes(1 + min(width, 1000))))
    return png_header(width, height) + data + png_chunk(b"IEND", b"")


def png_with_chunk(name: bytes, body: bytes) -> bytes:
    """A good PNG with one more chunk after its header."""
    good = encoded(picture(), "PNG")
    return good[:33] + png_chunk(name, body) + good[33:]


def palette_alpha_png() -> bytes:
    """The word in palette entry 1 on an entry that is black and fully transparent."""
    image = Image.new("P", picture().size, 0)
    image.putpalette([0, 0, 0, 20, 20, 120])
    image.paste(1, mask=ImageOps.invert(picture()))
    return encoded(image, "PNG", transparency=b"\x00\xff")


def on_transparency(mode: str) -> Image.Image:
    """The word in black, opaque, on black that is transparent: seen only when laid on white."""
    image = Image.new(mode, picture().size, 0)
    image.putalpha(ImageOps.invert(picture()))
    return image


def sixteen_bit() -> Image.Image:
    """The word at level 2000 on 65000, of 65535."""
    return picture().convert("I").point(lambda level: level * 247 + 2000).convert("I;16")


def animated_png() -> bytes:
    return encoded(picture(), "PNG", save_all=True, append_images=[picture("second")], default_image=True)


# --- JPEG ------------------------------------------------------------------------------------------------------


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg_with_segment(marker: int, body: bytes) -> bytes:
    good = encoded(picture(), "JPEG", quality=90)
    return good[:2] + jpeg_segment(marker, body) + good[2:]


def adobe_cmyk_jpeg() -> bytes:
    """CMYK with Adobe's marker, inks stored inverted as Photoshop does."""
    black = ImageOps.invert(picture())
    none = Image.new("L", black.size, 0)
    return encoded(Image.merge("CMYK", (none, none, none, black)), "JPEG", quality=95)


def cmyk_jpeg() -> bytes:
    """The same without the marker: inverted all the same, as viewers take it."""
    data = adobe_cmyk_jpeg()
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def oriented(image: Image.Image, orientation: int, kind: str = "JPEG", **options: Any) -> bytes:
    """A file that shows `image` once its EXIF orientation (1 to 8) is heeded."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    method = _UNDO_ORIENTATION.get(orientation)
    stored = image if method is None else image.transpose(method)
    return encoded(stored, kind, exif=exif, **options)


def stereo_jpeg() -> bytes:
    """MPO: two views in one file."""
    return encoded(picture(), "MPO", save_all=True, append_images=[picture("second")])


# --- TIFF ------------------------------------------------------------------------------------------------------


def multi_page_tiff(pages: int = 3, **options: Any) -> bytes:
    images = [picture(f"Page {number}") for number in range(1, pages + 1)]
    return encoded(images[0], "TIFF", save_all=True, append_images=images[1:], **options)


def tiff_directory_offsets(data: bytes) -> list[tuple[int, int]]:
    """For each page of a little-endian TIFF: where its directory is, and where the pointer to the next one is."""
    found = []
    offset = int.from_bytes(data[4:8], "little")
    while offset:
        entries = int.from_bytes(data[offset : offset + 2], "little")
        pointer = offset + 2 + 12 * entries
        found.append((offset, pointer))
        offset = int.from_bytes(data[pointer : pointer + 4], "little")
    return found


def looped_tiff() -> bytes:
    """Two pages; the second one's next page is the first."""
    data = bytearray(encoded(picture(), "TIFF", save_all=True, append_images=[picture()]))
    (first, _), (_, pointer) = tiff_directory_offsets(bytes(data))
    data[pointer : pointer + 4] = first.to_bytes(4, "little")
    return bytes(data)


def tiff_with_broken_page(page: int = 2) -> bytes:
    """Three pages; the compressed data of one is overwritten."""
    data = multi_page_tiff(compression="tiff_adobe_deflate")
    with Image.open(BytesIO(data)) as image:
        image.seek(page - 1)
        tags = image.tag_v2  # type: ignore[attr-defined]  # a TIFF has it
        at, size = tags[273][0], tags[279][0]
    return data[:at] + b"\xaa" * size + data[at + size :]


def lab_tiff() -> bytes:
    """CIE L*a*b* without color: lightness is the picture."""
    neutral = Image.new("L", picture().size, 128)
    return encoded(Image.merge("LAB", (picture(), neutral, neutral)), "TIFF")


def tiff_bomb() -> bytes:
    """A header that claims 60,000 x 60,000 pixels."""
    data = bytearray(encoded(Image.new("L", (8, 8), 255), "TIFF"))
    (directory, pointer) = tiff_directory_offsets(bytes(data))[0]
    for at in range(directory + 2, pointer, 12):
        if int.from_bytes(data[at : at + 2], "little") in (256, 257, 278):
            data[at + 2 : at + 12] = struct.pack("<HLL", 4, 1, 60_000)
    return bytes(data)


# --- GIF, WebP, BMP --------------------------------------------------------------------------------------------


def gif_with_frames(frames: int, size: tuple[int, int] = (8, 8), frame_size: tuple[int, int] = (1, 1)) -> bytes:
    """A GIF whose frames take 15 bytes each."""
    header = b"GIF89a" + struct.pack("<2H", *size) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<4H", 0, 0, *frame_size) + b"\0\x02\x02\x44\x01\0"
    return header + frame * frames + b";"


def gif_bomb_by_frame() -> bytes:
    """A screen of 8 x 8 pixels and a small frame, then one of 12,000 x 12,000."""
    return gif_with_frames(1)[:-1] + gif_with_frames(1, frame_size=(12_000, 12_000))[19:]


def animated_gif() -> bytes:
    """The word, then a frame that adds a dot in its corner only, then one that takes the place of all."""
    with_dot = picture()
    with_dot.paste(0, (300, 80, 310, 90))
    return encoded(picture(), "GIF", save_all=True, append_images=[with_dot, picture("third")], duration=100)


def animated_webp() -> bytes:
    images = [picture(text).convert("RGB") for text in (WORD, "second", "third")]
    return encoded(images[0], "WEBP", save_all=True, append_images=images[1:], lossless=True, duration=100)


def webp_bomb() -> bytes:
    """A lossless WebP header of 12,000 x 12,000 pixels: few bytes, 550 MiB once decoded."""
    body = b"\x2f" + struct.pack("<I", 11_999 | 11_999 << 14) + bytes(51)
    chunk = b"WEBPVP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk)) + chunk


def zero_height_bmp() -> bytes:
    data = bytearray(encoded(picture(), "BMP"))
    data[22:26] = bytes(4)
    return bytes(data)


# --- not images ------------------------------------------------------------------------------------------------


def zip_archive() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("page.png", encoded(picture(), "PNG"))
    return buffer.getvalue()


def _cut(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


HOSTILE: dict[str, tuple[Callable[[], bytes], str | None]] = {
    # nothing, or no image
    "empty": (lambda: b"", "image.empty"),
    "text_named_png": (lambda: b"This is not a picture.\n", "image.not_recognised"),
    "text_like_bmp": (lambda: b"BM is how this text begins, and yet it is no picture.\n", "image.not_recognised"),
    "svg": (
        lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><text>Hello 42</text></svg>',
        "image.not_recognised",
    ),
    "html": (lambda: b"<!DOCTYPE html><html><title>Log in</title></html>", "image.not_recognised"),
    "zip": (zip_archive, "image.not_recognised"),
    "random_bytes": (lambda: random.Random(0).randbytes(5000), "image.not_recognised"),
    # cut off
    "truncated_png": (lambda: _cut(encoded(picture(), "PNG")), "image.truncated"),
    "truncated_png_header": (lambda: encoded(picture(), "PNG")[:20], "image.truncated"),
    "truncated_jpeg": (lambda: _cut(encoded(picture(), "JPEG")), "image.truncated"),
    "truncated_jpeg_header": (lambda: encoded(picture(), "JPEG")[:100], "image.truncated"),
    "truncated_gif": (lambda: _cut(encoded(picture(), "GIF")), "image.truncated"),
    "truncated_webp": (lambda: _cut(encoded(picture(), "WEBP")), "image.truncated"),
    "truncated_bmp": (lambda: _cut(encoded(picture(), "BMP")), "image.truncated"),
    "truncated_tiff": (lambda: _cut(encoded(picture(), "TIFF")), "image.truncated"),
    "truncated_tiff_lzw": (lambda: _cut(encoded(picture(), "TIFF", compression="tiff_lzw")), "image.truncated"),
    "truncated_tiff_header": (lambda: encoded(picture(), "TIFF")[:12], "image.truncated"),
    # of impossible size, or a trap
    "one_by_one": (lambda: encoded(Image.new("L", (1, 1)), "PNG"), "image.too_small"),
    "zero_height_png": (lambda: tiny_png(100, 0), "image.corrupt"),
    "zero_height_bmp": (zero_height_bmp, "image.corrupt"),
    "zero_size_gif": (lambda: gif_with_frames(1, (0, 0), (0, 0)), "image.corrupt"),
    "png_bomb_60000": (lambda: tiny_png(60_000, 60_000), "image.too_large"),
    "png_just_too_large": (lambda: tiny_png(10_000, 10_000), "image.too_large"),
    "tiff_bomb": (tiff_bomb, "image.too_large"),
    "webp_bomb": (webp_bomb, "image.too_large"),
    "gif_bomb": (lambda: gif_with_frames(1, (65_535, 65_535)), "image.too_large"),
    "gif_bomb_by_frame": (gif_bomb_by_frame, "image.too_large"),
    "gif_many_frames": (lambda: gif_with_frames(20_000), "image.too_many_pages"),
    "text_chunk_bomb": (
        lambda: png_with_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000))),
        None,  # never unpacked
    ),
    "tiff_broken_second_page": (tiff_with_broken_page, "image.corrupt"),
    # odd and good
    "tiff_looped": (looped_tiff, None),
    "cmyk_jpeg": (cmyk_jpeg, None),
    "adobe_cmyk_jpeg": (adobe_cmyk_jpeg, None),
    "cmyk_tiff": (lambda: encoded(picture().convert("RGB").convert("CMYK"), "TIFF"), None),
    "lab_tiff": (lab_tiff, None),
    "sixteen_bit_png": (lambda: encoded(sixteen_bit(), "PNG"), None),
    "sixteen_bit_tiff": (lambda: encoded(sixteen_bit(), "TIFF"), None),
    "float_tiff": (lambda: encoded(picture().convert("F").point(lambda level: level / 255), "TIFF"), None),
    "integer_tiff": (lambda: encoded(picture().convert("I").point(lambda level: level * 4_000_000), "TIFF"), None),
    "palette_alpha_png": (palette_alpha_png, None),
    "rgba_png": (lambda: encoded(on_transparency("RGB"), "PNG"), None),
    "la_png": (lambda: encoded(on_transparency("L"), "PNG"), None),
    "one_bit_png": (lambda: encoded(picture().convert("1"), "PNG"), None),
    "one_bit_tiff_fax": (lambda: encoded(picture().convert("1"), "TIFF", compression="group4"), None),
    "exif_rotated_jpeg": (lambda: oriented(picture(), 6), None),
    "animated_gif": (animated_gif, None),
    "animated_webp": (animated_webp, None),
    "animated_png": (animated_png, None),
    "stereo_jpeg": (stereo_jpeg, None),
    "multi_page_tiff": (lambda: encoded(picture(), "TIFF", save_all=True, append_images=[picture(), picture()]), None),
    "garbage_profile_png": (lambda: png_with_chunk(b"iCCP", b"no null, no method"), None),
    "garbage_profile_jpeg": (lambda: jpeg_with_segment(0xE2, b"ICC_PROFILE\0"), None),
    "garbage_exif_png": (lambda: png_with_chunk(b"eXIf", random.Random(1).randbytes(200)), None),
    "garbage_exif_jpeg": (lambda: jpeg_with_segment(0xE1, b"Exif\0\0" + random.Random(2).randbytes(200)), None),
}

PARTIAL = frozenset({"tiff_broken_second_page"})
