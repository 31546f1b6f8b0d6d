"""The routes below /reader. They are the pages' own, and may change with them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.document.formats.files import KINDS
from ocrqueue.errors import OcrQueueError, PictureUnavailable, RequestInvalid
from ocrqueue.job import JOB_ID
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.pages.reading.documents import documents_of
from ocrqueue_gateway.pages.reading.leaving import while_there
from ocrqueue_gateway.pages.reading.searching import Hit, folded, has_doubtful, hits
from ocrqueue_gateway.pictures.pictures import Pictures, Source
from ocrqueue_gateway.pictures.pyramid import tile_name
from ocrqueue_gateway.problems import JobHasNoResult, told_to

_AT_A_TIME_S: Final = 0.4
"""A search of a long document is answered in parts, so that what is found is seen at once."""
_MOST_HITS: Final = 1000
_KEPT: Final = {"cache-control": "private, max-age=600", "vary": "cookie, authorization"}
"""Pictures; the browser forgets them a while after the job was deleted, and shows them to no other session."""

Look = Callable[[dict[str, Any]], bool]
"""At a page, as `words.columns` tells it: whether that is enough."""

router = APIRouter(prefix="/reader", include_in_schema=False)
JobId = Annotated[str, Path(pattern=JOB_ID)]
Number = Annotated[int, Path(ge=1, le=1_000_000)]
OfSize = Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,5}x[1-9][0-9]{0,5}$")]
"""Width and height of a page in pixels, as its words have them."""
Reading = Annotated[Caller, Depends(require("read"))]


@router.get("/jobs/{job_id}")
async def about(request: Request, caller: Reading, job_id: JobId) -> Response:
    """What is known of the document by now: which pages there are, and what they can be downloaded as."""
    queue, status = await _job(request, caller, job_id)
    told: dict[str, Any] = {
        "id": status.id,
        "state": status.state,
        "pages": status.pages,
        "read": [],
        "failed": {},
        "agreement": status.agreement,
        "formats": [{"name": name, "ending": kind.ending} for name, kind in KINDS.items()],
    }
    if status.state in WITH_RESULT:
        document = await documents_of(request).document(queue, status)
        failed = await asyncio.to_thread(lambda: document.failed_pages)
        told |= {
            "read": document.page_numbers,
            "failed": {number: error.model_dump(mode="json") for number, error in failed.items()},
            "languages": document.languages,
            "engine": document.engine.model_dump(mode="json"),
            "warnings": [each.model_dump(mode="json") for each in document.warnings],
        }
    elif not status.finished:
        told["read"] = await queue.pages_read(job_id)
    return JSONResponse(told)


@router.get("/jobs/{job_id}/pages/{number}")
async def words(request: Request, caller: Reading, job_id: JobId, number: Number) -> Response:
    """One page's words in columns."""
    queue, status = await _job(request, caller, job_id)
    made = await documents_of(request).page(queue, status, number)
    return Response(made, media_type="application/json")


@router.get("/jobs/{job_id}/find")
async def find(
    request: Request,
    caller: Reading,
    job_id: JobId,
    text: Annotated[str, Query(min_length=1, max_length=200)],
    start: Annotated[int, Query(alias="from", ge=0)] = 0,
) -> Response:
    """Where a text stands. `next`: from where to ask again; null: that was all."""
    queue, status = await _job(request, caller, job_id)
    query = folded(text)
    if not query:
        raise RequestInvalid("There is nothing to look for.")
    found: list[Hit] = []

    def search(page: dict[str, Any]) -> bool:
        found.extend(hits(page, query))
        return len(found) >= _MOST_HITS

    further = await _each_page(request, queue, status, start, 1, search)
    return JSONResponse({"hits": [hit.to_json() for hit in found], "next": further})


@router.get("/jobs/{job_id}/doubtful")
async def doubtful(
    request: Request,
    caller: Reading,
    job_id: JobId,
    below: Annotated[int, Query(ge=0, le=101)],
    start: Annotated[int, Query(alias="from", ge=-1)],
    step: Annotated[int, Query(ge=-1, le=1)] = 1,
) -> Response:
    """The next page from the place `from` of the document's pages on that has a doubtful word. `page`: null where none
    was found by now; `next`: from where to ask again; null: there is none."""
    if not step:
        raise RequestInvalid("A step is 1 or -1.")
    queue, status = await _job(request, caller, job_id)
    found: list[int] = []

    def look(page: dict[str, Any]) -> bool:
        if has_doubtful(page, below):
            found.append(page["number"])
        return bool(found)

    further = await _each_page(request, queue, status, start, step, look)
    return JSONResponse({"page": found[0] if found else None, "next": None if found else further})


@router.get("/jobs/{job_id}/pages/{number}/picture")
async def picture(
    request: Request,
    caller: Reading,
    job_id: JobId,
    number: Number,
    size: OfSize = None,
) -> Response:
    """The picture's size, and into what tiles it is cut; or why there is none."""
    _, status = await _job(request, caller, job_id)
    pictures: Pictures = request.app.state.pictures
    try:
        source, drawn = await _source(request, status), await _size(request, status, number, size)
        about = await while_there(request, pictures.page(source, number, drawn))
    except OcrQueueError as error:
        # no picture is no failure of the page, whose words are there
        return JSONResponse({"problem": told_to(request.scope, error.info).model_dump(mode="json")})
    return JSONResponse(about)


@router.get("/jobs/{job_id}/pages/{number}/tiles/{level}/{column}/{row}")
async def tile(
    request: Request,
    caller: Reading,
    job_id: JobId,
    number: Number,
    level: int,
    column: int,
    row: int,
    size: OfSize = None,
) -> Response:
    """A JPEG."""
    _, status = await _job(request, caller, job_id)
    pictures: Pictures = request.app.state.pictures
    source, drawn = await _source(request, status), await _size(request, status, number, size)
    found = await while_there(request, pictures.tile(source, number, drawn, tile_name(level, column, row)))
    return Response(found, media_type="image/jpeg", headers=_KEPT)


@router.get("/jobs/{job_id}/pages/{number}/thumbnail")
async def thumbnail(request: Request, caller: Reading, job_id: JobId, number: Number) -> Response:
    """A small JPEG; no content where the page cannot be drawn."""
    _, status = await _job(request, caller, job_id)
    pictures: Pictures = request.app.state.pictures
    try:
        found = await while_there(request, pictures.thumbnail(await _source(request, status), number))
    except PictureUnavailable:
        return Response(status_code=204)
    return Response(found, media_type="image/jpeg", headers=_KEPT)


async def _job(request: Request, caller: Caller, job_id: str) -> tuple[AsyncOcrQueue, JobStatus]:
    """Raises JobUnknown, also for another tenant's."""
    return request.app.state.queue, await owned(request, caller, job_id)


async def _size(request: Request, status: JobStatus, number: int, asked: str | None) -> tuple[int, int] | None:
    """In which the page is drawn: as its words have it. Any other size counts for nothing, or one page could be asked
    for in thousands."""
    if asked is None:
        return None
    try:
        known = await documents_of(request).size(request.app.state.queue, status, number)
    except (OcrQueueError, JobHasNoResult):
        return None
    width, _, height = asked.partition("x")
    return known if known == (int(width), int(height)) else None


async def _source(request: Request, status: JobStatus) -> Source:
    pictures: Pictures = request.app.state.pictures
    return await pictures.source(status, lambda: documents_of(request).document(request.app.state.queue, status))


async def _each_page(
    request: Request, queue: AsyncOcrQueue, status: JobStatus, start: int, step: int, look: Look
) -> int | None:
    """Show `look` the pages from place `start` on, until it has enough or the time is up. The place to go on from; None
    at the end."""
    documents = documents_of(request)
    document = await documents.document(queue, status)
    numbers = document.page_numbers
    began = time.monotonic()
    at = start if start >= 0 else len(numbers) - 1
    while 0 <= at < len(numbers):
        columns = await documents.page(queue, status, numbers[at])
        at += step
        if await asyncio.to_thread(_looked, look, columns):
            break
        if time.monotonic() - began > _AT_A_TIME_S:
            break
    return at if 0 <= at < len(numbers) else None


def _looked(look: Look, columns: bytes) -> bool:
    return look(json.loads(columns))
