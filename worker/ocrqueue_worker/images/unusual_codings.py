"""Names of the codings that are not read, for a file against which nothing else is to be said."""

from __future__ import annotations

from typing import Final

from ocrqueue.document.signatures import ImageFormat
from ocrqueue_worker.images.jpeg_structure import jpeg_structure
from ocrqueue_worker.images.tiff_structure import first_directory, tiff_tags

_COMPRESSIONS: Final = {
    6: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    22610: "JPEG XR",
    32766: "NeXT",
    32809: "ThunderScan",
    32895: "IT8",
    32896: "IT8",
    32897: "IT8",
    32898: "IT8",
    32908: "PixarFilm",
    32909: "PixarLog",
    32947: "Kodak DCS",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI Log",
    34677: "SGI Log",
    34712: "JPEG 2000",
    34715: "JBIG2",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA",
    34926: "Zstandard",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Beyond TIFF 6.0 and what everybody reads: what libtiff, GDAL, Aperio and DNG register."""
_READ: Final = frozenset((1, 2, 3, 4, 5, 7, 8, 32773, 32946))
_JPEG, _FLOATS = 7, 3
_BMP_COMPRESSIONS: Final = {4: "JPEG", 5: "PNG", 11: "CMYK", 12: "CMYK", 13: "CMYK"}


def unusual_coding(kind: ImageFormat, data: bytes) -> str | None:
    """How the file is coded, of a TIFF its first page, where that is not read; None where it is, or is not known."""
    match kind:
        case "JPEG":
            return jpeg_structure(data).unusual
        case "TIFF":
            return _of_tiff(data)
        case "BMP":
            name = _BMP_COMPRESSIONS.get(int.from_bytes(data[30:34], "little"))
            return f"{name} in BMP" if name else None
    return None


def _of_tiff(data: bytes) -> str | None:
    tags = tiff_tags(data, first_directory(data))
    (compression, *_) = tags.get(259) or (1,)
    if compression == _JPEG:
        strips, sizes = tags.get(273) or tags.get(324) or (), tags.get(279) or tags.get(325) or ()
        inner = jpeg_structure(data[strips[0] : strips[0] + sizes[0]]).unusual if strips and sizes else None
        return f"{inner} in TIFF" if inner else None
    if compression not in _READ:
        return f"{_COMPRESSIONS.get(compression, f'compression {compression}')} in TIFF"
    return _layout(tags) if _is_odd(tags) else None


def _layout(tags: dict[int, tuple[int, ...]]) -> str:
    channels, bits = (tags.get(277) or (1,))[0], (tags.get(258) or (1,))[0]
    kind = {1: "", 2: "signed ", _FLOATS: "floating-point "}.get((tags.get(339) or (1,))[0], "complex ")
    return f"TIFF of {channels} {kind}channel{'s' if channels > 1 else ''} of {bits} bits"


def _is_odd(tags: dict[int, tuple[int, ...]]) -> bool:
    channels, bits = (tags.get(277) or (1,))[0], set(tags.get(258) or (1,))
    if len(bits) > 1 or ((tags.get(262) or (1,))[0] == 0 and (bits == {32} or 339 in tags)):
        return True
    if (tags.get(339) or (1,))[0] not in (1, 2, 4):
        return not (channels == 1 and bits == {32})
    return not (bits <= {8} and channels <= 4) and not (channels == 1 and bits <= {1, 2, 4, 8, 12, 16, 32})
