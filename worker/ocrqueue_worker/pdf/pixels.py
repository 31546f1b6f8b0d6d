"""A picture as two processes share it: in a file that is nowhere on a disk, and whose descriptor is sent."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

_LAYOUTS: Final = {"L": ("L", 1), "RGB": ("RGB", 3), "BGR": ("RGB", 3)}
"""Pillow's mode, and bytes a pixel."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """Rows from the top, `stride` bytes each. The descriptor `file` is the holder's to close."""

    file: int
    size: tuple[int, int]
    layout: str
    stride: int

    @classmethod
    def of(cls, image: Image.Image) -> Pixels:
        """The pixels of an image of mode L or RGB."""
        file = memory_file(image.tobytes())
        return cls(file, image.size, image.mode, image.width * _LAYOUTS[image.mode][1])

    def to_message(self) -> dict[str, Any]:
        return {"size": self.size, "layout": self.layout, "stride": self.stride}

    @classmethod
    def said(cls, said: Mapping[str, Any], file: int, most: int) -> Pixels:
        """Raises ValueError for what cannot be, or is more than `most` pixels: who says it has read a hostile file."""
        (width, height), layout, stride = map(int, said["size"]), str(said["layout"]), int(said["stride"])
        if width < 1 or height < 1 or width * height > most or stride < width * _LAYOUTS[layout][1]:
            raise ValueError("no picture of this size was asked for")
        if os.fstat(file).st_size < stride * height:
            raise ValueError("pixels are missing")
        return cls(file, (width, height), layout, stride)

    def image(self) -> Image.Image:
        with mmap.mmap(self.file, self.stride * self.size[1], prot=mmap.PROT_READ) as mapped:
            mode, data = _LAYOUTS[self.layout][0], memoryview(mapped)
            try:
                return Image.frombytes(mode, self.size, data, "raw", self.layout, self.stride, 1)
            finally:
                data.release()

    def close(self) -> None:
        os.close(self.file)


def memory_file(data: bytes | int) -> int:
    """A descriptor of a file in memory that holds `data`, or so many zeros."""
    file = os.memfd_create("ocrqueue")
    try:
        if isinstance(data, int):
            os.ftruncate(file, data)
        else:
            with open(file, "wb", closefd=False) as opened:
                opened.write(data)
    except BaseException:
        os.close(file)
        raise
    return file
