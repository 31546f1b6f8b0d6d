"""A page drawn as pixels."""

from __future__ import annotations

import ctypes
import mmap
from typing import Final

from pypdfium2 import raw

from ocrqueue_worker.pdf.library import Handle
from ocrqueue_worker.pdf.pixels import Pixels, memory_file

_WHITE: Final = 0xFFFFFFFF


def render(page: Handle, form: Handle | None, size: tuple[int, int]) -> Pixels:
    """The page at `size` pixels, as a viewer shows it. `form`: what draws the document's form fields."""
    width, height = size
    stride = -(-3 * width // 4) * 4
    drawn = Pixels(memory_file(stride * height), size, "BGR", stride)
    try:
        with mmap.mmap(drawn.file, stride * height) as mapped:
            first = (ctypes.c_ubyte * (stride * height)).from_buffer(mapped)
            try:
                _draw(page, form, size, first, stride)
            finally:
                del first  # or the map cannot be closed
    except BaseException:
        drawn.close()
        raise
    return drawn


def _draw(page: Handle, form: Handle | None, size: tuple[int, int], pixels: object, stride: int) -> None:
    width, height = size
    bitmap = raw.FPDFBitmap_CreateEx(width, height, raw.FPDFBitmap_BGR, pixels, stride)
    if not bitmap:
        raise MemoryError(f"a page of {width} x {height} pixels")
    try:
        raw.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, _WHITE)
        raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, raw.FPDF_ANNOT)
        if form is not None:
            raw.FPDF_FFLDraw(form, bitmap, page, 0, 0, width, height, 0, raw.FPDF_ANNOT)
    finally:
        raw.FPDFBitmap_Destroy(bitmap)
