"""Pages that were stretched to be read, in the file's own pixels; and back, for crops and for lines read again."""

from __future__ import annotations

from ocrqueue.document import Page
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.preparation.affine import page_moved, scaling


def in_file_pixels(page: Page, image: PageImage) -> Page:
    """`page`, as read on `image`, in the file's pixels: itself where they are the same."""
    if image.file_size is None:
        return page
    width, height = image.file_size
    return page_moved(page, scaling(width / image.image.width, height / image.image.height), image.file_size)


def on_image(page: Page, image: PageImage) -> Page:
    """The inverse of in_file_pixels()."""
    if image.file_size is None:
        return page
    width, height = image.file_size
    return page_moved(page, scaling(image.image.width / width, image.image.height / height), image.image.size)
