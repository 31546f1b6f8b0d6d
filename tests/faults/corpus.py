"""Malformed images and PDFs without end: each made from a good one, by its number alone, so that any can be made again.

Most cannot be read. Some can all the same: the mutation hit metadata, or pixels of a format without checksums, and a
viewer shows them too. `broken` tells the cases that no decoder may pass off as whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.corpus_blocks import BMP, GIF, WEBP
from tests.faults.corpus_boxes import BOXES, JPEG_XL, PCX, PNM
from tests.faults.corpus_bytes import ANY_FORMAT, Mutation
from tests.faults.corpus_chunks import JPEG, PNG
from tests.faults.corpus_pdf import PDF
from tests.faults.corpus_pictures import FORMATS, codings, good_picture
from tests.faults.corpus_tiff import TIFF
from tests.support.hostile_images import HOSTILE, encoded, picture, zip_archive

BY_FORMAT: Final[dict[str, Mapping[str, Mutation]]] = {
    "png": PNG,
    "jpeg": JPEG,
    "tiff": TIFF,
    "webp": WEBP,
    "gif": GIF,
    "bmp": BMP,
    "heif": BOXES,
    "avif": BOXES,
    "jpeg2000": BOXES,
    "jpegxl": JPEG_XL,
    "pnm": PNM,
    "pcx": PCX,
    "pdf": PDF,
}

_BROKEN: Final = frozenset(
    {"cut", "cut in the head", "random body", "zero dimension", "many pages", "many frames", "many scans"}
)
"""What these leave is no whole picture, whichever chances they took."""
_MORE_THAN_ONE: Final = frozenset({"animated", "stereo"})
"""Of these PNG, JPEG and JPEG XL files only the first picture is read, and it may be whole."""
_REFINED: Final = "progressive"
"""Of a JPEG in this coding, cut off, the finest data alone may be missing: it is read, with a warning."""
_NOISE: Final = ("pnm", "random body")
"""After its head any bytes are pixels."""

_SHARE_OF_NO_IMAGES: Final = 0.04
_SHARE_OF_KNOWN: Final = 0.04
_SHARE_TWICE: Final = 0.15
"""Of the cases, those that are mutated twice."""


@dataclass(frozen=True, slots=True)
class ImageCase:
    """The file `data`, the `number`th of its seed. `kind` says what was done to what."""

    number: int
    kind: str
    data: bytes
    broken: bool
    """Whether a page at least must end in an error."""


def image_case(seed: int, number: int) -> ImageCase:
    """The same for the same arguments, on every machine with the same version of Pillow."""
    chance = Random(f"image/{seed}/{number}")
    draw = chance.random()
    if draw < _SHARE_OF_NO_IMAGES:
        name = chance.choice(tuple(_NO_IMAGES))
        return ImageCase(number, f"no image: {name}", _NO_IMAGES[name](chance), broken=True)
    if draw < _SHARE_OF_NO_IMAGES + _SHARE_OF_KNOWN:
        name = chance.choice(_KNOWN)
        return ImageCase(number, f"known: {name.replace('_', ' ')}", HOSTILE[name][0](), broken=True)
    kind = chance.choice(FORMATS)
    coding = chance.choice(codings(kind))
    mutations = BY_FORMAT[kind] if chance.random() < 0.5 else ANY_FORMAT
    name = chance.choice(tuple(mutations))
    data = mutations[name](chance, good_picture(kind, coding))
    label = f"{kind}: {name} ({coding})"
    may_be_whole = (kind in ("png", "jpeg", "jpegxl") and coding in (*_MORE_THAN_ONE, _REFINED)) or (
        kind,
        name,
    ) == _NOISE
    # PDFium finds what it can of a PDF
    broken = name in _BROKEN and not may_be_whole and kind != "pdf"
    if data and chance.random() < _SHARE_TWICE:
        again = chance.choice(("bits flipped", "overwritten", "bytes lost", "cut"))
        data, label, broken = ANY_FORMAT[again](chance, data), f"{label}, {again}", False
    return ImageCase(number, label, data, broken)


def kind_of(case: ImageCase) -> str:
    """The kind without the coding and what came second: what a table counts by."""
    return case.kind.partition(" (")[0]


_KNOWN: Final = tuple(name for name, (_, code) in HOSTILE.items() if code is not None)


def _polyglot(chance: Random) -> bytes:
    """A file of another kind with a picture at its end."""
    return chance.choice((b"GIF8", b"%PDF-1.4\n", b"PK\x03\x04", b"<html>", b"RIFF\0\0\0\0WAVE")) + encoded(
        picture(), "PNG"
    )


_NO_IMAGES: Final[dict[str, Callable[[Random], bytes]]] = {
    "nothing": lambda _: b"",
    "one byte": lambda chance: chance.randbytes(1),
    "zeros": lambda chance: bytes(chance.choice((2, 16, 5_000, 1_000_000))),
    "random bytes": lambda chance: chance.randbytes(chance.choice((4, 100, 10_000, 300_000))),
    "text": lambda chance: ("It was a dark and stormy night. " * chance.randint(1, 200)).encode(),
    "json": lambda chance: b"[" * chance.choice((10, 100_000)),
    "zip": lambda _: zip_archive(),
    "pdf": lambda chance: b"%PDF-1.7\n" + chance.randbytes(500),
    "svg": lambda chance: b"<svg>" * chance.choice((1, 20_000)),
    "heif": lambda chance: b"\0\0\0\x18ftypheic" + chance.randbytes(300),
    "xml bomb": lambda _: b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><svg>&b;</svg>',
    "postscript": lambda _: b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file\n",
    "polyglot": _polyglot,
}
