"""The image itself."""

from __future__ import annotations

from typing import ClassVar

from ocrqueue.errors.base import OcrQueueError


class ImageEmpty(OcrQueueError):
    """The file has no bytes."""

    code = "image.empty"
    remedy = "Check how the file was made or uploaded."


class ImageNotRecognised(OcrQueueError):
    """The bytes are not an image in a format that ocrqueue reads."""

    code = "image.not_recognised"
    remedy = (
        "Send PDF, PNG, JPEG, TIFF, WebP, GIF, BMP, HEIC, AVIF, JPEG 2000, PNM or PCX; the content counts, not the "
        "name."
    )


class ImageUnsupported(OcrQueueError):
    """ocrqueue does not read this coding of images. The file itself may be sound."""

    code = "image.unsupported"
    remedy = "Save it as PNG, or as TIFF with LZW or Deflate compression, 8 bits a channel."


class ImageTruncated(OcrQueueError):
    """The image ends before its data is complete."""

    code = "image.truncated"
    remedy = "Upload the file again; the copy is incomplete."
    remedy_in_part: ClassVar[str] = f'{remedy} With truncated="read", what is there is read.'
    """Where the format allows that, something is there, and the job did not ask for it."""


class ImageCorrupt(OcrQueueError):
    """The image's data cannot be decoded."""

    code = "image.corrupt"
    remedy = "Open it in an image editor and save it again."


class ImageTooSmall(OcrQueueError):
    """The image is too small to hold text."""

    code = "image.too_small"
    remedy = "Each side must have at least OCRQUEUE_IMAGE_MIN_SIDE_PX pixels."


class ImageTooLarge(OcrQueueError):
    """The image has more pixels than allowed."""

    code = "image.too_large"
    remedy = "Scale it down, or raise OCRQUEUE_IMAGE_MAX_PIXELS on the workers."


class ImageTooManyPages(OcrQueueError):
    """The image has more pages than allowed."""

    code = "image.too_many_pages"
    remedy = "Split it, or raise OCRQUEUE_IMAGE_MAX_PAGES on the workers."


class PageNotFound(OcrQueueError):
    """There is no page of this number."""

    code = "page.not_found"
    remedy = "Pages count from 1; the Document lists its pages."
