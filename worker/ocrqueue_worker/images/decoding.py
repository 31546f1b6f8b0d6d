"""Decode untrusted bytes into pages.

Everything that can be refused is refused before a pixel is decoded. What Pillow raises comes out as an error of
ocrqueue; MemoryError passes. Pillow's own switches stay as they are, but for MAX_IMAGE_PIXELS, which is raised where
`image_max_pixels` is above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import Final, Self

from PIL import Image

from ocrqueue.document import DocumentWarning
from ocrqueue.document.formats.resolution import DECODER_ERRORS
from ocrqueue.document.signatures import ImageFormat, image_format
from ocrqueue.errors import (
    ErrorInfo,
    ImageCorrupt,
    ImageEmpty,
    ImageNotRecognised,
    ImageTruncated,
    ImageUnsupported,
    error_from_info,
)
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.images.damage import TOLERATED, Damage, grey_at_the_end, without_missing_rows
from ocrqueue_worker.images.decoder_failures import told_as_errors
from ocrqueue_worker.images.decompression_bombs import flood
from ocrqueue_worker.images.exif import swaps_axes, upright_transposition
from ocrqueue_worker.images.formats import gif_outline, without_metadata
from ocrqueue_worker.images.heif import prepare_heif
from ocrqueue_worker.images.jpeg_structure import jpeg_structure, repaired_jpeg
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.images.page_making import page_of
from ocrqueue_worker.images.png_completeness import may_be_short, png_data_is_short
from ocrqueue_worker.images.png_repair import repaired_png
from ocrqueue_worker.images.rare_files import RareFile, rare_file
from ocrqueue_worker.images.signs import looks_like
from ocrqueue_worker.images.size_limits import check_page_count, check_size
from ocrqueue_worker.images.tiff_cut_off import at_full_height, cut_page
from ocrqueue_worker.images.tiff_reading import grey_of_channels, is_misread, open_tiff, page_of_parts, turned_over
from ocrqueue_worker.images.tiff_structure import (
    first_directory,
    pages_among,
    tiff_directories,
    tiff_page,
    tiff_tags,
)
from ocrqueue_worker.images.warnings import warning
from ocrqueue_worker.telemetry.native_stderr import silence_libtiff

_PILLOW_NAMES: Final[dict[ImageFormat, str]] = {"PNM": "PPM"}
_TIFF_PHOTOMETRIC: Final = 262


def open_image(data: bytes, settings: WorkerSettings, *, read_truncated: bool = False) -> SourceImage:
    """The pages in `data`, told by its content: PNG, JPEG, TIFF, WebP, GIF, BMP, HEIF, AVIF, JPEG 2000,
    JPEG XL, PNM or PCX.

    With `read_truncated`, a page that is cut off is read as far as it is there, if its format allows it.

    Raises ImageEmpty, ImageNotRecognised, ImageTooManyPages, and, where it can be told before decoding,
    ImageTooLarge, ImageTooSmall, ImageTruncated, ImageUnsupported, ImageCorrupt (a width or height of 0 among them).
    """
    if not data:
        raise ImageEmpty()
    kind = image_format(data)
    if kind is None:
        guess = looks_like(data)
        raise ImageNotRecognised(f"The bytes look like {guess}." if guess else None)
    if kind == "HEIF":
        prepare_heif()
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, settings.image_max_pixels)
    return SourceImage(kind, data, settings, read_truncated)


class SourceImage:
    """An image file whose pages are decoded one at a time, on demand. A context manager; for one thread.

    Pages are the directories of a TIFF, without thumbnails and masks, and the frames of a GIF, WebP or AVIF, each as a
    viewer shows it. All other formats have one page: of an animated PNG the still image, of a stereo JPEG (MPO) the
    first, of a HEIF with several the main one.
    """

    def __init__(self, kind: ImageFormat, data: bytes, settings: WorkerSettings, read_truncated: bool = False) -> None:
        self.format = kind
        self.is_protected = False
        self.page_count = 1
        self.truncated: dict[int, ErrorInfo] = {}
        """Those of the decoded pages that are cut off."""
        self._data = data
        self._settings = settings
        self._read_truncated = read_truncated
        self._directories: Sequence[int] = ()
        self._animation: Image.Image | None = None
        self._rare: RareFile | None = None
        self._broken: tuple[int, ErrorInfo] | None = None
        self._damage: Damage | None = None
        self._warnings: dict[DocumentWarning, None] = {}
        self._survey()

    @property
    def warnings(self) -> tuple[DocumentWarning, ...]:
        """What was wrong with the file and with the pages that were decoded so far."""
        return tuple(self._warnings)

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
        except (ImageTruncated, ImageCorrupt, ImageUnsupported) as error:
            if self._animation is not None:
                self._broken = (number, error.info)  # the exception's traceback would hold this object
                self.close()
            elif self._mend():
                with suppress(ImageCorrupt), self._decoding(number):
                    return self._decode(number)
            elif not isinstance(error, ImageTruncated) and (rare := self._rare_page(number)) is not None:
                return rare
            elif isinstance(error, ImageTruncated) and (part := self._cut_page(number, error)) is not None:
                return part
            raise

    def _survey(self) -> None:
        """Count the pages and check what can be checked without decoding."""
        most = self._settings.image_max_pages
        self._check_parts(flood(self.format, self._data))
        if self.format == "TIFF":
            silence_libtiff()
            # each page may have a thumbnail and a mask
            directories = tiff_directories(self._data, 3 * (most + 1))
            self._directories = pages_among(self._data, directories)
            self._set_page_count(len(self._directories))
            return  # each page is checked by itself, so that a bad one does not cost the others
        if self.format == "GIF":
            outline = gif_outline(self._data, most + 1)
            self._check_parts(outline.flood)
            self._set_page_count(outline.frames)
            if not outline.complete:
                # it says nowhere how many frames there are: nobody misses those behind a cut between two
                self._warn(
                    warning("image.end_missing", detail="the end marker, and frames before it if there were more")
                )
            check_size((outline.width, outline.height), self._settings, None)
        with self._decoding(None):
            self._rare = rare_file(self.format, self._data)
            if self._rare is not None:
                check_size(self._rare.size, self._settings, None)
                return
            image = self._open(1)
            if self.format in ("WEBP", "AVIF"):
                self._set_page_count(getattr(image, "n_frames", 1))
            check_size(image.size, self._settings, None)

    def _check_parts(self, too_many: str | None) -> None:
        if too_many is not None:
            raise ImageCorrupt(f"The {self.format} file has {too_many}.", format=self.format)

    def _set_page_count(self, count: int) -> None:
        check_page_count(count, self._settings, self.format, self._data)
        self.page_count = count

    def _open(self, number: int) -> Image.Image:
        """Page `number`, its header read, its pixels not, but for a rare file, whose size was checked."""
        if self._rare is not None:
            return self._rare.decode()
        if self.format == "TIFF":
            data = tiff_page(self._data, self._directories[number - 1])
            if is_misread(data):
                raise SyntaxError("planes of more than 8 bits")
            return open_tiff(data)
        if self.format in ("GIF", "WEBP", "AVIF"):
            if self._animation is None:
                self._animation = Image.open(BytesIO(self._data), formats=[self.format])
            self._animation.seek(number - 1)
            return self._animation
        try:
            return Image.open(BytesIO(self._data), formats=[_PILLOW_NAMES.get(self.format, self.format)])
        except DECODER_ERRORS:
            # A color profile or EXIF that is no good does not make the picture unreadable.
            for data in without_metadata(self.format, self._data):
                try:
                    image = Image.open(BytesIO(data), formats=[self.format])
                except DECODER_ERRORS:
                    continue
                self._data = data
                self._warn(warning("image.metadata_left_out", detail="the color profile, or EXIF with it"))
                return image
            if self.format == "PNG" and self._mend():
                return Image.open(BytesIO(self._data), formats=["PNG"])
            raise

    def _mend(self) -> bool:
        """Put a whole file in the place of a damaged one, once; whether that was done."""
        if self._damage is not None or self.format not in ("PNG", "JPEG"):
            return False
        if self.format == "PNG":
            self._damage = repaired_png(self._data, self._settings.image_max_pixels)
        else:
            self._damage = repaired_jpeg(self._data)
        if self._damage is None:
            return False
        self._data = self._damage.data
        self._warn(*self._damage.warnings)
        return True

    def _warn(self, *found: DocumentWarning) -> None:
        self._warnings |= dict.fromkeys(found)

    def _decode(self, number: int) -> PageImage:
        image = self._open(number)
        check_size(image.size, self._settings, number)
        stored_sideways = swaps_axes(upright_transposition(image)) if self.format == "TIFF" else False
        image.load()
        if self._damage is not None:
            image = self._as_far_as_there(image, self._damage, number)
        elif self.format == "PNG" and may_be_short(image) and png_data_is_short(self._data):
            raise ImageTruncated("The PNG file has fewer rows than it announces.", format=self.format, page=number)
        return self._page(image, number, stored_sideways)

    def _as_far_as_there(self, image: Image.Image, damage: Damage, number: int) -> Image.Image:
        """`image` without what stands in for missing pixels. Raises ImageTruncated where too many are missing."""
        missing, rows = damage.missing, damage.missing_rows
        if missing is None:
            structure = jpeg_structure(self._data)
            missing, rows = grey_at_the_end(image, structure.block)
            if structure.is_progressive and not structure.refined:
                missing = max(missing, TOLERATED)  # a sketch of the page, not the page
            if missing < TOLERATED:
                detail = f"{missing:.1%} of the pixels" if missing else "no pixel with it"
                self._warn(warning("image.end_missing", detail=detail))
        if missing >= TOLERATED:
            share = f"about {missing:.0%} of the page" if rows else "its last, finest data"
            lack = "has fewer rows than it announces" if self.format == "PNG" else "ends before its last pixels"
            # held by a name, the exception and its traceback would keep the pixels until Python collects cycles
            if not self._read_truncated or missing >= 1:
                remedy = ImageTruncated.remedy_in_part if missing < 1 else None
                raise ImageTruncated(f"The {self.format} file {lack}.", remedy=remedy, format=self.format, page=number)
            self.truncated[number] = ImageTruncated(
                f"The {self.format} file {lack}.", format=self.format, page=number
            ).info
            self._warn(warning("image.part_missing", number, share))
        return without_missing_rows(image, rows)

    def _page(self, image: Image.Image, number: int, stored_sideways: bool = False) -> PageImage:
        most = self._settings.image_max_pixels
        return page_of(image, number, self.format, most, self._warn, stored_sideways=stored_sideways)

    def _cut_page(self, number: int, error: ImageTruncated) -> PageImage | None:
        """The part of a TIFF's page that is there; None where no part can be read.

        Raises ImageTruncated where more than the last percent is missing, and the part was not asked for.
        """
        if self.format != "TIFF":
            return None
        cut = cut_page(tiff_page(self._data, self._directories[number - 1]))
        if cut is None:
            return None
        if cut.missing >= TOLERATED and not self._read_truncated:
            remedy = ImageTruncated.remedy_in_part
            raise ImageTruncated(error.message, remedy=remedy, format=self.format, page=number) from error
        with self._decoding(number):
            image = open_tiff(cut.data)
            check_size((image.width, cut.height), self._settings, number)
            image.load()
            page = at_full_height(self._page(image, number), cut)
        if cut.missing >= TOLERATED:
            self.truncated[number] = error.info
            self._warn(warning("image.part_missing", number, f"about {cut.missing:.0%} of the page"))
        else:
            self._warn(warning("image.end_missing", number, f"{cut.missing:.1%} of the pixels"))
        return page

    def _rare_page(self, number: int) -> PageImage | None:
        """The page of a TIFF in a coding that Pillow knows, but not in TIFF; else None."""
        if self.format != "TIFF":
            return None
        data, most = tiff_page(self._data, self._directories[number - 1]), self._settings.image_max_pixels
        with self._decoding(number):
            image = page_of_parts(data, most) or grey_of_channels(data, most)
            if image is None:
                return None
            check_size(image.size, self._settings, number)
            tags = tiff_tags(data, first_directory(data))
            if tags.get(_TIFF_PHOTOMETRIC) == (0,):
                image = turned_over(image)
            return self._page(image, number)

    def _decoding(self, page: int | None) -> AbstractContextManager[None]:
        """Whatever Pillow raises or warns of, as an error of ocrqueue."""
        directories = self._directories if self.format == "TIFF" else ()
        of_page = partial(tiff_page, self._data, directories[(page or 1) - 1]) if directories else None
        return told_as_errors(self.format, lambda: self._data, self._settings.image_max_pixels, page, of_page)
