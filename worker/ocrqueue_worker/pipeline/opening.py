"""From the bytes of a file to its pages: an image, or a PDF."""

from __future__ import annotations

from ocrqueue_worker.images.decoding import open_image
from ocrqueue_worker.images.formats import sniff_format
from ocrqueue_worker.images.page import PageSource
from ocrqueue_worker.pdf.document import PdfReading, is_pdf, open_pdf
from ocrqueue_worker.pipeline.attempt import Attempt


def open_source(data: bytes, attempt: Attempt) -> PageSource:
    """The pages in `data`, told by its content, as the job wants them. Raises what open_image() and open_pdf() do."""
    job, settings = attempt.job, attempt.workplace.settings
    if is_pdf(data) and sniff_format(data) is None:
        memory_mib = settings.job_memory_limit_mib.of(job.engine)
        reading = PdfReading(
            dpi=job.dpi,
            existing_text=job.existing_text,
            pictures=job.crops != "none",
            password=lambda: attempt.workplace.registry.password(job.id),
            memory_mib=memory_mib,
        )
        return open_pdf(data, settings, reading)
    return open_image(data, settings, read_truncated=job.truncated == "read")
