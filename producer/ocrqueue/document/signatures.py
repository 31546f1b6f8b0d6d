"""What a file is, by the bytes that it begins with: everyone who opens one asks here."""

from __future__ import annotations

import re
from typing import Final, Literal

ImageFormat = Literal["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "HEIF", "AVIF", "JPEG2000", "JPEGXL", "PNM", "PCX"]

HEAD_BYTES: Final = 1024
"""Within these `%PDF-` stands: readers allow other bytes before it (ISO 32000-1, annex H, 3.4.1)."""

_SIGNATURES: Final[dict[ImageFormat, re.Pattern[bytes]]] = {
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    # "BM" alone begins many a text, so the size of the second header must be one of the known seven.
    "BMP": re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    # The first box: its brand, and those that it can be read as too; mif1 and msf1 say nothing of the coding.
    "AVIF": re.compile(rb"\0\0\0.ftyp(avi[fs]|(mif1|msf1|miaf).{4}(?:.{4}){0,15}?avi[fs])", re.DOTALL),
    "HEIF": re.compile(rb"\0\0\0.ftyp(he(ic|ix|im|is|vc|vx|vm|vs)|mif1|msf1)", re.DOTALL),
    "JPEG2000": re.compile(rb"\0\0\0\x0cjP {2}\r\n\x87\n|\xff\x4f\xff\x51", re.DOTALL),
    "JPEGXL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", re.DOTALL),
    # Magic number and width: two letters alone begin many a text. Nothing is matched in two ways, which takes ages.
    "PNM": re.compile(rb"P[1-6](?:\s|#[^\n\r]*+[\n\r])++\d++(?:\s|#[^\n\r]*+[\n\r])++\d"),
    # Version, run-length encoding, bits a pixel.
    "PCX": re.compile(rb"\x0a[\0\2-\5]\x01[\1\2\4\x08]", re.DOTALL),
}


def image_format(data: bytes) -> ImageFormat | None:
    """The format that the first bytes claim; None where it is none of those that are read."""
    return next((kind for kind, signature in _SIGNATURES.items() if signature.match(data)), None)


def is_pdf(data: bytes) -> bool:
    """Whether a file that begins with `data`, 1,024 bytes or more of it, is a PDF.

    A PDF may have an HTTP header, a byte order mark or other bytes in front. An image may have `%PDF-` among what it
    says of itself, so none that begins as an image does is one.
    """
    head = data[:HEAD_BYTES]
    return b"%PDF-" in head and image_format(head) is None
