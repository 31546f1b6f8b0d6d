"""A page as engines get it."""

from __future__ import annotations

from dataclasses import dataclass

from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class PageImage:
    """One decoded page.

    `image` has mode "L" or "RGB", 8 bits a channel, EXIF orientation applied, transparency laid on white or on what
    shows it better. `dpi` is dots per inch as the file states it, None where it does not or cannot be right.
    `file_size` is the width and height in the file's own pixels, where `image` was stretched to have square ones.
    """

    number: int
    image: Image
    dpi: float | None = None
    file_size: tuple[int, int] | None = None
