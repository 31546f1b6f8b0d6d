"""Mutations that know the chunks of a PNG (ISO/IEC 15948) and the segments of a JPEG (ITU-T T.81)."""

from __future__ import annotations

import struct
import zlib
from random import Random
from typing import Final

from tests.faults.corpus_bytes import Mutation, number
from tests.support.hostile_images import jpeg_segment, png_chunk

# --- PNG ---------------------------------------------------------------------------------------------------------

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
Chunk = tuple[bytes, bytes]
"""Name and body."""


def _chunks(data: bytes) -> list[Chunk]:
    found, at = [], len(_PNG_SIGNATURE)
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _png(chunks: list[Chunk]) -> bytes:
    return _PNG_SIGNATURE + b"".join(png_chunk(name, body) for name, body in chunks)


def _with_header(data: bytes, **fields: int) -> bytes:
    names = ("width", "height", "depth", "color", "compression", "filter", "interlace")
    header, *rest = _chunks(data)
    values = dict(zip(names, struct.unpack(">2L5B", header[1]), strict=True)) | fields
    return _png([(b"IHDR", struct.pack(">2L5B", *values.values())), *rest])


def png_dimension(chance: Random, data: bytes) -> bytes:
    side = chance.choice(("width", "height"))
    return _with_header(data, **{side: chance.choice((1, 97, 321, 8000, 60_000, number(chance, 4)))})


def png_zero_dimension(chance: Random, data: bytes) -> bytes:
    return _with_header(data, **{chance.choice(("width", "height")): 0})


def png_huge(chance: Random, data: bytes) -> bytes:
    """Just below the limit of pixels or far above it: the data ends long before."""
    return _with_header(data, width=chance.choice((8000, 100_000, 0x7FFF_FFFF)), height=chance.choice((8000, 9000)))


def png_layout(chance: Random, data: bytes) -> bytes:
    """Depth, color type or method that do not exist or do not fit."""
    field = chance.choice(("depth", "color", "compression", "filter", "interlace"))
    return _with_header(data, **{field: chance.choice((1, 2, 3, 4, 5, 7, 16, 17, 255))})


def png_chunk_length(chance: Random, data: bytes) -> bytes:
    at = len(_PNG_SIGNATURE)
    for _, body in _chunks(data)[: chance.randint(0, 3)]:
        at += 12 + len(body)
    at = min(at, len(data) - 12)
    return data[:at] + struct.pack(">L", number(chance, 4)) + data[at + 4 :]


def png_checksum(chance: Random, data: bytes) -> bytes:
    """A wrong CRC in the header."""
    return data[:29] + bytes((data[29] ^ chance.randint(1, 255),)) + data[30:]


def png_without_chunk(chance: Random, data: bytes) -> bytes:
    chunks = _chunks(data)
    del chunks[chance.randrange(len(chunks))]
    return _png(chunks)


def png_reordered(chance: Random, data: bytes) -> bytes:
    chunks = _chunks(data)
    chance.shuffle(chunks)
    return _png([*chunks, *chance.sample(chunks, 1)])


def png_data(chance: Random, data: bytes) -> bytes:
    """Other pixels: random bytes, too few, far too many, or filters that do not exist."""
    bodies = (
        chance.randbytes(500),
        b"",
        zlib.compress(bytes(10)),
        zlib.compress(bytes(5_000_000)),
        zlib.compress(b"\x09\xff" * 60_000),
        b"\x78\x9c" + chance.randbytes(300),
        b"\x78\xbb" + zlib.compress(bytes(50_000))[2:],
        zlib.compress(bytes(40_000))[:-4] + b"abcd",
    )
    body = chance.choice(bodies)
    return _png([(name, body if name == b"IDAT" else old) for name, old in _chunks(data)])


def png_metadata(chance: Random, data: bytes) -> bytes:
    """A chunk besides the picture that explodes, is endless or is nonsense."""
    bomb = zlib.compress(bytes(30_000_000))
    extra: Chunk = chance.choice(
        (
            (b"zTXt", b"Comment\0\0" + bomb),
            (b"iTXt", b"Comment\0\1\0\0\0" + bomb),
            (b"iCCP", b"profile\0\0" + bomb),
            (b"iCCP", b"profile\0\7" + chance.randbytes(50)),
            (b"zTXt", b"no end of the keyword"),
            (b"iTXt", b"k\0\1\1"),
            (b"tEXt", chance.randbytes(200_000)),
            (b"eXIf", b"II*\0" + struct.pack("<LH", 8, 65_535) + chance.randbytes(600)),
            (b"PLTE", chance.randbytes(chance.choice((0, 1, 2, 5000)))),
            (b"tRNS", chance.randbytes(chance.choice((0, 1, 2, 3, 5000)))),
            (b"acTL", struct.pack(">2L", number(chance, 4), number(chance, 4))),
            (b"fcTL", struct.pack(">5L2H2B", 0, *(number(chance, 4) for _ in range(4)), 0, 0, 9, 9)),
            (b"IHDR", struct.pack(">2L5B", number(chance, 4), number(chance, 4), 8, 0, 0, 0, 0)),
            (b"\0\1\2\3", b""),
            (b"gAMA", b""),
            (b"pHYs", b"\0"),
            (b"cHRM", bytes(3)),
        )
    )
    header, *rest = _chunks(data)
    return _png([header, *[extra] * chance.choice((1, 1, 2)), *rest])


def png_many_chunks(chance: Random, data: bytes) -> bytes:
    """Thousands of chunks of a few bytes, the last of them broken."""
    header, *rest = _chunks(data)
    many = _png([header, *[(b"tEXt", b"k\0v")] * chance.choice((1000, 8000)), *rest])
    return many[: -chance.randint(20, 200)]


PNG: Final[dict[str, Mutation]] = {
    "dimension": png_dimension,
    "zero dimension": png_zero_dimension,
    "huge": png_huge,
    "layout": png_layout,
    "chunk length": png_chunk_length,
    "checksum": png_checksum,
    "chunk missing": png_without_chunk,
    "chunks reordered": png_reordered,
    "pixel data": png_data,
    "metadata": png_metadata,
    "many chunks": png_many_chunks,
}

# --- JPEG --------------------------------------------------------------------------------------------------------

_FRAMES: Final = (0xC0, 0xC1, 0xC2, 0xC3, 0xF7)


def _segments(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Marker and body of the segments before the first scan; and the rest of the file."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], data[at + 4 : at + 2 + size]))
        at += 2 + size
    return found, data[at:]


def _jpeg(segments: list[tuple[int, bytes]], scans: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(jpeg_segment(marker, body) for marker, body in segments) + scans


def _with_frame(data: bytes, at: int, value: bytes) -> bytes:
    """Bytes of the frame header (precision, height, width, components) replaced."""
    segments, scans = _segments(data)
    changed = [
        (marker, body[:at] + value + body[at + len(value) :] if marker in _FRAMES else body)
        for marker, body in segments
    ]
    return _jpeg(changed, scans)


def jpeg_dimension(chance: Random, data: bytes) -> bytes:
    return _with_frame(data, chance.choice((1, 3)), struct.pack(">H", chance.choice((1, 2, 65_500, number(chance, 2)))))


def jpeg_zero_dimension(chance: Random, data: bytes) -> bytes:
    return _with_frame(data, chance.choice((1, 3)), bytes(2))


def jpeg_huge(chance: Random, data: bytes) -> bytes:
    return _with_frame(data, 1, struct.pack(">2H", chance.choice((9000, 65_500)), chance.choice((9000, 65_500))))


def jpeg_layout(chance: Random, data: bytes) -> bytes:
    """Precision, components, sampling or table numbers that do not exist."""
    return _with_frame(data, chance.choice((0, 5, 6, 7, 8, 9, 10)), bytes((chance.choice((0, 1, 2, 5, 12, 16, 255)),)))


def jpeg_frame_kind(chance: Random, data: bytes) -> bytes:
    """Lossless, hierarchical or arithmetic, which is not what follows."""
    segments, scans = _segments(data)
    kind = chance.choice((0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB, 0xCF, 0xF7))
    return _jpeg([(kind if marker in _FRAMES else marker, body) for marker, body in segments], scans)


def jpeg_without_segment(chance: Random, data: bytes) -> bytes:
    segments, scans = _segments(data)
    del segments[chance.randrange(len(segments))]
    return _jpeg(segments, scans)


def jpeg_reordered(chance: Random, data: bytes) -> bytes:
    segments, scans = _segments(data)
    chance.shuffle(segments)
    return _jpeg([*segments, chance.choice(segments)], scans)


def jpeg_table(chance: Random, data: bytes) -> bytes:
    """Quantisation and Huffman tables of the wrong length or full of nonsense."""
    segments, scans = _segments(data)
    tables = [index for index, (marker, _) in enumerate(segments) if marker in (0xDB, 0xC4)]
    index = chance.choice(tables or range(len(segments)))  # JPEG-LS has none
    marker, body = segments[index]
    wrong = (body[:5], body + chance.randbytes(30), chance.randbytes(len(body)), b"\xff" * len(body), b"")
    segments[index] = (marker, chance.choice(wrong))
    return _jpeg(segments, scans)


def jpeg_segment_length(chance: Random, data: bytes) -> bytes:
    segments, _ = _segments(data)
    at = 2 + sum(4 + len(body) for _, body in segments[: chance.randrange(len(segments) + 1)])
    return data[: at + 2] + struct.pack(">H", chance.choice((0, 1, 2, 3, number(chance, 2)))) + data[at + 4 :]


def jpeg_scan(chance: Random, data: bytes) -> bytes:
    """The scan header names components and tables that do not exist, or the scan is random."""
    segments, scans = _segments(data)
    head = int.from_bytes(scans[2:4], "big") + 2
    if chance.random() < 0.5:
        at = chance.randrange(4, head)
        return _jpeg(segments, scans[:at] + bytes((chance.choice((0, 4, 9, 255)),)) + scans[at + 1 :])
    return _jpeg(segments, scans[:head] + chance.randbytes(len(scans) - head))


def jpeg_many_scans(chance: Random, data: bytes) -> bytes:
    """Few bytes that keep a decoder busy: thousands of scans that say nothing, over a picture of 8000 x 9000."""
    frame = struct.pack(">B2HB3B", 8, 9000, 8000, 1, 1, 0x11, 0)
    segments, _ = _segments(data)
    kept = [(marker, body) for marker, body in segments if marker in (0xDB,)]
    table = jpeg_segment(0xC4, b"\0" + b"\1" + bytes(15) + b"\0") + jpeg_segment(
        0xC4, b"\x10" + b"\1" + bytes(15) + b"\xe0"
    )
    scan = jpeg_segment(0xDA, b"\1\1\0\1\x3f\0") + bytes(2)
    return _jpeg([*kept, (0xC2, frame)], table + scan * chance.choice((2000, 5000)))


def jpeg_metadata(chance: Random, data: bytes) -> bytes:
    """EXIF that refers to itself, profiles in parts that do not fit, endless comments; and the picture is cut."""
    looped = b"Exif\0\0II*\0" + struct.pack("<LHHHLLL", 8, 1, 0x8769, 4, 1, 8, 8)
    wide = b"Exif\0\0II*\0" + struct.pack("<LHHHLL", 8, 1, 0x010E, 2, 0xFFFF_FFFF, 8)
    extra = chance.choice(
        (
            [(0xE1, looped)],
            [(0xE1, wide)],
            [(0xE1, b"Exif\0\0" + chance.randbytes(5000))],
            [(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<x>" * 20_000)],
            [(0xE2, b"ICC_PROFILE\0" + bytes((chance.randrange(256), chance.randrange(256))) + bytes(60_000))] * 20,
            [(0xE2, b"MPF\0" + chance.randbytes(100))],
            [(0xE0, b"JFIF\0" + chance.randbytes(chance.choice((0, 3, 9))))],
            [(0xEE, b"Adobe" + chance.randbytes(7))],
            [(0xED, b"Photoshop 3.0\x008BIM" + chance.randbytes(60))],
            [(0xFE, bytes(65_000))] * 16,
        )
    )
    segments, scans = _segments(data)
    return _jpeg([*extra, *segments], scans[: len(scans) // 3])


JPEG: Final[dict[str, Mutation]] = {
    "dimension": jpeg_dimension,
    "zero dimension": jpeg_zero_dimension,
    "huge": jpeg_huge,
    "layout": jpeg_layout,
    "kind of frame": jpeg_frame_kind,
    "segment missing": jpeg_without_segment,
    "segments reordered": jpeg_reordered,
    "table": jpeg_table,
    "segment length": jpeg_segment_length,
    "scan": jpeg_scan,
    "many scans": jpeg_many_scans,
    "metadata and cut": jpeg_metadata,
}
