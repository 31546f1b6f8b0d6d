"""ocrqueue: OCR as a message queue. Apps submit image references, workers read them, apps poll for words.

>>> from ocrqueue import OcrQueue
>>> with OcrQueue() as queue:                                            # doctest: +SKIP
...     document = queue.submit("scan.png", languages=["eng"]).result(timeout=60)
...     print(document.text)
"""

from ocrqueue.aio import AsyncOcrQueue, AsyncSubmittedJob
from ocrqueue.client import OcrQueue, SubmittedJob
from ocrqueue.document import Block, Crop, Document, Line, Page, Paragraph, Word
from ocrqueue.errors import ErrorInfo, OcrQueueError
from ocrqueue.job import Job
from ocrqueue.registry import JobStatus
from ocrqueue.settings import Settings

__all__ = [
    "AsyncOcrQueue",
    "AsyncSubmittedJob",
    "Block",
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
    "Settings",
    "SubmittedJob",
    "Word",
]
