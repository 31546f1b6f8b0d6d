"""POST /v1/jobs: from what was received to an answer."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from ocrqueue.aio import AsyncOcrQueue, status_when_queued
from ocrqueue.core import JobStatus
from ocrqueue.errors import StorageNotFound, StorageUnavailable
from ocrqueue.job.names import OutputFormat
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.engines import check_engines
from ocrqueue_gateway.jobs.idempotency import claimed, fingerprint_of, key_of
from ocrqueue_gateway.jobs.preferences import Preferences
from ocrqueue_gateway.jobs.received import Received, received
from ocrqueue_gateway.jobs.request import fields_of
from ocrqueue_gateway.jobs.results import result_response
from ocrqueue_gateway.jobs.view import JobView
from ocrqueue_gateway.jobs.waiting import wait_for_end


async def submit(request: Request, caller: Caller, result_format: OutputFormat, wait_s: float) -> Response:
    """`wait_s`: as the query has it; what the header Prefer says goes before it.

    Raises what a submission raises, and then nothing is queued nor kept."""
    queue: AsyncOcrQueue = request.app.state.queue
    key = key_of(request.headers.get("idempotency-key"))
    most_s: float = request.app.state.settings.max_wait_s
    preferences = Preferences.of(request.headers.getlist("prefer"), most_s)
    if preferences.applied is not None:
        wait_s = preferences.wait_s
    async with claimed(queue, caller.tenant, "job", key) as claim, received(request) as given:
        fingerprint = _fingerprint(given) if key is not None else ""
        job_id = claim.check(fingerprint)
        is_new, status = job_id is None, None
        if job_id is None:
            fields = fields_of(given.asked, caller, key)
            check_engines(
                caller,
                queue.settings,
                engine=fields.get("engine"),
                fallback=fields.get("fallback"),
                compare=fields.get("compare"),
            )
            try:
                job = await queue.submit(given.image, **fields)
            except StorageNotFound as error:  # the bucket or folder itself
                raise StorageUnavailable(error.message, remedy=error.info.remedy) from None
            job_id, status = job.id, status_when_queued(job)
            claim.keep(fingerprint, job_id)
    status = status or await queue.status(job_id)
    told = dict(preferences.headers) if is_new else {**preferences.headers, "idempotent-replayed": "true"}
    if wait_s:
        status = await wait_for_end(request, status, min(wait_s, most_s))
        if status.finished:
            answer = await result_response(request, status, result_format, None)
            answer.headers.update(_headers(status, told))
            return answer
    lane = (status.engine, status.queue, status.tenant)
    retry_after_s = await request.app.state.estimates.retry_after_s(queue, lane, job_id)
    more = {"retry-after": str(retry_after_s), **told}
    return Response(JobView.of(status, caller).model_dump_json(), 202, _headers(status, more), "application/json")


def _headers(status: JobStatus, more: Mapping[str, str]) -> dict[str, str]:
    return {"location": f"/v1/jobs/{status.id}", **more}


def _fingerprint(given: Received) -> str:
    image = given.image.sha256 if isinstance(given.image, HashedFile) else given.image
    asked = {name: getattr(given.asked, name) for name in given.asked.model_fields_set if name != "image"}
    secret = asked.pop("password", None)
    return fingerprint_of(image, asked, secret.get_secret_value() if secret is not None else None)
