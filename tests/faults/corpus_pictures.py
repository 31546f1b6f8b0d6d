"""Good pictures of every format and coding that the decoder takes: what the malformed ones are made from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw

from tests.support.codecs import JPEG, JPEG_XL, LERC, jpeg_ls, jpeg_xl, rare_jpeg, rare_tiff
from tests.support.hostile_images import (
    WORD,
    adobe_cmyk_jpeg,
    animated_gif,
    animated_png,
    animated_webp,
    encoded,
    lab_tiff,
    multi_page_tiff,
    on_transparency,
    oriented,
    palette_alpha_png,
    picture,
    sixteen_bit,
    stereo_jpeg,
)
from tests.support.pdfs import PdfPage, pdf_of, scan, text_at


@cache
def colored() -> Image.Image:
    """The word in blue on a slope of reds and greens: no two rows alike."""
    image = Image.merge("RGB", [Image.linear_gradient("L").resize(picture().size), picture(), picture()])
    ImageDraw.Draw(image).rectangle((4, 4, 40, 20), fill=(20, 40, 200))
    return image


def _save(kind: str, image: Callable[[], Image.Image] = picture, **options: Any) -> Callable[[], bytes]:
    return lambda: encoded(image(), kind, **options)


def _one_bit() -> Image.Image:
    return picture().convert("1")


def _palette() -> Image.Image:
    return colored().convert("P", palette=Image.Palette.ADAPTIVE)


def _rgba() -> Image.Image:
    return on_transparency("RGB")


def _written(entries: bytes = b"") -> PdfPage:
    return PdfPage(text_at(20, 30, WORD), (230, 80), entries)


def _exif(kind: str) -> Callable[[], bytes]:
    return lambda: oriented(colored(), 6, kind)


_MAKERS: Final[dict[str, dict[str, Callable[[], bytes]]]] = {
    "png": {
        "grey": _save("PNG"),
        "rgb": _save("PNG", colored),
        "rgba": _save("PNG", _rgba),
        "one bit": _save("PNG", _one_bit),
        "palette": _save("PNG", _palette),
        "palette with alpha": palette_alpha_png,
        "16 bit": _save("PNG", sixteen_bit),
        "exif": _exif("PNG"),
        "profile": _save("PNG", icc_profile=bytes(3000)),
        "animated": animated_png,
    },
    "jpeg": {
        "grey": _save("JPEG"),
        "rgb": _save("JPEG", colored, quality=85),
        "4:4:4": _save("JPEG", colored, subsampling=0),
        "progressive": _save("JPEG", colored, progressive=True),
        "restart markers": _save("JPEG", colored, restart_marker_blocks=4),
        "cmyk": adobe_cmyk_jpeg,
        "exif": _exif("JPEG"),
        "profile": _save("JPEG", icc_profile=bytes(70_000)),
        "stereo": stereo_jpeg,
        "12 bit": rare_jpeg,
        "12 bit, rgb": lambda: rare_jpeg(colored()),
        "lossless": lambda: rare_jpeg(bits=16, lossless=True),
        "ls": jpeg_ls,
    },
    "tiff": {
        "raw": _save("TIFF"),
        "rgb": _save("TIFF", colored),
        "16 bit": _save("TIFF", sixteen_bit),
        "lab": lab_tiff,
        "one bit": _save("TIFF", _one_bit),
        "palette": _save("TIFF", _palette),
        "lzw": _save("TIFF", colored, compression="tiff_lzw"),
        "lzw with predictor": _save("TIFF", colored, compression="tiff_lzw", tiffinfo={317: 2}),
        "deflate": _save("TIFF", compression="tiff_adobe_deflate"),
        "zstd": _save("TIFF", compression="zstd"),
        "packbits": _save("TIFF", compression="packbits"),
        "group 3": _save("TIFF", _one_bit, compression="group3"),
        "group 4": _save("TIFF", _one_bit, compression="group4"),
        "jpeg": _save("TIFF", colored, compression="jpeg"),
        "big": _save("TIFF", big_tiff=True),
        "lerc": lambda: rare_tiff(LERC, colored()),
        "lerc of floats, deflated": lambda: rare_tiff(LERC, packing=1, kind="f4"),
        "jpeg xl": lambda: rare_tiff(JPEG_XL, colored()),
        "12 bit jpeg": lambda: rare_tiff(JPEG, kind="u2"),
        "pages": multi_page_tiff,
        "deflated pages": lambda: multi_page_tiff(4, compression="tiff_adobe_deflate"),
    },
    "webp": {
        "lossy": _save("WEBP", colored),
        "lossless": _save("WEBP", colored, lossless=True),
        "alpha": _save("WEBP", _rgba),
        "exif": _exif("WEBP"),
        "animated": animated_webp,
    },
    "gif": {
        "one frame": _save("GIF"),
        "plain": _save("GIF", _palette, interlace=0),
        "transparent": _save("GIF", _palette, transparency=3),
        "animated": animated_gif,
    },
    "bmp": {
        "grey": _save("BMP"),
        "rgb": _save("BMP", colored),
        "one bit": _save("BMP", _one_bit),
        "palette": _save("BMP", _palette),
        "alpha": _save("BMP", _rgba),
    },
    # pillow-heif's own, at quality 60
    "heif": {"rgb": (Path(__file__).parents[1] / "support" / "word.heic").read_bytes},
    "avif": {
        "rgb": _save("AVIF", colored),
        "alpha": _save("AVIF", _rgba),
        "animated": lambda: encoded(picture(), "AVIF", save_all=True, append_images=[picture("second")]),
    },
    "jpeg2000": {
        "grey": _save("JPEG2000"),
        "rgb": _save("JPEG2000", colored, irreversible=True),
        "tiles": _save("JPEG2000", colored, tile_size=(64, 64)),
        "16 bit": _save("JPEG2000", sixteen_bit),
        "codestream": _save("JPEG2000", no_jp2=True),
    },
    "jpegxl": {
        "grey": jpeg_xl,
        "rgb": lambda: jpeg_xl(colored(), boxes=True),
        "16 bit": lambda: jpeg_xl(colored(), 16),
        "alpha": lambda: jpeg_xl(_rgba()),
        "animated": lambda: jpeg_xl(colored(), frames=3),
    },
    "pnm": {
        "one bit": _save("PPM", _one_bit),
        "grey": _save("PPM"),
        "rgb": _save("PPM", colored),
        "16 bit": _save("PPM", sixteen_bit),
        "in digits": lambda: b"P2\n320 96\n255\n" + b" ".join(b"%d" % level for level in picture().tobytes()),
    },
    "pcx": {
        "one bit": _save("PCX", _one_bit),
        "grey": _save("PCX"),
        "rgb": _save("PCX", colored),
        "palette": _save("PCX", _palette),
    },
    "pdf": {
        "text": lambda: pdf_of(_written()),
        "turned": lambda: pdf_of(_written(b"/Rotate 90")),
        "scan": lambda: pdf_of(scan(colored(), "jpeg", 100)),
        "fax": lambda: pdf_of(scan(_one_bit(), "fax", 100)),
        "jbig2": lambda: pdf_of(scan(_one_bit(), "jbig2", 100)),
        "jpeg2000": lambda: pdf_of(scan(picture(), "jpeg2000", 100)),
        "pages": lambda: pdf_of(_written(), scan(picture(), "flate", 100), _written()),
    },
}

FORMATS: Final = tuple(_MAKERS)


def codings(kind: str) -> tuple[str, ...]:
    """The names of the pictures in the format `kind`."""
    return tuple(_MAKERS[kind])


@cache
def good_picture(kind: str, coding: str) -> bytes:
    """A file that is read well, 320 x 96 pixels, `WORD` on it, of one page or a few."""
    return _MAKERS[kind][coding]()
