"""Markers of a JPEG are found in a time that grows with its bytes, whatever fills it."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from ocrqueue_worker.images.decompression_bombs import flood
from ocrqueue_worker.images.jpeg_structure import jpeg_structure

FILL = b"\xff" * 1_000_000
"""A search that begins anew at each of them takes hours."""


@pytest.mark.parametrize("end", [b"", b"\0", b"\xd0", b"\1"], ids=["none", "zero", "restart", "temporary"])
def test_fill_bytes_before_no_marker_take_no_time(end: bytes) -> None:
    data = b"\xff\xd8" + FILL + end
    assert flood("JPEG", data) is None
    structure = jpeg_structure(data)
    assert (structure.frame, structure.has_scan, structure.ends) == (0, False, False)


def test_fill_bytes_before_a_marker_are_counted_and_change_nothing_else() -> None:
    picture = BytesIO()
    Image.new("L", (40, 24), 200).save(picture, "JPEG")
    plain = picture.getvalue()
    few = plain[:2] + FILL[:1000] + plain[2:]
    assert flood("JPEG", few) is None
    assert jpeg_structure(few) == jpeg_structure(plain)
    assert flood("JPEG", plain[:2] + FILL + plain[2:]) == "more than 100000 segments and fill bytes"
    # they add up: those of one marker alone are allowed
    halves = b"\xff\xd8" + 2 * (FILL[:60_000] + b"\xfe\0\2")
    assert flood("JPEG", halves) == "more than 100000 segments and fill bytes"
    # bytes of a scan that mean 0xff are none
    assert flood("JPEG", plain[:-2] + b"\xff\0" * 200_000 + plain[-2:]) is None
