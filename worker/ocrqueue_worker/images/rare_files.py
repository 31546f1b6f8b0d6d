"""Files that Pillow does not open and imagecodecs decodes: JPEG of more than 8 bits or without loss, and JPEG XL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from ocrqueue.document.signatures import ImageFormat
from ocrqueue_worker.images import codecs
from ocrqueue_worker.images.formats import exif_of_jpeg
from ocrqueue_worker.images.jpeg_structure import jpeg_structure


@dataclass(frozen=True)
class RareFile:
    """`size` is told by the head; nothing is decoded before decode()."""

    size: tuple[int, int]
    decode: Callable[[], Image.Image]


def rare_file(kind: ImageFormat, data: bytes) -> RareFile | None:
    """None where Pillow reads it, or nobody. Raises ImageUnsupported where imagecodecs is not installed, ValueError
    where the head is no good."""
    if kind == "JPEGXL":
        codecs.require("JPEG XL", kind)
        size = codecs.jpeg_xl_size(data)
        return RareFile(size, lambda: codecs.decoded_jpeg_xl(data, size))
    if kind != "JPEG":
        return None
    head = jpeg_structure(data, head_only=True)
    if head.unusual is None or not codecs.is_for_codecs(head.unusual):
        return None
    codecs.require(head.unusual, kind)
    return RareFile((head.width, head.height), lambda: _decoded_jpeg(data))


def _decoded_jpeg(data: bytes) -> Image.Image:
    structure = jpeg_structure(data)
    if not structure.ends:
        raise OSError("image file is truncated")
    decode = codecs.decoded_jpeg_ls if structure.is_jpeg_ls else codecs.decoded_jpeg
    image = decode(data, (structure.width, structure.height), structure.channels, structure.precision)
    image.info["exif"] = exif_of_jpeg(data)
    return image
