"""PNGs that are sound but for their frame: wrong checksums, huge texts, the end missing."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ocrqueue.document import DocumentWarning
from ocrqueue_worker.images.damage import TOLERATED, Damage
from ocrqueue_worker.images.png_completeness import PIECE, data_size, row_size
from ocrqueue_worker.images.warnings import warning

_HEADER: Final = struct.Struct(">2L5B")
_TEXTS: Final = frozenset((b"tEXt", b"zTXt", b"iTXt"))
_ANCILLARY: Final = 0x20
"""Bit of a chunk's first letter: the picture can be seen without it."""
_KEPT: Final = frozenset((b"PLTE", b"tRNS", b"pHYs", b"eXIf", b"gAMA", b"sBIT"))


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    body: bytes
    is_whole: bool
    is_sound: bool
    """Its checksum is right."""


def repaired_png(data: bytes, max_pixels: int) -> Damage | None:
    """The PNG made again of its pixels and what they need, without texts or anything whose checksum is wrong.

    None where it cannot be: the header, the palette or the compressed pixels themselves are damaged. Of a picture
    beyond `max_pixels` the pixels are not looked at.
    """
    chunks = list(_chunks(data))
    if not chunks or chunks[0].name != b"IHDR" or len(chunks[0].body) != _HEADER.size or not chunks[0].is_sound:
        return None
    warnings: list[DocumentWarning] = []
    kept = [_encoded(b"IHDR", chunks[0].body)]
    for chunk in chunks[1:]:
        if chunk.name in (b"IDAT", b"IEND"):
            continue
        if chunk.is_whole and not chunk.is_sound:
            if not chunk.name[0] & _ANCILLARY:
                return None
            warnings.append(warning("image.checksum", detail=f"that of a chunk {_shown(chunk.name)}, left out"))
        elif chunk.is_whole and chunk.name in _KEPT:
            kept.append(_encoded(chunk.name, chunk.body))
        elif chunk.name in _TEXTS and _is_huge(chunk):
            warnings.append(warning("image.metadata_left_out", detail="a text of more than a megabyte"))
    pixels = [chunk for chunk in chunks if chunk.name == b"IDAT"]
    if any(chunk.is_whole and not chunk.is_sound for chunk in pixels):
        warnings.append(warning("image.checksum", detail="that of a chunk of pixels; the one within it is right"))
    return _with_pixels(chunks, data[:8] + b"".join(kept), pixels, warnings, max_pixels)


def _with_pixels(
    chunks: list[_Chunk], head: bytes, pixels: list[_Chunk], warnings: list[DocumentWarning], max_pixels: int
) -> Damage | None:
    """The file that begins with `head` and has these pixels, filled up where some are missing."""
    width, height, depth, color_type, _, _, interlace = _HEADER.unpack(chunks[0].body)
    end = _encoded(b"IEND", b"")
    if width * height > max_pixels or not width or not height:
        body = b"".join(_encoded(b"IDAT", chunk.body) for chunk in pixels)
        return Damage(head + body + end, 0.0, 0, tuple(warnings))
    try:
        needed = data_size(width, height, depth, color_type, interlace)
        packed, found = _made_whole(pixels, needed)
    except (zlib.error, KeyError):
        return None
    rows = height if interlace else found // row_size(width, depth, color_type)
    if 0 < needed - found < TOLERATED * needed or (found == needed and chunks[-1].name != b"IEND"):
        warnings.append(warning("image.end_missing", detail=_missing(needed - found, needed)))
    return Damage(
        head + _encoded(b"IDAT", packed) + end,
        (needed - found) / needed,
        height - rows,
        tuple(dict.fromkeys(warnings)),
    )


def _is_huge(text: _Chunk) -> bool:
    """Whether it has more than a megabyte, unpacked."""
    if len(text.body) > PIECE:
        return True
    for start in (match.end() for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", text.body[:400])):
        try:
            return len(zlib.decompressobj().decompress(text.body[start - 2 :], PIECE + 1)) > PIECE
        except zlib.error:
            continue
    return False


def _missing(lacking: int, needed: int) -> str:
    return f"{lacking / needed:.1%} of the pixels" if lacking else "no pixel with it"


def _chunks(data: bytes) -> Iterator[_Chunk]:
    at = 8
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body, stated = data[at + 8 : at + 8 + size], data[at + 8 + size : at + 12 + size]
        is_whole = len(stated) == 4
        yield _Chunk(name, body, is_whole, is_whole and zlib.crc32(name + body) == int.from_bytes(stated, "big"))
        if name == b"IEND":
            return
        at += 12 + size


def _made_whole(pixels: list[_Chunk], needed: int) -> tuple[bytes, int]:
    """The pixels' data compressed again, filled up with zeros, and how many bytes of it were there.

    Raises zlib.error where what is there is damaged, its own checksum among it.
    """
    inflate, deflate = zlib.decompressobj(), zlib.compressobj(1)
    packed, found = [], 0
    for chunk in pixels:
        rest = chunk.body
        while rest and not inflate.eof:
            piece = inflate.decompress(rest, PIECE)
            packed.append(deflate.compress(piece[: needed - found]))
            # of more than there are pixels, which nobody will see, one piece is looked at, for the checksum behind them
            rest = inflate.unconsumed_tail if found < needed else b""
            found = min(needed, found + len(piece))
    for at in range(found, needed, PIECE):
        packed.append(deflate.compress(bytes(min(PIECE, needed - at))))
    packed.append(deflate.flush())
    return b"".join(packed), found


def _encoded(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _shown(name: bytes) -> str:
    return name.decode("ascii", "replace") if name.isalpha() else name.hex()
