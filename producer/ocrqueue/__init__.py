"""ocrqueue: a job queue for OCR. Apps submit PDFs and images, workers read them, apps get words and searchable PDFs.

>>> from ocrqueue import OcrQueue
>>> with OcrQueue() as queue:                                            # doctest: +SKIP
...     document = queue.submit("scan.png", languages=["eng"]).result(timeout=60)
...     print(document.text)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ocrqueue.aio import AsyncOcrQueue, AsyncSubmittedJob
    from ocrqueue.client import OcrQueue, SubmittedJob
    from ocrqueue.core import JobStatus
    from ocrqueue.core.batches import BatchStatus
    from ocrqueue.document import Block, Crop, Document, Line, Page, Paragraph, Word, document_from_json
    from ocrqueue.errors import ErrorInfo, OcrQueueError
    from ocrqueue.job import Job
    from ocrqueue.operations.batches import AsyncBatch, Batch
    from ocrqueue.settings import ClientSettings
    from ocrqueue.waiting.progress import job_progress

# imported when first used: the command line shows its help without Redis, Celery and pydantic in memory
_MODULES: Final = {
    "AsyncBatch": "operations.batches",
    "AsyncOcrQueue": "aio",
    "AsyncSubmittedJob": "aio",
    "Batch": "operations.batches",
    "BatchStatus": "core.batches",
    "Block": "document",
    "Crop": "document",
    "Document": "document",
    "ErrorInfo": "errors",
    "Job": "job",
    "JobStatus": "core",
    "Line": "document",
    "OcrQueue": "client",
    "OcrQueueError": "errors",
    "Page": "document",
    "Paragraph": "document",
    "ClientSettings": "settings",
    "SubmittedJob": "client",
    "Word": "document",
    "document_from_json": "document",
    "job_progress": "waiting.progress",
}

__all__ = [
    "AsyncBatch",
    "AsyncOcrQueue",
    "AsyncSubmittedJob",
    "Batch",
    "BatchStatus",
    "Block",
    "ClientSettings",
    "Crop",
    "Document",
    "ErrorInfo",
    "Job",
    "JobStatus",
    "Line",
    "OcrQueue",
    "OcrQueueError",
    "Page",
    "Paragraph",
    "SubmittedJob",
    "Word",
    "document_from_json",
    "job_progress",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
