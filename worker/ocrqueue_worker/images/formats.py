"""What can be told from the bytes of an image file before any decoder sees them.

Counting pages here costs no decoding and stops at a limit. Only the framing of a file is read, never its pixels:
PNG (ISO/IEC 15948), JPEG (ITU-T T.81), GIF89a, WebP's RIFF (RFC 9649), Windows BMP, the boxes of HEIF, AVIF
(ISO/IEC 14496-12), JPEG 2000 (ITU-T T.800, annex I) and JPEG XL (ISO/IEC 18181-2), Netpbm, ZSoft's PCX. TIFF has a
module of its own.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ocrqueue.document.signatures import ImageFormat
from ocrqueue_worker.images.tiff_structure import tiff_ends_early

_MAX_GIF_EXTENSION_BLOCKS: Final = 100_000
"""Pillow keeps each block of a comment in Python, and it may have one byte."""

_GIF_BLOCK: Final = re.compile(rb"[!,;]")
_JPEG_MARKER: Final = re.compile(rb"\xff\xff*([^\0\xff])", re.DOTALL)


def ends_early(kind: ImageFormat, data: bytes) -> bool:
    """Whether the file's own structure says that bytes are missing from its end.

    For JPEG and BMP this is a hint only, so it is asked where decoding failed, not before.
    """
    return _ENDS_EARLY[kind](data)


@dataclass(frozen=True, slots=True)
class GifOutline:
    """`width` and `height` span the screen and every frame, in pixels; `complete`: the trailer was reached."""

    frames: int
    width: int
    height: int
    complete: bool
    extension_blocks: int

    @property
    def flood(self) -> str | None:
        """What the file has too many of, as part of a sentence; None where nothing."""
        most = _MAX_GIF_EXTENSION_BLOCKS
        return f"more than {most} blocks of extensions" if self.extension_blocks > most else None


def gif_outline(data: bytes, max_frames: int) -> GifOutline:
    """Walk the blocks of a GIF, as far as `max_frames` frames or one block more of extensions than is taken."""
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    frames, extension_blocks, complete = 0, 0, False
    at = 13 + _color_table_size(data[10:11])
    while frames < max_frames and extension_blocks <= _MAX_GIF_EXTENSION_BLOCKS:
        # Pillow skips bytes that begin no block, and so do viewers.
        block = _GIF_BLOCK.search(data, at)
        if block is None or block[0] == b";":
            complete = block is not None
            break
        at = block.end()
        extension = block[0] == b"!"
        if extension:
            at += 1
        else:
            descriptor = data[at : at + 9]
            if len(descriptor) == 9:
                left, top, frame_width, frame_height = struct.unpack_from("<4H", descriptor)
                width, height = max(width, left + frame_width), max(height, top + frame_height)
            frames += 1
            at += 9 + _color_table_size(descriptor[8:9]) + 1
        while at < len(data) and data[at] and extension_blocks <= _MAX_GIF_EXTENSION_BLOCKS:
            at += 1 + data[at]
            extension_blocks += extension
        at += 1
        extension_blocks += extension
    return GifOutline(frames, width, height, complete, extension_blocks)


def _color_table_size(flags: bytes) -> int:
    """Bytes of the color table that a GIF's packed field announces."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def without_metadata(kind: ImageFormat, data: bytes) -> Iterator[bytes]:
    """`data` without its color profile, then also without EXIF: what a decoder rejects for their sake may open then.

    Yields nothing where there is nothing to leave out. PNG's text stays: a text chunk that explodes is an attack.
    """
    last = data
    for names in _METADATA.get(kind, ()):
        kept = b"".join(part for name, part in _PARTS[kind](data) if name not in names)
        if kept != last:
            yield kept
        last = kept


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    yield b"", data[:8]
    at = 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at:end]
        at = end


def _jpeg_segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The segments before the first scan; everything from there on is one part."""
    yield b"", data[:2]
    at = 2
    while (marker := _JPEG_MARKER.match(data, at)) and marker[1] not in (b"\xda", b"\xd9"):
        end = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        yield marker[1], data[at:end]
        at = end
    yield b"", data[at:]


def exif_of_jpeg(data: bytes) -> bytes:
    """As its segment has it; empty where there is none."""
    segments = (part[4:] for name, part in _jpeg_segments(data) if name == b"\xe1")
    return next((body for body in segments if body.startswith(b"Exif\0\0")), b"")


_JPEG_PROFILES: Final = frozenset((b"\xe2", b"\xed"))
"""APP2 (ICC, MPF, FlashPix) and APP13 (Photoshop)."""

_METADATA: Final[dict[ImageFormat, tuple[frozenset[bytes], ...]]] = {
    "PNG": (frozenset((b"iCCP",)), frozenset((b"iCCP", b"eXIf"))),
    # APP0 (JFIF) and APP14 (Adobe) say how colors are coded, so they stay.
    "JPEG": (_JPEG_PROFILES, _JPEG_PROFILES | {bytes((0xE0 + n,)) for n in range(1, 16) if n != 14} | {b"\xfe"}),
}
_PARTS: Final[dict[ImageFormat, Callable[[bytes], Iterator[tuple[bytes, bytes]]]]] = {
    "PNG": _png_chunks,
    "JPEG": _jpeg_segments,
}


def _png_ends_early(data: bytes) -> bool:
    at = 8
    while data[at + 4 : at + 8] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at > len(data) - 12:
            return True
    return False


def _boxes_end_early(data: bytes) -> bool:
    """Whether a box of HEIF, AVIF, JPEG 2000 or JPEG XL is longer than what is left, or a bare codestream lacks its
    end; one of JPEG XL does not say where it ends."""
    if data.startswith(b"\xff\x0a"):
        return False
    if data.startswith(b"\xff\x4f"):
        return not data.endswith(b"\xff\xd9")
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:  # to the end
            return data[at + 4 : at + 8] == b"jp2c" and not data.endswith(b"\xff\xd9")
        at += max(size, 8)
    return at > len(data)


def _bmp_ends_early(data: bytes) -> bool:
    return int.from_bytes(data[2:6], "little") > len(data)


_ENDS_EARLY: Final[dict[ImageFormat, Callable[[bytes], bool]]] = {
    "PNG": _png_ends_early,
    "JPEG": lambda data: b"\xff\xd9" not in data,
    "TIFF": tiff_ends_early,
    "GIF": lambda data: not gif_outline(data, len(data)).complete,
    "WEBP": lambda data: int.from_bytes(data[4:8], "little") + 8 > len(data),
    "BMP": _bmp_ends_early,
    "HEIF": _boxes_end_early,
    "AVIF": _boxes_end_early,
    "JPEG2000": _boxes_end_early,
    "JPEGXL": _boxes_end_early,
    # They do not say where they end; a decoder finds too few pixels, and says so.
    "PNM": lambda data: False,
    "PCX": lambda data: False,
}
