"""The image of a page as an object of a PDF: JPEGs and fax by their own bytes, all others without loss."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import Final

from PIL import Image

from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.document.formats.pdf_tiff import as_fax, fax_of_tiff, jpeg_of_tiff

_ORIENTATION_TAG: Final = 0x0112
_LEVEL: Final = 6
_COLOURS: Final = {"1": "DeviceGray", "L": "DeviceGray", "RGB": "DeviceRGB", "CMYK": "DeviceCMYK"}

Matrix = tuple[float, float, float, float, float, float]

# From the unit square of a PDF's image, y up, to that of the page as a viewer shows it.
_ORIENTED: Final[dict[int, Matrix]] = {
    1: (1, 0, 0, 1, 0, 0),
    2: (-1, 0, 0, 1, 1, 0),
    3: (-1, 0, 0, -1, 1, 1),
    4: (1, 0, 0, -1, 0, 1),
    5: (0, -1, -1, 0, 1, 1),
    6: (0, -1, 1, 0, 0, 1),
    7: (0, 1, 1, 0, 0, 0),
    8: (0, 1, -1, 0, 1, 0),
}


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    data: bytes
    filter: str
    width: int
    height: int
    bits: int
    colours: str
    oriented: Matrix
    """EXIF's orientation. The page draws the image by it; the image's bytes stay as they are."""
    viewed: tuple[int, int]
    """Width and height as a viewer shows it."""
    inverted: bool = False
    white_is_one: bool = False
    """For fax."""
    palette: bytes = field(default=b"", repr=False)
    """Of RGB, where `data` holds indexes."""
    alpha: bytes = field(default=b"", repr=False)
    """Compressed, 8 bits a pixel."""
    profile: bytes = field(default=b"", repr=False)


def embedded_image(file: ImageFile, page_number: int) -> EmbeddedImage:
    """Page `page_number` (from 1) of an image file. Raises what ImageFile.read() raises."""
    return file.read(page_number, lambda image: _embedded(image, file.data))


def _embedded(image: Image.Image, data: bytes) -> EmbeddedImage:
    if image.format in {"JPEG", "MPO"} and image.mode in {"L", "RGB", "CMYK"}:
        # Adobe's CMYK is stored inverted, and Pillow's plugin tells it by the same marker as PDF readers do
        inverted = image.mode == "CMYK" and "adobe" in image.info
        return _of(image, image.mode, data, "DCTDecode", inverted=inverted)
    if (jpeg := jpeg_of_tiff(image, data)) is not None:
        return _of(image, image.mode, jpeg, "DCTDecode")
    if image.mode == "1" and not image.has_transparency_data:
        return _black_and_white(image, data)
    if image.mode == "P" and not image.has_transparency_data:
        palette = image.getpalette("RGB") or [0, 0, 0]
        return _of(image, "P", _compressed(image), "FlateDecode", palette=bytes(palette[: 3 * 256]))
    if image.mode.startswith("I;16"):
        # PDF has the high byte first
        values = image.tobytes("raw", "I;16B")
        return _of(image, "L", zlib.compress(values, _LEVEL), "FlateDecode", bits=16)
    alpha = b""
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        alpha = zlib.compress(layered.getchannel("A").tobytes(), _LEVEL)
        layered_mode = "L" if image.mode in {"L", "LA", "La"} else "RGB"
        flat = layered.convert("RGB")
        flat = flat.getchannel("R") if layered_mode == "L" else flat
    else:
        flat = image if image.mode in _COLOURS else image.convert("RGB")
    return _of(image, flat.mode, _compressed(flat), "FlateDecode", alpha=alpha)


def _black_and_white(image: Image.Image, data: bytes) -> EmbeddedImage:
    """A TIFF's own fax; or else as what is smaller: text as fax, what is dithered by Flate."""
    if (fax := fax_of_tiff(image, data)) is not None:
        return replace(_of(image, "1", fax[0], "CCITTFaxDecode", bits=1), white_is_one=fax[1])
    coded, compressed = as_fax(image), _compressed(image)
    if coded is not None and len(coded) < len(compressed):
        return replace(_of(image, "1", coded, "CCITTFaxDecode", bits=1), white_is_one=True)
    return _of(image, "1", compressed, "FlateDecode", bits=1)


def _of(
    image: Image.Image,
    mode: str,
    data: bytes,
    decoder: str,
    *,
    bits: int = 8,
    inverted: bool = False,
    palette: bytes = b"",
    alpha: bytes = b"",
) -> EmbeddedImage:
    orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    oriented = _ORIENTED.get(orientation, _ORIENTED[1])
    width, height = image.size
    return EmbeddedImage(
        data=data,
        filter=decoder,
        width=width,
        height=height,
        bits=bits,
        colours=_COLOURS.get(mode, "DeviceRGB"),
        oriented=oriented,
        viewed=(width, height) if oriented[0] else (height, width),
        inverted=inverted,
        palette=palette,
        alpha=alpha,
        profile=_profile(image, mode) if not palette else b"",
    )


def _profile(image: Image.Image, mode: str) -> bytes:
    """The ICC profile, if it is of as many colours as the image has."""
    profile = image.info.get("icc_profile") or b""
    spaces = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}
    return profile if isinstance(profile, bytes) and profile[16:20] == spaces.get(mode, b"none") else b""


def _compressed(image: Image.Image) -> bytes:
    return zlib.compress(image.tobytes(), _LEVEL)
