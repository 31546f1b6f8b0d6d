"""The scan that a page is: one picture from edge to edge, and nothing else that could be seen."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from PIL import Image, ImageChops, ImageStat
from pypdfium2 import raw

from ocrqueue_worker.pdf.library import Handle
from ocrqueue_worker.pdf.rendering import render

_MOST_OBJECTS: Final = 20_000
"""That are looked at: the words of an invisible text lie on many a scan."""
_EDGE_PX: Final = 1.0
"""How far, in its own pixels, the picture may end from the page's edge."""
_SQUARE: Final = 0.01
"""By which share its pixels may be wider than high, or higher than wide."""
_LOOK_PX: Final = 256
_ALIKE: Final = 10.0
"""Mean difference of levels between the page as it is drawn small, and its picture: more is another picture."""
_LEAST_DPI: Final = 72.0
_TURNS: Final = {1: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_90}
"""By the quarters by which the page is turned clockwise."""


def scan_of(page: Handle, points: tuple[float, float], max_pixels: int) -> Image.Image | None:
    """The picture that the page of so many points is, upright as the page is shown, mode L or RGB; else None.

    Whether it is what the page shows is looked at: masks, inverted bits and what lies on it are told so.
    """
    if raw.FPDFPage_GetAnnotCount(page) > 0:
        return None
    found = _only_picture(page)
    if found is None:
        return None
    quarters = raw.FPDFPage_GetRotation(page) % 4
    size = _pixel_size(found)
    if size is None or size[0] * size[1] > max_pixels or not _fills(page, found, points, size, quarters):
        return None
    picture = _decoded(found)
    if picture is None or picture.size != size:
        return None
    if quarters:
        picture = picture.transpose(_TURNS[quarters])
    return picture if _is_what_is_seen(page, picture) else None


def _only_picture(page: Handle) -> Handle | None:
    """The page's one image, if all else on it is text that is not drawn."""
    count, found = raw.FPDFPage_CountObjects(page), None
    if not 1 <= count <= _MOST_OBJECTS:
        return None
    for number in range(count):
        each = raw.FPDFPage_GetObject(page, number)
        kind = raw.FPDFPageObj_GetType(each)
        if kind == raw.FPDF_PAGEOBJ_IMAGE and found is None:
            found = each
        elif kind != raw.FPDF_PAGEOBJ_TEXT or (
            raw.FPDFTextObj_GetTextRenderMode(each) != raw.FPDF_TEXTRENDERMODE_INVISIBLE
        ):
            return None
    return found


def _pixel_size(image: Handle) -> tuple[int, int] | None:
    width, height = ctypes.c_uint(), ctypes.c_uint()
    known = raw.FPDFImageObj_GetImagePixelSize(image, width, height)
    return (width.value, height.value) if known and width.value and height.value else None


def _fills(page: Handle, image: Handle, points: tuple[float, float], size: tuple[int, int], quarters: int) -> bool:
    """Whether the picture lies upright in the page's own frame, from edge to edge, with square pixels."""
    matrix = raw.FS_MATRIX()
    sides = [ctypes.c_float() for _ in range(4)]
    if not raw.FPDFPageObj_GetMatrix(image, matrix) or not raw.FPDFPageObj_GetBounds(image, *sides):
        return False
    if matrix.a <= 0 or matrix.d <= 0 or abs(matrix.b) > 0.01 or abs(matrix.c) > 0.01:
        return False
    own = points[::-1] if quarters % 2 else points
    across, down = size[0] / own[0], size[1] / own[1]
    if not 1 - _SQUARE <= across / down <= 1 + _SQUARE or across * 72 < _LEAST_DPI:
        return False
    # where its corners are once the page is shown, at a scale of a picture's pixel
    width, height = round(points[0] * across), round(points[1] * across)
    left, bottom, right, top = (side.value for side in sides)
    corners = [_shown(page, (width, height), x, y) for x, y in ((left, top), (right, bottom))]
    xs, ys = sorted(x for x, _ in corners), sorted(y for _, y in corners)
    offsets = (xs[0], ys[0], xs[1] - width, ys[1] - height)
    return all(abs(offset) <= _EDGE_PX for offset in offsets)


def _shown(page: Handle, size: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, *size, 0, x, y, across, down)
    return across.value, down.value


def _decoded(image: Handle) -> Image.Image | None:
    bitmap = raw.FPDFImageObj_GetBitmap(image)
    if not bitmap:
        return None
    try:
        layout = {
            raw.FPDFBitmap_Gray: ("L", "L"),
            raw.FPDFBitmap_BGR: ("RGB", "BGR"),
            raw.FPDFBitmap_BGRx: ("RGB", "BGRX"),
        }.get(raw.FPDFBitmap_GetFormat(bitmap))
        if layout is None:
            return None
        size = raw.FPDFBitmap_GetWidth(bitmap), raw.FPDFBitmap_GetHeight(bitmap)
        stride = raw.FPDFBitmap_GetStride(bitmap)
        pixels = ctypes.cast(
            raw.FPDFBitmap_GetBuffer(bitmap), ctypes.POINTER(ctypes.c_ubyte * (stride * size[1]))
        ).contents
        return Image.frombytes(layout[0], size, memoryview(pixels), "raw", layout[1], stride, 1)
    finally:
        raw.FPDFBitmap_Destroy(bitmap)


def _is_what_is_seen(page: Handle, picture: Image.Image) -> bool:
    scale = min(1.0, _LOOK_PX / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    look = render(page, None, size)
    try:
        drawn = look.image().convert("L")
    finally:
        look.close()
    small = picture.convert("L").resize(size, Image.Resampling.BOX)
    stat: Any = ImageStat.Stat(ImageChops.difference(drawn, small))
    return bool(stat.mean[0] <= _ALIKE)
