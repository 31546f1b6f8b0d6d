"""The Document of a job with a route, or of a page of it that takes the route by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ocrqueue.core import Outcome
from ocrqueue.document import Crop, Document, DocumentWarning, EngineInfo, InputInfo, Page
from ocrqueue.errors import ErrorInfo, error_from_info
from ocrqueue.job.route import Step
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.crop_storage import with_crops
from ocrqueue_worker.pipeline.page_parts import store_page
from ocrqueue_worker.pipeline.result_storage import store_result
from ocrqueue_worker.routes.comparison import compared


def compose(
    attempt: Attempt,
    source: InputInfo,
    info: EngineInfo,
    pages: tuple[Page, ...],
    trail: tuple[Step, ...] = (),
    crops: Mapping[int, dict[str, Crop]] | None = None,
    warnings: tuple[DocumentWarning, ...] = (),
    truncated: Mapping[int, ErrorInfo] | None = None,
) -> Document:
    """`crops`: by page number, for the pages whose crops were cut now; `truncated`: of pages that are there in part.

    If no page could be read, the first page's error is raised.
    """
    if pages[0].error is not None and all(page.error is not None for page in pages):
        raise error_from_info(pages[0].error)
    job, cut = attempt.job, crops or {}
    in_part = truncated or {}
    found = (page.error or in_part.get(page.number) for page in pages)
    errors = tuple(error for error in found if error is not None)
    return Document(
        job_id=job.id,
        tag=job.tag,
        status="partial" if errors else "succeeded",
        input=source,
        engine=info,
        trail=trail,
        languages=job.languages,
        options=job.options,
        attempts=attempt.start.number,
        finished_at=datetime.now(UTC),
        pages=tuple(with_crops(page, cut[page.number]) if page.number in cut else page for page in pages),
        errors=errors,
        warnings=warnings,
    )


def end_comparison(
    attempt: Attempt,
    documents: Mapping[str, Document],
    trail: tuple[Step, ...],
    data: bytes | None = None,
    *,
    may_read_image: bool = True,
) -> Outcome:
    """Store the first engine's Document with what the others read; `documents` are by engine, one at least.

    `data` and `may_read_image`: see with_outputs().
    """
    first, *others = documents
    document = compared(documents[first], {engine: documents[engine] for engine in others})
    job = attempt.job
    update = {
        "trail": trail,
        "tag": job.tag,
        "options": job.options,
        "attempts": attempt.start.number,
        "finished_at": datetime.now(UTC),
    }
    attempt.check_cancelled(len(document.pages), len(document.pages))
    document = document.model_copy(update=update)
    return store_end(attempt, document, data, may_read_image=may_read_image)


def store_end(
    attempt: Attempt, document: Document, data: bytes | None = None, *, may_read_image: bool = True
) -> Outcome:
    """Store what the attempt ends with: the job's result, or what was read of its page.

    `data` and `may_read_image`: see with_outputs().
    """
    if attempt.hold.page is not None:
        return store_page(attempt, document)
    return store_result(attempt, document, data=data, may_read_image=may_read_image).outcome
