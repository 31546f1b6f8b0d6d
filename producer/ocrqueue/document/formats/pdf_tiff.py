"""Pages of a TIFF whose coded bytes a PDF can hold as they are: fax (CCITT group 4) and JPEG, each in one strip.

Sources: TIFF 6.0, sections 11 and 22; Adobe's TIFF Technical Note 2; ISO 32000-1, 7.4.6 and 7.4.8.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from PIL import Image, TiffImagePlugin

_COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION = 259, 262, 266, 274
_STRIP_OFFSETS, _STRIP_SIZES, _T6_OPTIONS, _JPEG_TABLES = 273, 279, 293, 347
_GROUP_4, _JPEG = 4, 7
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_REVERSED: Final = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
"""Each byte with its bits in the other order."""
_ADOBE_RGB: Final = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""Adobe's marker: the three components are red, green and blue. Without one, readers take them for YCbCr."""


def fax_of_tiff(image: Image.Image, data: bytes) -> tuple[bytes, bool] | None:
    """The page's fax, and whether its ones are white; None where it is coded otherwise or in several strips."""
    tags = _tags(image)
    strip = _strip(tags, data)
    if strip is None or tags.get(_COMPRESSION) != _GROUP_4 or tags.get(_T6_OPTIONS, 0):
        return None
    if tags.get(_PHOTOMETRIC) not in {_WHITE_IS_ZERO, _BLACK_IS_ZERO}:
        return None
    fax = strip.translate(_REVERSED) if tags.get(_FILL_ORDER, 1) == 2 else strip
    return fax, tags[_PHOTOMETRIC] == _BLACK_IS_ZERO


def jpeg_of_tiff(image: Image.Image, data: bytes) -> bytes | None:
    """The page as a JPEG file, put together from what the TIFF holds of one; None where it is coded otherwise."""
    tags = _tags(image)
    strip = _strip(tags, data)
    wanted = {"L": {_BLACK_IS_ZERO}, "RGB": {_RGB, _YCBCR}}.get(image.mode, set())
    if strip is None or tags.get(_COMPRESSION) != _JPEG or tags.get(_PHOTOMETRIC) not in wanted:
        return None
    tables = tags.get(_JPEG_TABLES, b"")
    if strip[:2] != b"\xff\xd8" or (tables and (tables[:2] != b"\xff\xd8" or tables[-2:] != b"\xff\xd9")):
        return None
    marker = _ADOBE_RGB if tags[_PHOTOMETRIC] == _RGB else b""
    jpeg = b"\xff\xd8" + marker + bytes(tables[2:-2]) + strip[2:]
    try:
        with Image.open(BytesIO(jpeg), formats=["JPEG"]) as opened:
            return jpeg if (opened.size, opened.mode) == (image.size, image.mode) else None
    except (OSError, SyntaxError, ValueError):
        return None


def as_fax(image: Image.Image) -> bytes | None:
    """A black and white image coded without loss as one strip of fax; None where Pillow has no libtiff."""
    written = BytesIO()
    # a copy: libtiff ends the process on some images that were decoded by it
    copied = Image.frombytes(image.mode, image.size, image.tobytes())
    stride = (image.width + 7) // 8
    try:
        copied.save(written, "TIFF", compression="group4", strip_size=stride * image.height)
    except (OSError, KeyError, ValueError):
        return None
    with Image.open(written, formats=["TIFF"]) as coded:
        found = fax_of_tiff(coded, written.getvalue())
    # Pillow writes ones as white
    return found[0] if found is not None and found[1] else None


def _tags(image: Image.Image) -> dict[int, Any]:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return {}
    tags = dict(image.tag_v2)
    # Pillow may have turned the pixels of any other
    return tags if tags.get(_ORIENTATION, 1) == 1 else {}


def _strip(tags: dict[int, Any], data: bytes) -> bytes | None:
    """The only one; None where there are several, tiles, or more bytes than the file has."""
    offsets, sizes = tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_SIZES, ())
    if len(offsets) != 1 or len(sizes) != 1:
        return None
    strip = data[offsets[0] : offsets[0] + sizes[0]]
    return strip if sizes[0] and len(strip) == sizes[0] else None
