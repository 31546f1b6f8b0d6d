"""Answers to those who ask for what was read: JSON, as the service model has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ocrqueue.core import JobStatus
from ocrqueue.document import Document
from ocrqueue.errors import error_for_clients
from ocrqueue_gateway.clouds.textract.blocks import Block, blocks_of
from ocrqueue_gateway.clouds.textract.errors import text_of

Answer = dict[str, Any]
READ: Final = ("succeeded", "partial")
"""States of jobs that have a Document."""


def answer_with_all(document: Document) -> Answer:
    """Of DetectDocumentText. It blocks, and raises what storage raises."""
    failed = document.failed_pages
    pages = (document.page(number) for number in document.page_numbers if number not in failed)
    return _read(document, [block for page in pages for block in blocks_of(page, document.job_id)])


def answer_of(status: JobStatus, document: Document | None = None, blocks: Sequence[Block] = ()) -> Answer:
    """Of GetDocumentTextDetection, with some Blocks of the Document, of a job that has one."""
    if not status.finished:
        return {"JobStatus": "IN_PROGRESS"}
    if document is None:
        return {"JobStatus": "FAILED", "StatusMessage": _why(status)}
    state = "SUCCEEDED" if status.state == "succeeded" else "PARTIAL_SUCCESS"
    warnings = _warnings(document)
    return {"JobStatus": state, **_read(document, blocks), **({"Warnings": warnings} if warnings else {})}


def _read(document: Document, blocks: Sequence[Block]) -> Answer:
    return {
        "DocumentMetadata": {"Pages": len(document.page_numbers)},
        "Blocks": list(blocks),
        "DetectDocumentTextModelVersion": f"{document.engine.name} {document.engine.version}",
    }


def _why(status: JobStatus) -> str:
    return text_of(error_for_clients(status.error)) if status.error is not None else f"The job was {status.state}."


def _warnings(document: Document) -> list[Answer]:
    """A code of this system, and the pages that it is about, where it is about some."""
    found: dict[str, list[int]] = {}
    for number, error in document.failed_pages.items():
        found.setdefault(error.code, []).append(number)
    for warning in document.warnings:
        found.setdefault(warning.code, []).extend([] if warning.page is None else [warning.page])
    return [{"ErrorCode": code, **({"Pages": pages} if pages else {})} for code, pages in found.items()]
