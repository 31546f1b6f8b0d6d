"""Decode untrusted bytes into pages.

Everything that can be refused is refused before a pixel is decoded. What Pillow raises comes out as an error of
ocrqueue; MemoryError passes. Pillow's own switches stay as they are, but for MAX_IMAGE_PIXELS, which is raised where
`image_max_pixels` is above it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self

from PIL import Image

from ocrqueue.errors import (
    ErrorInfo,
    ImageCorrupt,
    ImageEmpty,
    ImageNotRecognised,
    ImageTooLarge,
    ImageTooManyPages,
    ImageTooSmall,
    ImageTruncated,
    error_from_info,
)
from ocrqueue.settings import Settings
from ocrqueue_worker.images.decompression_bombs import flood
from ocrqueue_worker.images.exif import DECODER_ERRORS, stated_dpi, upright_transposition
from ocrqueue_worker.images.formats import (
    FormatName,
    ends_early,
    gif_outline,
    looks_like,
    sniff_format,
    tiff_directories,
    tiff_page,
    without_metadata,
)
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.images.pixel_formats import to_grey_or_rgb
from ocrqueue_worker.images.png_completeness import may_be_short, png_data_is_short
from ocrqueue_worker.telemetry.native_stderr import silence_libtiff

_TIFF_BITS_PER_SAMPLE: Final = 258
_TIFF_PHOTOMETRIC: Final = 262
_TIFF_CHUNKS: Final = ((273, 279), (324, 325))
"""Offsets and byte counts of the strips, and of the tiles."""


def open_image(data: bytes, settings: Settings) -> SourceImage:
    """The pages in `data`, told by its content: PNG, JPEG, TIFF, WebP, GIF or BMP.

    Raises ImageEmpty, ImageNotRecognised, ImageTooManyPages, and, where it can be told before decoding,
    ImageTooLarge, ImageTooSmall, ImageTruncated, ImageCorrupt (a width or height of 0 among them).
    """
    if not data:
        raise ImageEmpty()
    kind = sniff_format(data)
    if kind is None:
        guess = looks_like(data)
        raise ImageNotRecognised(f"The bytes look like {guess}." if guess else None)
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, settings.image_max_pixels)
    return SourceImage(kind, data, settings)


class SourceImage:
    """An image file whose pages are decoded one at a time, on demand. A context manager; for one thread.

    Pages are the directories of a TIFF and the frames of a GIF or WebP, each as a viewer shows it. All other formats
    have one page: of an animated PNG the still image, of a stereo JPEG (MPO) the first.
    """

    def __init__(self, kind: FormatName, data: bytes, settings: Settings) -> None:
        self.format = kind
        self.page_count = 1
        self._data = data
        self._settings = settings
        self._directories: Sequence[int] = ()
        self._animation: Image.Image | None = None
        self._broken: tuple[int, ErrorInfo] | None = None
        self._survey()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free what decoding holds. Pages already given out stay."""
        if self._animation is not None:
            self._animation.close()
            self._animation = None

    def page(self, number: int) -> PageImage:
        """Decode page `number`, counted from 1.

        Raises ImageTooLarge, ImageTooSmall, ImageTruncated, ImageCorrupt: the other pages of a TIFF can be read all
        the same, those of an animation from a broken one on cannot. Raises IndexError where there is no such page.
        """
        if not 1 <= number <= self.page_count:
            raise IndexError(f"page {number} of {self.page_count}")
        if self._broken is not None and number >= self._broken[0]:
            raise error_from_info(self._broken[1])
        try:
            with self._decoding(number):
                return self._decode(number)
        except (ImageTruncated, ImageCorrupt) as error:
            if self._animation is not None:
                self._broken = (number, error.info)  # the exception's traceback would hold this object
                self.close()
            raise

    def _survey(self) -> None:
        """Count the pages and check what can be checked without decoding."""
        most = self._settings.image_max_pages
        self._check_parts(flood(self.format, self._data))
        if self.format == "TIFF":
            silence_libtiff()
            self._directories = tiff_directories(self._data, most + 1)
            self._set_page_count(len(self._directories))
            if self.page_count > 1:
                return  # each page is checked by itself, so that a bad one does not cost the others
        elif self.format == "GIF":
            outline = gif_outline(self._data, most + 1)
            self._check_parts(outline.flood)
            self._set_page_count(outline.frames)
            self._check_size((outline.width, outline.height), None)
        with self._decoding(None):
            image = self._open(1)
            if self.format == "WEBP":
                self._set_page_count(getattr(image, "n_frames", 1))
            self._check_size(image.size, None)

    def _check_parts(self, too_many: str | None) -> None:
        if too_many is not None:
            raise ImageCorrupt(f"The {self.format} file has {too_many}.", format=self.format)

    def _set_page_count(self, count: int) -> None:
        most = self._settings.image_max_pages
        if count > most:
            raise ImageTooManyPages(f"The image has more than {most} pages.", limit=most)
        if count < 1:
            error = ImageTruncated if ends_early(self.format, self._data) else ImageCorrupt
            raise error(f"The {self.format} file holds no picture.", format=self.format)
        self.page_count = count

    def _check_size(self, size: tuple[int, int], page: int | None) -> None:
        width, height = size
        most, least = self._settings.image_max_pixels, self._settings.image_min_side_px
        if width * height > most:
            raise ImageTooLarge(
                f"The image has {width} x {height} pixels, more than {most}.",
                width=width,
                height=height,
                limit=most,
                page=page,
            )
        if min(width, height) < 1:
            raise ImageCorrupt(f"The image has {width} x {height} pixels.", width=width, height=height, page=page)
        if min(width, height) < least:
            raise ImageTooSmall(
                f"The image has {width} x {height} pixels; {least} are the least on each side.",
                width=width,
                height=height,
                limit=least,
                page=page,
            )

    def _open(self, number: int) -> Image.Image:
        """Page `number`, its header read, its pixels not."""
        if self.format == "TIFF":
            return Image.open(BytesIO(tiff_page(self._data, self._directories[number - 1])), formats=["TIFF"])
        if self.format in ("GIF", "WEBP"):
            if self._animation is None:
                self._animation = Image.open(BytesIO(self._data), formats=[self.format])
            self._animation.seek(number - 1)
            return self._animation
        try:
            return Image.open(BytesIO(self._data), formats=[self.format])
        except DECODER_ERRORS:
            # A color profile or EXIF that is no good does not make the picture unreadable.
            for data in without_metadata(self.format, self._data):
                try:
                    image = Image.open(BytesIO(data), formats=[self.format])
                except DECODER_ERRORS:
                    continue
                self._data = data
                return image
            raise

    def _decode(self, number: int) -> PageImage:
        image = self._open(number)
        self._check_size(image.size, number)
        image.load()
        if self.format == "PNG" and may_be_short(image) and png_data_is_short(self._data):
            raise ImageTruncated("The PNG file has fewer rows than it announces.", format=self.format, page=number)
        transposition, dpi = upright_transposition(image), stated_dpi(image)
        tags: dict[int, Any] = getattr(image, "tag_v2", {})
        page = to_grey_or_rgb(
            image,
            depth=12 if tags.get(_TIFF_BITS_PER_SAMPLE) == (12,) else 16,
            white_is_zero=tags.get(_TIFF_PHOTOMETRIC) == 0,
        )
        if transposition is not None:
            page = page.transpose(transposition)
        elif page is self._animation:
            page = page.copy()
        page.info = {}
        return PageImage(number, page, dpi)

    @contextmanager
    def _decoding(self, page: int | None) -> Iterator[None]:
        """Whatever Pillow raises or warns of, as an error of ocrqueue."""
        where = f"page {page} of the {self.format} file" if page else f"the {self.format} file"
        with warnings.catch_warnings():
            # By module and not for all: filters belong to the process, and other threads may be running.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            try:
                yield
            except Image.DecompressionBombError as error:
                most = self._settings.image_max_pixels
                raise ImageTooLarge(f"The image has more than {most} pixels.", limit=most, page=page) from error
            except DECODER_ERRORS as error:
                if "out of memory" in str(error):
                    raise MemoryError(f"decoding {where}") from error
                if self._is_truncated(error, page):
                    raise ImageTruncated(f"Data is missing from {where}.", format=self.format, page=page) from error
                raise ImageCorrupt(f"The data of {where} cannot be decoded.", format=self.format, page=page) from error

    def _is_truncated(self, error: BaseException, page: int | None) -> bool:
        if "truncated" in str(error).lower() or ends_early(self.format, self._data):
            return True
        if self.format != "TIFF" or not self._directories:
            return False
        data = tiff_page(self._data, self._directories[(page or 1) - 1])
        return ends_early("TIFF", data) or _strips_are_missing(data)


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
