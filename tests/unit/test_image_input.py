"""What can be handed over as an image, and the bytes that are made of it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ocrqueue.errors import JobMalformed, SourceNotFound
from ocrqueue.submitting.image_input import content_of, is_single, name_of


def read(image: Any) -> bytes:
    content = content_of(image)
    assert content is not None
    return content()


def picture_of(image: Any) -> Image.Image:
    return Image.open(io.BytesIO(read(image)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "PA", "I;16"])
def test_a_picture_of_pillow_is_sent_without_loss(mode: str) -> None:
    picture = Image.new("L", (7, 5), 200).convert(mode) if mode != "I;16" else Image.new(mode, (7, 5), 1234)
    sent = picture_of(picture)
    assert (sent.format, sent.size) == ("PNG", (7, 5))
    if mode in {"1", "L", "RGB", "RGBA", "LA"}:
        assert sent.mode == mode
        assert sent.tobytes() == picture.tobytes()


def test_its_resolution_is_kept() -> None:
    picture = Image.new("L", (7, 5))
    picture.info["dpi"] = (300, 300)
    assert picture_of(picture).info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_an_array_of_pixels_is_sent_as_it_is(shape: tuple[int, ...]) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    sent = picture_of(pixels)
    assert sent.size == (7, 5)
    assert (np.asarray(sent).reshape(shape) == pixels).all()
    assert (np.asarray(picture_of(pixels[::-1, ::-1])).reshape(shape) == pixels[::-1, ::-1]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((5, 7)),
        np.zeros((5, 7, 2, 2), np.uint8),
        np.zeros((5, 7, 5), np.uint8),
        Image.new("F", (7, 5)),
        io.StringIO("text"),
        7,
        None,
        object(),
        "",
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_is_no_image_is_malformed(wrong: Any) -> None:
    with pytest.raises(JobMalformed):
        read(wrong)


def test_what_is_no_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for wrong, said in (
        (tmp_path / "b.png", "There is no file"),
        (tmp_path / "a.png" / "b.png", "There is no file"),
        (tmp_path, f"{tmp_path} is a folder. Give the files"),
        ("x" * 5000, "No file has a name as long as 'xxx"),
    ):
        with pytest.raises(SourceNotFound, match=re.escape(said)) as refused:
            read(wrong)
        assert len(str(refused.value)) < 300


def test_what_is_handed_over_may_be_closed_or_changed_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"as it was")
    with (tmp_path / "a.png").open("rb") as file:
        of_file = content_of(file)
    buffer = bytearray(b"as it was")
    of_buffer = content_of(buffer)
    buffer[:] = b"otherwise"
    pixels = np.zeros((5, 7), np.uint8)
    of_array = content_of(pixels)
    pixels[:] = 255
    assert of_file is not None
    assert of_buffer is not None
    assert of_array is not None
    assert of_file() == of_buffer() == b"as it was"
    assert Image.open(io.BytesIO(of_array())).getextrema() == (0, 0)


def test_files_have_names(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    Image.new("L", (7, 5)).save(path)
    with path.open("rb") as file:
        assert name_of(file) == "a b.png"
    with Image.open(path) as picture:
        assert name_of(picture) == "a b.png"
    assert name_of(str(path)) == name_of(path) == "a b.png"
    assert name_of(b"bytes") is None
    assert name_of(io.BytesIO()) is None
    assert name_of("\udcff.png") == "?.png"


def test_one_image_is_not_several() -> None:
    for one in ("a", b"a", bytearray(b"a"), Path("a"), io.BytesIO(), np.zeros((5, 7, 3), np.uint8)):
        assert is_single(one)
    for several in (["a"], (), {"a"}, iter("a"), np.zeros((2, 5, 7, 3), np.uint8)):
        assert not is_single(several)
