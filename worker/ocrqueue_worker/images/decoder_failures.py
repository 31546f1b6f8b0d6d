"""Whatever Pillow raises or warns of while it decodes, as an error of ocrqueue that says what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

from PIL import Image

from ocrqueue.document.formats.resolution import DECODER_ERRORS
from ocrqueue.document.signatures import ImageFormat
from ocrqueue.errors import ImageCorrupt, ImageTooLarge, ImageTruncated, ImageUnsupported
from ocrqueue_worker.images.codecs import is_for_codecs, reads, require
from ocrqueue_worker.images.formats import ends_early
from ocrqueue_worker.images.unusual_codings import unusual_coding

_TIFF_CHUNKS: Final = ((273, 279), (324, 325))
"""Offsets and byte counts of the strips, and of the tiles."""


@contextmanager
def told_as_errors(
    kind: ImageFormat,
    whole: Callable[[], bytes],
    most_pixels: int,
    page: int | None,
    tiff_page: Callable[[], bytes] | None,
) -> Iterator[None]:
    """`whole` gives the file as it is then, `tiff_page` the page as a TIFF of its own, where it is one.

    Raises ImageTooLarge, ImageTruncated, ImageUnsupported, ImageCorrupt. MemoryError passes.
    """
    where = f"page {page} of the {kind} file" if page else f"the {kind} file"
    with warnings.catch_warnings():
        # By module and not for all: filters belong to the process, and other threads may be running.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            yield
        except Image.DecompressionBombError as error:
            most = most_pixels
            raise ImageTooLarge(f"The image has more than {most} pixels.", limit=most, page=page) from error
        except DECODER_ERRORS as error:
            if "out of memory" in str(error):
                raise MemoryError(f"decoding {where}") from error
            if _is_truncated(error, kind, whole(), tiff_page):
                raise ImageTruncated(f"Data is missing from {where}.", format=kind, page=page) from error
            coding = unusual_coding(kind, tiff_page() if tiff_page else whole())
            if coding is not None and not reads(coding):
                if is_for_codecs(coding):
                    require(coding, kind)
                raise ImageUnsupported(
                    f"{where[0].upper()}{where[1:]} is coded as {coding}, which is not read here.",
                    format=kind,
                    coding=coding,
                    page=page,
                ) from error
            raise ImageCorrupt(f"The data of {where} cannot be decoded.", format=kind, page=page) from error


def _is_truncated(error: BaseException, kind: ImageFormat, data: bytes, tiff_page: Callable[[], bytes] | None) -> bool:
    if "truncated" in str(error).lower() or ends_early(kind, data):
        return True
    if tiff_page is None:
        return False
    page = tiff_page()
    return ends_early("TIFF", page) or _strips_are_missing(page)


def _strips_are_missing(data: bytes) -> bool:
    """Whether a strip or tile of the TIFF's first page lies beyond the data."""
    try:
        tags: dict[int, Any] = getattr(Image.open(BytesIO(data), formats=["TIFF"]), "tag_v2", {})
        return any(
            offset + size > len(data)
            for offsets, sizes in _TIFF_CHUNKS
            for offset, size in zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False)
        )
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return False
