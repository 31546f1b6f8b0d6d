"""What of a file is too large, too small or too many, told before a pixel is decoded."""

from __future__ import annotations

from ocrqueue.document.signatures import ImageFormat
from ocrqueue.errors import ImageCorrupt, ImageTooLarge, ImageTooManyPages, ImageTooSmall, ImageTruncated
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.images.formats import ends_early


def check_page_count(count: int, settings: WorkerSettings, kind: ImageFormat, data: bytes) -> None:
    """Raises ImageTooManyPages; ImageTruncated or ImageCorrupt where there is none."""
    most = settings.image_max_pages
    if count > most:
        raise ImageTooManyPages(f"The image has more than {most} pages.", limit=most)
    if count < 1:
        error = ImageTruncated if ends_early(kind, data) else ImageCorrupt
        raise error(f"The {kind} file holds no picture.", format=kind)


def check_size(size: tuple[int, int], settings: WorkerSettings, page: int | None) -> None:
    """Raises ImageTooLarge, ImageTooSmall, and ImageCorrupt for a width or height of 0."""
    width, height = size
    most, least = settings.image_max_pixels, settings.image_min_side_px
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
            f"The image has {width} x {height} pixels; each side must have at least {least}.",
            width=width,
            height=height,
            limit=least,
            page=page,
        )
