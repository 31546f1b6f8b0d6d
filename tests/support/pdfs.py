"""PDFs made byte by byte, so that a test can have any of their parts as it likes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps

A4 = (595.0, 842.0)
HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


@dataclass(frozen=True)
class PdfPage:
    """What a page's dictionary says, and what stands on it."""

    content: bytes = b""
    size: tuple[float, float] = A4
    entries: bytes = b""
    """More of the page's dictionary, such as /Rotate 90."""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """By name, whole objects: see image_object()."""


def pdf_of(*pages: PdfPage, catalog: bytes = b"", more: Sequence[bytes] = ()) -> bytes:
    """A PDF of these pages; `more` are objects that follow all others, the first of them number `3 + ...` of none."""
    objects: list[bytes] = [b"", b"", HELVETICA]
    kids = []
    for page in pages:
        names = []
        for name, made in page.images.items():
            objects.append(made)
            names.append(f"/{name} {len(objects)} 0 R".encode())
        objects.append(stream_object(page.content))
        content = len(objects)
        box = b"/MediaBox [0 0 %g %g] " % page.size if b"/MediaBox" not in page.entries else b""
        objects.append(
            b"<< /Type /Page /Parent 2 0 R "
            + box
            + b"/Resources << /Font << /F1 3 0 R >> /XObject << %s >> >> /Contents %d 0 R %s >>"
            % (b" ".join(names), content, page.entries)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return file_of([*objects, *more])


def file_of(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    written, offsets = BytesIO(), []
    written.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    for number, made in enumerate(objects, 1):
        offsets.append(written.tell())
        written.write(b"%d 0 obj\n%s\nendobj\n" % (number, made))
    start = written.tell()
    written.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    written.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    written.write(b"trailer\n<< /Size %d /Root 1 0 R %s >>\n" % (len(objects) + 1, trailer))
    written.write(b"startxref\n%d\n%%%%EOF\n" % start)
    return written.getvalue()


def stream_object(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)


def text_at(x: float, y: float, text: str, size: float = 24, mode: int = 0, matrix: str = "") -> bytes:
    """A line of text whose base line begins at (x, y); `mode` 3 is invisible."""
    where = matrix or f"1 0 0 1 {x} {y}"
    return f"BT /F1 {size} Tf {mode} Tr {where} Tm ({text}) Tj ET\n".encode("latin-1")


def image_object(image: Image.Image, coding: str = "flate") -> bytes:
    """An image as an object: flate, jpeg, jpeg2000, fax, jbig2 (both of mode "1") or mask (a stencil)."""
    size = b"/Type /XObject /Subtype /Image /Width %d /Height %d" % image.size
    colours = {"1": b"/DeviceGray", "L": b"/DeviceGray", "RGB": b"/DeviceRGB"}[image.mode]
    bits = 1 if image.mode == "1" else 8
    usual = b"%s /ColorSpace %s /BitsPerComponent %d " % (size, colours, bits)
    width, height = image.size
    match coding:
        case "flate":
            return stream_object(zlib.compress(image.tobytes()), usual + b"/Filter /FlateDecode")
        case "jpeg":
            return stream_object(_saved(image, "JPEG", quality=92), usual + b"/Filter /DCTDecode")
        case "jpeg2000":
            return stream_object(_saved(image, "JPEG2000"), size + b" /Filter /JPXDecode")
        case "fax":
            parameters = b"/DecodeParms << /K -1 /Columns %d /Rows %d >>" % image.size
            return stream_object(_group4(image), usual + b"/Filter /CCITTFaxDecode " + parameters)
        case "jbig2":
            region = struct.pack(">4LBB", width, height, 0, 0, 0, 1) + _group4(image)
            page = struct.pack(">4LBH", width, height, 0, 0, 0, 0)
            data = _segment(0, 48, page) + _segment(1, 38, region)
            return stream_object(data, usual + b"/Filter /JBIG2Decode")
        case "mask":
            mask = b"%s /ImageMask true /BitsPerComponent 1 /Filter /FlateDecode" % size
            return stream_object(zlib.compress(image.convert("1").tobytes()), mask)
    raise ValueError(coding)


def scan(
    image: Image.Image, coding: str = "jpeg", dpi: float = 150, entries: bytes = b"", content: bytes = b""
) -> PdfPage:
    """A page that is one picture from edge to edge; `content` lies on it."""
    size = (image.width * 72 / dpi, image.height * 72 / dpi)
    drawn = b"q %g 0 0 %g 0 0 cm /Im0 Do Q\n" % size
    return PdfPage(drawn + content, size, entries, {"Im0": image_object(image, coding)})


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    written = BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def _group4(image: Image.Image) -> bytes:
    """Its pixels by ITU-T T.6, black as 1."""
    written = _saved(
        ImageOps.invert(image.convert("L")).convert("1"), "TIFF", compression="group4", tiffinfo={278: 1 << 16}
    )
    with Image.open(BytesIO(written)) as opened:
        tags = opened.tag_v2  # type: ignore[attr-defined]  # a TIFF has it
        [offset], [length] = tags[273], tags[279]
    return written[offset : offset + length]


def _segment(number: int, kind: int, data: bytes) -> bytes:
    return struct.pack(">LBBBL", number, kind, 0, 1, len(data)) + data
