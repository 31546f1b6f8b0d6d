"""The test picture in codings that imagecodecs writes, and Pillow does not read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from PIL import Image

from tests.support.hostile_images import picture

LERC, JPEG_XL, JPEG = 34887, 50002, 7


def pixels(image: Image.Image | None = None, bits: int = 8) -> Any:
    """Of the test picture or another, grey or RGB, scaled to so many bits."""
    levels = np.asarray(picture() if image is None else image)
    return levels if bits == 8 else (levels.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)


def rare_jpeg(image: Image.Image | None = None, bits: int = 12, *, lossless: bool = False) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(pixels(image, bits), level=95, bitspersample=bits, lossless=lossless))


def jpeg_ls(image: Image.Image | None = None) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(pixels(image)))


def jpeg_xl(image: Image.Image | None = None, bits: int = 8, *, frames: int = 1, boxes: bool = False) -> bytes:
    import imagecodecs

    shown = pixels(image, bits)
    return bytes(imagecodecs.jpegxl_encode(np.stack([shown] * frames) if frames > 1 else shown, usecontainer=boxes))


def rare_tiff(compression: int, image: Image.Image | None = None, *, packing: int = 0, kind: str = "u1") -> bytes:
    """Strips of 40 rows, the last of 16. `packing`: of LERC, 1 deflates it. `kind`: NumPy's name of a channel."""
    import imagecodecs

    shown = pixels(image).astype(kind) * (257 if kind == "u2" else 1)
    rows = [shown[top : top + 40] for top in range(0, 96, 40)]
    if compression == LERC:
        strips = [imagecodecs.lerc_encode(row) for row in rows]
        strips = [zlib.compress(strip) for strip in strips] if packing else strips
    elif compression == JPEG:
        strips = [imagecodecs.jpeg8_encode(row >> 4, level=95, bitspersample=12) for row in rows]
    else:
        strips = [imagecodecs.jpegxl_encode(row) for row in rows]
    channels, bits = 1 if shown.ndim == 2 else 3, 12 if compression == JPEG else shown.itemsize * 8
    form = {"u": 1, "i": 2, "f": 3}[shown.dtype.kind]
    tags = {
        256: (320,), 257: (96,), 258: (bits,) * channels, 259: (compression,), 262: (2 if channels > 1 else 1,),
        277: (channels,), 278: (40,), 279: tuple(map(len, strips)), 339: (form,) * channels, 50674: (4, packing),
    }  # fmt: skip
    return _tiff(tags, [bytes(strip) for strip in strips])


def _tiff(tags: dict[int, tuple[int, ...]], strips: list[bytes]) -> bytes:
    tags[273] = (0,) * len(strips)
    at = 8 + 2 + 12 * len(tags) + 4
    first = at + sum(4 * len(values) for values in tags.values() if len(values) > 1)
    tags[273] = tuple(first + sum(map(len, strips[:number])) for number in range(len(strips)))
    entries, more = b"", b""
    for tag, values in sorted(tags.items()):
        body = struct.pack(f"<{len(values)}L", *values)
        entries += struct.pack("<HHL", tag, 4, len(values))
        entries += struct.pack("<L", at + len(more)) if len(values) > 1 else body
        more += body if len(values) > 1 else b""
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + more + b"".join(strips)


def _colored() -> Image.Image:
    return picture().convert("RGB")


RARE: Final[dict[str, Callable[[], bytes]]] = {
    "JPEG of 12 bits": rare_jpeg,
    "JPEG of 12 bits in color": lambda: rare_jpeg(_colored()),
    "lossless JPEG": lambda: rare_jpeg(bits=8, lossless=True),
    "lossless JPEG of 16 bits": lambda: rare_jpeg(bits=16, lossless=True),
    "JPEG-LS": jpeg_ls,
    "JPEG-LS in color": lambda: jpeg_ls(_colored()),
    "JPEG XL": jpeg_xl,
    "JPEG XL in boxes": lambda: jpeg_xl(boxes=True),
    "JPEG XL in color": lambda: jpeg_xl(_colored()),
    "JPEG XL of 16 bits": lambda: jpeg_xl(_colored(), 16),
    "JPEG XL with alpha": lambda: jpeg_xl(_colored().convert("RGBA")),
    "JPEG XL of two frames": lambda: jpeg_xl(_colored(), frames=2),
    "LERC": lambda: rare_tiff(LERC),
    "LERC in color": lambda: rare_tiff(LERC, _colored()),
    "LERC of 16 bits": lambda: rare_tiff(LERC, kind="u2"),
    "LERC of floats": lambda: rare_tiff(LERC, kind="f4"),
    "LERC, deflated": lambda: rare_tiff(LERC, packing=1),
    "JPEG XL in TIFF": lambda: rare_tiff(JPEG_XL, _colored()),
    "JPEG of 12 bits in TIFF": lambda: rare_tiff(JPEG, kind="u2"),
}
