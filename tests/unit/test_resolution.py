"""How dense an image file says that it is, across and down."""

from __future__ import annotations

from io import BytesIO
from math import inf, nan
from typing import Any

import pytest
from PIL import Image

from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.document.formats.resolution import Axes, page_axes
from ocrqueue.errors import PageNotFound

FAX = (1728, 1078)


@pytest.mark.parametrize(
    ("axes", "size", "dpi", "taken"),
    [
        ((204.0, 98.0), FAX, 204.0, True),
        ((98.0, 204.0), FAX, 204.0, True),
        ((204.0, 391.0), FAX, None, True),
        ((204.0, 196.0), FAX, 200.0, True),
        ((300.0, 72.0), FAX, None, False),
        ((204.0, 98.0), FAX, 300.0, False),
        ((204.0, 98.0), FAX, nan, False),
        ((0.0, 98.0), FAX, None, False),
        ((0.0, 0.0), FAX, None, False),
        ((-204.0, -98.0), FAX, None, False),
        ((1e300, 1e300), FAX, None, False),
        ((inf, inf), FAX, None, False),
        ((nan, 98.0), FAX, None, False),
        ((20.0, 10.0), (9000, 9000), None, False),
        ((4000.0, 2000.0), (400, 200), None, False),
        (None, FAX, 204.0, False),
    ],
)
def test_two_resolutions_are_taken_where_a_page_can_have_them(
    axes: Axes | None, size: tuple[int, int], dpi: float | None, taken: bool
) -> None:
    assert page_axes(axes, size, dpi) == (axes if taken else None)


def encoded(kind: str, size: tuple[int, int], **options: Any) -> bytes:
    written = BytesIO()
    Image.new("L", size, 255).save(written, kind, **options)
    return written.getvalue()


def axes_of(data: bytes, number: int = 1) -> Axes | None:
    with ImageFile(data) as file:
        file.read(number, lambda image: image.size)
        return file.axes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_what_is_turned_by_a_quarter_has_its_axes_swapped(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    axes = axes_of(encoded(kind, (60, 40), exif=exif, dpi=(204, 98)))
    assert axes == ((204, 98) if orientation < 5 else (98, 204))


def test_units_of_a_tiff() -> None:
    metric = axes_of(encoded("TIFF", FAX, tiffinfo={282: 80.3, 283: 38.5, 296: 3}))
    assert metric == pytest.approx((204, 97.8), abs=0.1)
    assert axes_of(encoded("TIFF", FAX, tiffinfo={282: 204.0, 283: 98.0, 296: 2})) == (204, 98)
    assert axes_of(encoded("PNG", FAX)) is None


def test_what_a_page_states_is_not_kept_for_the_next_file() -> None:
    with ImageFile(encoded("TIFF", FAX, dpi=(204, 98))) as file:
        file.read(1, lambda image: image.size)
        assert file.axes == (204, 98)
        with pytest.raises(PageNotFound):
            file.read(2, lambda image: image.size)
        assert file.axes is None
