"""Mutations that know the chunks of a WebP (RFC 9649), the blocks of a GIF89a and the headers of a Windows BMP."""

from __future__ import annotations

import struct
from random import Random
from typing import Final

from tests.faults.corpus_bytes import Mutation, number
from tests.support.hostile_images import gif_bomb_by_frame, gif_with_frames, webp_bomb

# --- WebP --------------------------------------------------------------------------------------------------------

Chunk = tuple[bytes, bytes]
"""FourCC and body."""


def _chunks(data: bytes) -> list[Chunk]:
    found, at = [], 12
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def _webp(chunks: list[Chunk]) -> bytes:
    body = b"".join(name + struct.pack("<L", len(body)) + body + bytes(len(body) % 2) for name, body in chunks)
    return b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body


def _changed(chance: Random, body: bytes, reach: int) -> bytes:
    """Some of the first `reach` bytes replaced."""
    if not body:
        return b"\xff"
    at = chance.randrange(min(len(body), reach))
    return body[:at] + bytes((number(chance, 1),)) + body[at + 1 :]


def webp_size(chance: Random, data: bytes) -> bytes:
    """The file's or the first chunk's size is a lie."""
    at = chance.choice((4, 16))
    return data[:at] + struct.pack("<L", number(chance, 4)) + data[at + 4 :]


def webp_chunk_head(chance: Random, data: bytes) -> bytes:
    chunks = _chunks(data)
    index = chance.randrange(len(chunks))
    name, body = chunks[index]
    chunks[index] = (name, _changed(chance, body, 20))
    return _webp(chunks)


def webp_without_chunk(chance: Random, data: bytes) -> bytes:
    chunks = _chunks(data)
    del chunks[chance.randrange(len(chunks))]
    return _webp(chunks)


def webp_reordered(chance: Random, data: bytes) -> bytes:
    chunks = _chunks(data) * 2
    chance.shuffle(chunks)
    return _webp(chunks)


def webp_data(chance: Random, data: bytes) -> bytes:
    """The coded picture is random or ends early; the frame around it is right."""
    chunks = []
    for name, body in _chunks(data):
        head = 16 + 8 if name == b"ANMF" else 10
        wrong = (body[:head] + chance.randbytes(len(body) // 2), body[: len(body) // 2], body[:head])
        chunks.append((name, chance.choice(wrong) if name in (b"VP8 ", b"VP8L", b"ANMF", b"ALPH") else body))
    return _webp(chunks)


def webp_huge(chance: Random, _: bytes) -> bytes:
    side = chance.choice((8_659, 11_999, 16_383))
    if chance.random() < 0.5:
        return webp_bomb()
    canvas = struct.pack("<L", 0x02) + (side.to_bytes(3, "little")) * 2
    return _webp([(b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", bytes(16) + b"VP8L" + bytes(20))])


WEBP: Final[dict[str, Mutation]] = {
    "size": webp_size,
    "head of a chunk": webp_chunk_head,
    "chunk missing": webp_without_chunk,
    "chunks reordered": webp_reordered,
    "pixel data": webp_data,
    "huge": webp_huge,
}

# --- GIF ---------------------------------------------------------------------------------------------------------


def _first_frame(data: bytes) -> int:
    """Where the first image descriptor stands."""
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[at : at + 1] == b"!":
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    return at


def gif_screen(chance: Random, data: bytes) -> bytes:
    at = chance.choice((6, 8))
    return data[:at] + struct.pack("<H", number(chance, 2)) + data[at + 2 :]


def gif_frame(chance: Random, data: bytes) -> bytes:
    """The frame's place and size."""
    at = _first_frame(data) + chance.choice((1, 3, 5, 7))
    return data[:at] + struct.pack("<H", number(chance, 2)) + data[at + 2 :]


def gif_zero_frame(chance: Random, data: bytes) -> bytes:
    at = _first_frame(data) + chance.choice((5, 7))
    return data[:at] + bytes(2) + data[at + 2 :]


def gif_code_size(chance: Random, data: bytes) -> bytes:
    """The LZW code size is one that does not exist or does not fit."""
    at = _first_frame(data)
    at += 10 + (3 << ((data[at + 9] & 7) + 1) if data[at + 9] & 0x80 else 0)
    return data[:at] + bytes((chance.choice((0, 1, 2, 7, 9, 12, 13, 255)),)) + data[at + 1 :]


def gif_block_length(chance: Random, data: bytes) -> bytes:
    at = min(_first_frame(data) + chance.choice((10, 11, 12, 267, 268)), len(data) - 1)
    return data[:at] + bytes((number(chance, 1),)) + data[at + 1 :]


def gif_data(chance: Random, data: bytes) -> bytes:
    """Codes that mean nothing: the first block of pixels is random, and the last."""
    at = _first_frame(data) + 11
    return data[:at] + chance.randbytes(max(1, (len(data) - at) // 2))


def gif_many_frames(chance: Random, _: bytes) -> bytes:
    return gif_with_frames(chance.choice((501, 5_000, 60_000)))


def gif_huge(chance: Random, _: bytes) -> bytes:
    return chance.choice(
        (gif_with_frames(1, (65_535, 65_535)), gif_bomb_by_frame(), gif_with_frames(1, (9_000, 8_000))[:-4])
    )


GIF: Final[dict[str, Mutation]] = {
    "screen": gif_screen,
    "frame": gif_frame,
    "frame of no size": gif_zero_frame,
    "code size": gif_code_size,
    "length of a block": gif_block_length,
    "pixel data": gif_data,
    "many frames": gif_many_frames,
    "huge": gif_huge,
}

# --- BMP ---------------------------------------------------------------------------------------------------------

_FIELDS: Final = {
    "file size": (2, 4),
    "data offset": (10, 4),
    "header size": (14, 4),
    "width": (18, 4),
    "height": (22, 4),
    "planes": (26, 2),
    "bits": (28, 2),
    "compression": (30, 4),
    "data size": (34, 4),
    "colors": (46, 4),
}
"""Offset and size, in bytes, of the fields of BITMAPFILEHEADER and BITMAPINFOHEADER."""


def _with_field(data: bytes, name: str, value: int) -> bytes:
    at, size = _FIELDS[name]
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


def bmp_field(chance: Random, data: bytes) -> bytes:
    name = chance.choice(tuple(_FIELDS))
    return _with_field(data, name, number(chance, _FIELDS[name][1]))


def bmp_zero_dimension(chance: Random, data: bytes) -> bytes:
    return _with_field(data, chance.choice(("width", "height")), 0)


def bmp_huge(chance: Random, data: bytes) -> bytes:
    return _with_field(_with_field(data, "width", 8_000), "height", chance.choice((9_000, 0x7FFF_FFFF, 0x8000_0000)))


def bmp_layout(chance: Random, data: bytes) -> bytes:
    """Bits and compression (RLE, bit fields, JPEG) that the data is not in."""
    changed = _with_field(data, "bits", chance.choice((0, 1, 2, 4, 8, 16, 24, 32, 64)))
    return _with_field(changed, "compression", chance.choice((0, 1, 2, 3, 4, 5, 6, 11)))


def bmp_run_lengths(chance: Random, data: bytes) -> bytes:
    """Run lengths (RLE8 or RLE4) that are random, or skip far beyond the picture."""
    bits = chance.choice((4, 8))
    changed = _with_field(_with_field(data, "bits", bits), "compression", {4: 2, 8: 1}[bits])
    start = min(int.from_bytes(data[10:14], "little"), len(data))
    return changed[:start] + chance.choice((chance.randbytes(2000), b"\0\2\xff\xff" * 500, b"\xff\x01" * 100, b"\0\1"))


BMP: Final[dict[str, Mutation]] = {
    "field": bmp_field,
    "zero dimension": bmp_zero_dimension,
    "huge": bmp_huge,
    "layout": bmp_layout,
    "run lengths": bmp_run_lengths,
}
