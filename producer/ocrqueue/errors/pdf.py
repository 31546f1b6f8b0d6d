"""PDF documents."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class PdfDamaged(OcrQueueError):
    """The PDF cannot be opened: it is damaged, or only its first bytes are those of a PDF."""

    code = "pdf.damaged"
    remedy = "Upload the file again, or open it in a viewer and print it to a new PDF."


class PdfNoPages(OcrQueueError):
    """The PDF has no pages."""

    code = "pdf.no_pages"
    remedy = "Check how the file was made: nothing in it can be read."


class PdfPasswordRequired(OcrQueueError):
    """The PDF is encrypted, and the job has no password."""

    code = "pdf.password_required"
    remedy = "Submit it again with its password: submit(..., password=...) or --password-file."


class PdfPasswordWrong(OcrQueueError):
    """The PDF is encrypted, and the job's password does not open it."""

    code = "pdf.password_wrong"
    remedy = "Give the password that opens it in a viewer."


class PdfEncryptionUnsupported(OcrQueueError):
    """ocrqueue does not read this kind of encrypted PDF, such as one with a certificate."""

    code = "pdf.encryption_unsupported"
    remedy = "Open it in a viewer that can, and save it without encryption."


class PdfTooManyPages(OcrQueueError):
    """The PDF has more pages than allowed."""

    code = "pdf.too_many_pages"
    remedy = "Split it, or raise OCRQUEUE_PDF_MAX_PAGES on the workers."


class PdfPageDamaged(OcrQueueError):
    """This page of the PDF cannot be drawn."""

    code = "pdf.page_damaged"
    remedy = "Open the file in a viewer and print it to a new PDF; the other pages were read."


class PdfPageTooLarge(OcrQueueError):
    """This page of the PDF is so large that its text would be illegible within the allowed pixels."""

    code = "pdf.page_too_large"
    remedy = "Crop or scale the page, or raise OCRQUEUE_IMAGE_MAX_PIXELS on the workers."


class PdfPageTooComplex(OcrQueueError):
    """This page of the PDF has more objects than allowed."""

    code = "pdf.page_too_complex"
    remedy = "Print the page to an image and submit that, or raise OCRQUEUE_PDF_MAX_OBJECTS on the workers."


class PdfPageTooSlow(OcrQueueError):
    """This page of the PDF takes too long to draw."""

    code = "pdf.page_too_slow"
    remedy = "Lower the job's dpi, print the page to an image, or raise OCRQUEUE_PDF_PAGE_TIMEOUT_S on the workers."


class PdfOutputFailed(OcrQueueError):
    """A searchable PDF of this PDF cannot be made within the limits of time, memory and disk."""

    code = "pdf.output_failed"
    remedy = (
        "Open the file in a viewer, print it to a new PDF and submit that. What was read of this one is there in "
        "formats that do not show the page."
    )


class PdfExtraMissing(OcrQueueError):
    """pikepdf is not installed. It puts text into a PDF that was read."""

    code = "pdf.extra_missing"
    remedy = "Install it: pip install 'ocrqueue[pdf]'."
