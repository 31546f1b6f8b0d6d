"""The pictures of an image file's pages, as a viewer shows them: the frame that a Document's coordinates are in."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from PIL import Image, ImageOps, UnidentifiedImageError

from ocrqueue.document.formats.resolution import Axes, viewed_axes
from ocrqueue.document.signatures import is_pdf
from ocrqueue.errors import (
    ImageCorrupt,
    ImageEmpty,
    ImageNotRecognised,
    ImageTooLarge,
    ImageTruncated,
    ImageUnsupported,
    OcrQueueError,
    PageNotFound,
)

FORMATS_READ: Final = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000", "PPM", "PCX")
"""Of Pillow; and HEIF, where pillow-heif is registered with it."""
MAX_PIXELS: Final = 75_000_000
_ONE_PAGE: Final = ("PNG", "JPEG", "MPO", "HEIF")
"""Of what else they hold, workers read the first picture, or the main one."""
_SECONDARY: Final[dict[int, Callable[[int], bool]]] = {
    254: lambda value: bool(value & 0b101),
    255: lambda value: value == 2,
    262: lambda value: value == 4,
}
"""Tags of TIFF 6.0 by which a directory is a smaller copy of a page, or a mask."""

_Made = TypeVar("_Made")


class ImageFile:
    """An image file whose pages are decoded one at a time. A context manager; for one thread.

    Pages are counted as workers count them: thumbnails and masks of a TIFF are none.
    """

    def __init__(
        self,
        data: bytes,
        *,
        max_pixels: int = MAX_PIXELS,
        otherwise: Callable[[int], Image.Image] | None = None,
        password: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`otherwise` gives the picture of a page that cannot be decoded here, and may raise. `password` opens a
        PDF; it is asked only where that is encrypted."""
        self.data = data
        self.password = password
        self._max_pixels = max_pixels
        self._otherwise = otherwise
        self._image: Image.Image | None = None
        self._frames: list[int] | None = None
        self.axes: Axes | None = None
        """Dots per inch across and down that the file states of the page that was read last, as it is viewed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._image is not None:
            self._image.close()
            self._image = None

    def picture(self, number: int) -> Image.Image:
        """Page `number` (from 1), mode RGB, EXIF orientation applied, transparency on white. Raises as read()."""
        return self.read(number, lambda image: _on_white(ImageOps.exif_transpose(image)))

    def read(self, number: int, make: Callable[[Image.Image], _Made]) -> _Made:
        """What `make` makes of page `number` (from 1), decoded and as it is stored.

        Raises ImageEmpty, ImageNotRecognised, ImageTooLarge (more pixels than allowed), ImageTruncated, ImageCorrupt or
        PageNotFound.
        """
        try:
            with _decoding(self._max_pixels):
                return make(self._page(number))
        except OcrQueueError:
            # the next page begins with a file that is as it was
            self.close()
            if self._otherwise is None:
                raise
        return make(self._otherwise(number))

    def _page(self, number: int) -> Image.Image:
        self.axes = None
        if not self.data:
            raise ImageEmpty
        if is_pdf(self.data):
            raise ImageUnsupported(
                "It is a PDF, and its pages are not pictures.",
                remedy="Mark its words in the PDF itself: to_overlay_pdf(), or `ocrqueue overlay ID -O page.pdf`.",
            )
        image = self._opened()
        if not 1 <= number <= self._count(image):
            raise PageNotFound(f"The image has no page {number}.")
        image.seek(number - 1 if self._frames is None else self._frames[number - 1])
        if image.width * image.height > self._max_pixels:
            raise ImageTooLarge(f"The page has {image.width} x {image.height} pixels; {self._max_pixels} are allowed.")
        if image.format == "TIFF":
            # Pillow turns it while loading, and then forgets its orientation
            self.axes = viewed_axes(image)
        image.load()
        if image.format != "TIFF":
            # asked for its EXIF before, a PNG is loaded, and what is wrong with it is not told a second time
            self.axes = viewed_axes(image)
        return image

    def _opened(self) -> Image.Image:
        if self._image is None:
            formats = [*FORMATS_READ, *(["HEIF"] if "HEIF" in Image.OPEN else [])]
            self._image = Image.open(BytesIO(self.data), formats=formats)
        return self._image

    def _count(self, image: Image.Image) -> int:
        if image.format in _ONE_PAGE:
            return 1
        if image.format != "TIFF":
            return getattr(image, "n_frames", 1)
        if self._frames is None:
            self._frames = _pages_of_tiff(image)
        return len(self._frames)


def open_page(data: bytes, page_number: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """ImageFile.picture() of one page. Raises what ImageFile.read() raises."""
    with ImageFile(data, max_pixels=max_pixels) as file:
        return file.picture(page_number)


@contextmanager
def _decoding(max_pixels: int) -> Iterator[None]:
    """Turn what Pillow raises into errors of ocrqueue."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
    try:
        with warnings.catch_warnings():
            # What Pillow warns of, such as broken metadata, either ends in an error below or does not matter.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    except (OcrQueueError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise ImageNotRecognised from None
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"The page has more than twice the {max_pixels} pixels that are allowed.") from None
    except Exception as error:  # Pillow's decoders raise errors of a dozen kinds on data that is not as it should be
        raise (ImageTruncated if "truncated" in str(error) else ImageCorrupt) from error


def _pages_of_tiff(image: Image.Image) -> list[int]:
    """The frames that are pages; all of them where none is."""
    frames, pages = 0, []
    while True:
        try:
            image.seek(frames)
        except EOFError:
            break
        if not _is_secondary(image):
            pages.append(frames)
        frames += 1
    return pages or list(range(frames))


def _is_secondary(image: Image.Image) -> bool:
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    found = ((tags.get(tag), tells) for tag, tells in _SECONDARY.items())
    return any(isinstance(value, int) and tells(value) for value, tells in found)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 instead of scaling.
        image = image.point(lambda value: value * (1 / 257)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
