"""From a file to its pages: an image, or a PDF."""

from __future__ import annotations

from ocrqueue.document.signatures import is_pdf
from ocrqueue_worker.images.decoding import open_image
from ocrqueue_worker.images.page import PageSource
from ocrqueue_worker.pdf.document import ENDS, PdfReading, open_pdf
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.fetching import Fetched


def open_source(found: Fetched, attempt: Attempt) -> PageSource:
    """The pages of what was fetched, told by its content, as the job wants them.

    Raises what open_image() and open_pdf() do.
    """
    job, settings = attempt.job, attempt.workplace.settings
    first, last = found.ends(ENDS)
    if is_pdf(first):
        reading = PdfReading(
            dpi=job.dpi,
            existing_text=job.existing_text,
            pictures=job.crops != "none",
            password=lambda: attempt.workplace.registry.password(job.id),
            memory_mib=settings.job_memory_limit_mib.of(job.engine),
        )
        return open_pdf(found.file or found.data, settings, reading, last)
    return open_image(found.data, settings, read_truncated=job.truncated == "read")
