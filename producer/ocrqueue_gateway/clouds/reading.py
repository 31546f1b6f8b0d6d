"""Jobs of the clouds' clients: submitted by the rules, waited for, and found again by whoever asks again.

A client that waits gives up after a while, or is told to, and sends the same once more. What it asked for is then read
already, or is still being read: a claim in Redis says for some minutes which job that is, until somebody has got the
answer. Otherwise each new try would wait at the end of the queue, and a long queue would grow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, Unpack, cast

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue, AsyncSubmittedJob, keys_of, redis_of
from ocrqueue.core import JobStatus
from ocrqueue.core.records import WITH_RESULT
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.document import Document
from ocrqueue.errors import (
    JobEnded,
    JobUnknown,
    JobWaitTimeout,
    OcrQueueError,
    StorageNotFound,
    StorageUnavailable,
    error_for_clients,
)
from ocrqueue.job.model import new_job_id
from ocrqueue.job.names import AUTO
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue.submitting.submission import JobFields
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.engines import check_engines
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.clouds.rules import CloudRules, Protocol
from ocrqueue_gateway.jobs.idempotency import fingerprint_of
from ocrqueue_gateway.jobs.request import checked_reference
from ocrqueue_gateway.jobs.results import check_result, document_of
from ocrqueue_gateway.jobs.waiting import wait_for_ends
from ocrqueue_gateway.problems import JobHasNoResult

_CLAIMED_MS: Final = 600_000
"""So long Google's clients try again, and nobody's try for longer."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A job that a client waits for."""

    job: AsyncSubmittedJob
    claim: str
    """The key in Redis by which the same request finds it."""


def job_fields(request: Request, caller: Caller, protocol: Protocol, asked: JobFields) -> JobFields:
    """Of a job: what is asked for, and where nothing is, what the rules say. Raises KeyForbidden."""
    rules: CloudRules = request.app.state.cloud_rules
    ruled = rules.fields(protocol, caller.tenant)
    defaults: dict[str, Any] = {"crops": "none"}
    if not ruled.get("compare"):
        defaults["engine"] = AUTO
    given = {name: value for name, value in asked.items() if value not in (None, (), [])}
    fields = cast("JobFields", {**defaults, **ruled, **given, "tenant": caller.tenant})
    check_engines(
        caller,
        request.app.state.queue.settings,
        engine=fields.get("engine"),
        fallback=fields.get("fallback"),
        compare=fields.get("compare"),
    )
    return fields


async def submit(
    request: Request, caller: Caller, protocol: Protocol, image: str | HashedFile, **asked: Unpack[JobFields]
) -> AsyncSubmittedJob:
    """A job of its own, which nobody waits for. `asked`: fields of the job; None and () say nothing.

    Raises KeyForbidden, SourceInvalid, SourcePathNotAllowed, JobMalformed, TenantLimited, QueueFull and all else that
    a submission raises, and then nothing is queued.
    """
    return await _submitted(request, image, job_fields(request, caller, protocol, asked))


async def begin(
    request: Request, caller: Caller, protocol: Protocol, image: str | HashedFile, **asked: Unpack[JobFields]
) -> Reading:
    """A job to wait for: that of the same request before, if nobody has got its answer. Raises as submit()."""
    queue: AsyncOcrQueue = request.app.state.queue
    fields = job_fields(request, caller, protocol, asked)
    content = image.sha256 if isinstance(image, HashedFile) else image
    claim = keys_of(queue).claim(caller.tenant, protocol, fingerprint_of(content, {**fields}))
    while True:
        own = new_job_id()
        with broker_errors():
            before: Any = await redis_of(queue).set(claim, own, nx=True, px=_CLAIMED_MS, get=True)
        job_id = own if before is None else before.decode()
        if before is not None:
            found = await _known(queue, job_id)
            if found == "of use":
                return Reading(queue.job(job_id), claim)
            if found == "of none":
                await _free(queue, claim, job_id)
                continue
            # whoever has claimed it is about to submit it: of one id there is one job
        try:
            return Reading(await _submitted(request, image, {**fields, "id": job_id}), claim)
        except BaseException:
            await _free(queue, claim, job_id)
            raise


async def ended(request: Request, readings: Sequence[Reading], within_s: float | None = None) -> list[JobStatus]:
    """Each, once all have ended. `within_s`: the client's own patience, where it is known.

    Raises JobWaitTimeout after that, or after the setting cloud_wait_s: the client is to ask again.
    """
    queue: AsyncOcrQueue = request.app.state.queue
    most: float = request.app.state.settings.cloud_wait_s
    seconds = most if within_s is None else max(0.0, min(most, within_s))
    jobs = {reading.job.id: reading.job for reading in readings}
    ends = dict(await wait_for_ends(request, list(jobs.values()), seconds))
    # after a wait of no time, and one that was cut short
    for job_id in [job_id for job_id in jobs if job_id not in ends]:
        status = await queue.status(job_id)
        if not status.finished:
            raise await _late(request, status)
        ends[job_id] = status
    return [ends[reading.job.id] for reading in readings]


async def answered(request: Request, readings: Sequence[Reading]) -> None:
    """The client gets what was read, or why it was not: whoever asks the same from now on asks anew."""
    for reading in readings:
        await _free(request.app.state.queue, reading.claim, reading.job.id)


async def read(
    request: Request,
    caller: Caller,
    protocol: Protocol,
    image: str | HashedFile,
    *,
    within_s: float | None = None,
    **asked: Unpack[JobFields],
) -> Document:
    """All of it, of one image. Raises as begin() and ended(), and JobHasNoResult with the job's own error."""
    return await finished(request, await begin(request, caller, protocol, image, **asked), within_s)


async def finished(request: Request, reading: Reading, within_s: float | None = None) -> Document:
    """What was read, of a job that was begun. Raises as ended(), and JobHasNoResult with the job's own error."""
    (status,) = await ended(request, [reading], within_s)
    try:
        document = await document_of(request.app.state.queue, status)
    except OcrQueueError as error:
        if not error.retryable:
            await answered(request, [reading])
        raise
    except JobHasNoResult:
        await answered(request, [reading])
        raise
    await answered(request, [reading])
    return document


async def document_when_ended(request: Request, caller: Caller, job_id: str) -> tuple[JobStatus, Document | None]:
    """A job of the caller's that was submitted before; its Document once there is one.

    Raises JobUnknown of others' jobs too, and of one that has no result: JobCancelled, JobHasNoResult.
    """
    status = await owned(request, caller, job_id)
    if not status.finished:
        return status, None
    check_result(status)
    return status, await document_of(request.app.state.queue, status)


async def _known(queue: AsyncOcrQueue, job_id: str) -> Literal["of use", "of none", "not yet"]:
    """What a job that was claimed before is to those who ask for the same now."""
    try:
        status = await queue.status(job_id)
    except JobEnded:  # deleted since
        return "of none"
    except JobUnknown:
        return "not yet"
    # one that has failed, which nobody has heard of, may end better now
    return "of use" if not status.finished or status.state in WITH_RESULT else "of none"


async def _submitted(request: Request, image: str | HashedFile, fields: JobFields) -> AsyncSubmittedJob:
    queue: AsyncOcrQueue = request.app.state.queue
    if isinstance(image, str):
        image = await asyncio.to_thread(checked_reference, image, queue.storage)
    try:
        return await queue.submit(image, **fields)
    except StorageNotFound as error:  # the bucket or folder itself
        raise StorageUnavailable(error.message, remedy=error.info.remedy) from None


async def _late(request: Request, status: JobStatus) -> JobWaitTimeout:
    lane = (status.engine, status.queue, status.tenant)
    seconds = await request.app.state.estimates.retry_after_s(request.app.state.queue, lane, status.id)
    why = f" It was tried, and failed: {error_for_clients(status.error).message}" if status.error is not None else ""
    return JobWaitTimeout(
        f"What was read is not there yet: job {status.id} is {status.state}.{why}",
        remedy="Send the same request again: it finds this job.",
        retry_after_s=seconds,
    )


async def _free(queue: AsyncOcrQueue, claim: str, job_id: str) -> None:
    with suppress(Exception):  # it ends by itself
        if await redis_of(queue).get(claim) == job_id.encode():
            await redis_of(queue).delete(claim)
