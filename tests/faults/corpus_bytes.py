"""Mutations that know nothing of formats: cuts, flips, runs of bytes lost, doubled or overwritten, files spliced."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Final

from tests.faults.corpus_pictures import FORMATS, codings, good_picture

Mutation = Callable[[Random, bytes], bytes]
"""Malformed bytes out of good ones, all chance taken from the given source."""

INTERESTING: Final = (0, 1, 2, 3, 4, 7, 8, 12, 13, 16, 32, 64, 127, 128, 255, 256, 1000, 32_767, 32_768, 65_535)
LARGE: Final = (65_536, 100_000, 0x00FF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFF)


def number(chance: Random, size: int) -> int:
    """A number that programs stumble over, in `size` bytes."""
    found = chance.choice([*INTERESTING, *LARGE, chance.getrandbits(32)])
    return found & ((1 << 8 * size) - 1)


def cut(chance: Random, data: bytes) -> bytes:
    """At most two thirds are left, one byte at least."""
    return data[: chance.randint(1, max(1, len(data) * 2 // 3))]


def cut_in_head(chance: Random, data: bytes) -> bytes:
    return data[: chance.randint(1, min(len(data) - 1, 80))]


def cut_near_end(chance: Random, data: bytes) -> bytes:
    return data[: -chance.randint(1, min(len(data) - 1, 40))]


def flipped(chance: Random, data: bytes) -> bytes:
    """A few bits of the whole file."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def flipped_head(chance: Random, data: bytes) -> bytes:
    """A few bits of the first 200 bytes, where headers are."""
    head = min(len(data), 200)
    return flipped(chance, data[:head]) + data[head:]


def overwritten(chance: Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    size = min(chance.choice((1, 2, 4, 8, 32, 200)), len(data) - start)
    filler = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    return data[:start] + filler + data[start + size :]


def lost(chance: Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.choice((1, 2, 3, 4, 16, 100, 1000)) :]


def doubled(chance: Random, data: bytes) -> bytes:
    start = chance.randrange(len(data))
    end = start + chance.choice((1, 2, 4, 16, 100, 1000))
    return data[:end] + data[start:end] * chance.choice((1, 1, 2, 50)) + data[end:]


def inserted(chance: Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.choice((1, 2, 3, 4, 50))) + data[at:]


def strange_number(chance: Random, data: bytes) -> bytes:
    """2 or 4 bytes of the head become a number that programs stumble over."""
    size, order = chance.choice((2, 4)), chance.choice("<>")
    at = chance.randrange(max(1, min(len(data), 300) - size))
    packed = struct.pack(order + {2: "H", 4: "L"}[size], number(chance, size))
    return data[:at] + packed + data[at + size :]


def spliced(chance: Random, data: bytes) -> bytes:
    """The first part of this file and the last part of another, of any format."""
    kind = chance.choice(FORMATS)
    other = good_picture(kind, chance.choice(codings(kind)))
    return data[: chance.randint(4, len(data))] + other[chance.randrange(len(other)) :]


def foreign_body(chance: Random, data: bytes) -> bytes:
    """The first bytes of this format, the body of another."""
    kind = chance.choice(FORMATS)
    other = good_picture(kind, chance.choice(codings(kind)))
    head = chance.choice((4, 8, 12, 16, 26, 33))
    return data[:head] + other[head:]


def random_body(chance: Random, data: bytes) -> bytes:
    """A signature, and nothing after it that means anything."""
    return data[: chance.choice((3, 4, 8, 12, 16))] + chance.randbytes(chance.choice((0, 1, 10, 100, 5000)))


def zeroed_body(chance: Random, data: bytes) -> bytes:
    head = min(len(data), chance.choice((12, 26, 33, 60, 120)))
    return data[:head] + bytes(len(data) - head)


ANY_FORMAT: Final[dict[str, Mutation]] = {
    "cut": cut,
    "cut in the head": cut_in_head,
    "cut near the end": cut_near_end,
    "bits flipped": flipped,
    "bits of the head flipped": flipped_head,
    "overwritten": overwritten,
    "bytes lost": lost,
    "bytes doubled": doubled,
    "bytes inserted": inserted,
    "strange number": strange_number,
    "spliced": spliced,
    "foreign body": foreign_body,
    "random body": random_body,
    "zeroed body": zeroed_body,
}
