"""The routes below /documentintelligence/documentModels/prebuilt-read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.responses import StreamingResponse

from ocrqueue.aio import AsyncOcrQueue, status_when_queued
from ocrqueue.core import JobStatus
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.errors import DeletionPending, JobUnknown, JobWaitTimeout, StorageDenied, StorageUnavailable
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.clouds.azure_read.bodies import source_of
from ocrqueue_gateway.clouds.azure_read.errors import error_response
from ocrqueue_gateway.clouds.azure_read.models import API_VERSION
from ocrqueue_gateway.clouds.azure_read.operations import operation_of, operation_pieces
from ocrqueue_gateway.clouds.azure_read.parameters import asked_by, check_model
from ocrqueue_gateway.clouds.azure_read.presentation import Presentation, job_of, result_id
from ocrqueue_gateway.clouds.mounting import below, mount
from ocrqueue_gateway.clouds.reading import submit
from ocrqueue_gateway.jobs.rendering import in_thread
from ocrqueue_gateway.jobs.results import document_of
from ocrqueue_gateway.jobs.waiting import wait_for_end

PREFIX: Final = "/documentintelligence"
_PREFIXES: Final = (PREFIX, f"/{PREFIX}")
"""Of an endpoint that ends with a slash, as Azure's portal shows it, clients make two."""
_OF_MODEL: Final = "/documentModels/{model}"
_RESULT: Final = f"{_OF_MODEL}/analyzeResults/{{result}}"
_PATIENCE_S: Final = 2.0
"""The answer to a poll waits so long for the end: clients poll at once, and then not for a second or more."""
_MOST_BETWEEN_POLLS_S: Final = 30
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")

router = APIRouter()
Submitting = Annotated[Caller, Depends(require("submit"))]
Reading = Annotated[Caller, Depends(require("read"))]
Cancelling = Annotated[Caller, Depends(require("cancel"))]


def mount_azure_read(app: FastAPI) -> None:
    everywhere = APIRouter()
    for prefix in _PREFIXES:
        everywhere.include_router(router, prefix=prefix)
    mount(app, everywhere, below(*(f"{prefix}/" for prefix in _PREFIXES)), error_response)


@router.post(f"{_OF_MODEL}:analyze")
async def analyze(request: Request, caller: Submitting, model: str) -> Response:
    """Submit a job, and tell where its result will be."""
    check_model(request.query_params, model)
    asked = asked_by(request.query_params)
    async with source_of(request, caller) as source:
        job = await submit(
            request,
            caller,
            "azure",
            source,
            languages=asked.languages,
            pages=asked.pages,
            outputs=asked.outputs,
        )
    status = status_when_queued(job) or await request.app.state.queue.status(job.id)
    at = f"{PREFIX}/documentModels/{model}/analyzeResults/{result_id(job.id, asked.shown)}?api-version={API_VERSION}"
    told = {"operation-location": _base_url(request) + at, "retry-after": await _retry_after(request, status)}
    return Response(status_code=202, headers=told)


@router.get(_RESULT)
async def analyze_result(request: Request, caller: Reading, model: str, result: str) -> Response:
    """The analysis: its state, and its result once that is there."""
    status, shown = await _found(request, caller, model, result)
    status = await wait_for_end(request, status, _PATIENCE_S)
    if status.state in WITH_RESULT:
        document = await document_of(request.app.state.queue, status)
        return await _streamed(operation_pieces(status, document, shown), "application/json")
    headers = {} if status.finished else {"retry-after": await _retry_after(request, status)}
    return Response(operation_of(status).json_text(), 200, headers, "application/json")


@router.get(f"{_RESULT}/pdf")
async def analyze_result_pdf(request: Request, caller: Reading, model: str, result: str) -> Response:
    """The searchable PDF, of an analysis that was asked for it."""
    status, _ = await _found(request, caller, model, result)
    document = await document_of(request.app.state.queue, status)
    # never a presigned URL: Azure's clients would send the key along to the storage
    return await _streamed(document.output("pdf").pieces(), "application/pdf")


@router.delete(_RESULT)
async def delete_analyze_result(request: Request, caller: Cancelling, model: str, result: str) -> Response:
    """Delete what was read, with the file; an analysis that is under way is cancelled first."""
    status, _ = await _found(request, caller, model, result)
    # without its files too it is deleted, and a worker removes them in a while
    with suppress(DeletionPending, StorageUnavailable, StorageDenied):
        if not await request.app.state.queue.delete(status.id, who=caller.key_id or "gateway"):
            raise JobWaitTimeout("The analysis has not stopped yet.", remedy="Delete its result again.")
    return Response(status_code=204)


async def _found(request: Request, caller: Caller, model: str, result: str) -> tuple[JobStatus, Presentation]:
    """Raises JobUnknown, of what is another tenant's too; RequestInvalid, RequestUnsupported."""
    check_model(request.query_params, model)
    named = job_of(result)
    if named is None:
        raise JobUnknown(f"No result {result[:64]!r}.")
    job_id, shown = named
    return await owned(request, caller, job_id), shown


async def _streamed(pieces: Iterator[bytes], content_type: str) -> Response:
    # what cannot be read is to be told as an error, before there is an answer
    first = await asyncio.to_thread(next, pieces, b"")
    return StreamingResponse(in_thread(chain([first], pieces)), media_type=content_type)


async def _retry_after(request: Request, status: JobStatus) -> str:
    queue: AsyncOcrQueue = request.app.state.queue
    lane = (status.engine, status.queue, status.tenant)
    seconds = await request.app.state.estimates.retry_after_s(queue, lane, status.id)
    return str(min(seconds, _MOST_BETWEEN_POLLS_S))


def _base_url(request: Request) -> str:
    """As the client calls the gateway. A proxy says how that is; who says so itself misleads nobody else."""
    scheme = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    if scheme not in ("http", "https"):
        scheme = request.url.scheme
    host = request.headers.get("x-forwarded-host", "").partition(",")[0].strip()
    return f"{scheme}://{host if _HOST.fullmatch(host) else request.url.netloc}"
