"""What the three operations do. Their answers are JSON, as the service model has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.core import JobStatus
from ocrqueue.document import Document
from ocrqueue.errors import RequestInvalid, SourceBucketNotAllowed
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue_gateway.access.authentication import check_scope
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.clouds.json_files import JsonWithFiles
from ocrqueue_gateway.clouds.reading import Reading, begin, finished, submit
from ocrqueue_gateway.clouds.rules import CloudRules
from ocrqueue_gateway.clouds.textract import requests
from ocrqueue_gateway.clouds.textract.blocks import Block, blocks_of
from ocrqueue_gateway.clouds.textract.errors import text_of
from ocrqueue_gateway.clouds.textract.paging import Place, place_of, some_blocks, token_of
from ocrqueue_gateway.hardening.body_limits import too_large
from ocrqueue_gateway.jobs.idempotency import claimed, fingerprint_of

LARGEST_BYTES: Final = 10 * 1024 * 1024
"""Of a document in a request, as Textract has it."""

Answer = dict[str, Any]


async def begin_detection(request: Request, caller: Caller, body: JsonWithFiles) -> Reading:
    """DetectDocumentText: its job, to be waited for by detected() once nobody holds the body any more.

    Raises RequestInvalid, RequestTooLarge, SourceBucketNotAllowed, and what a submission raises.
    """
    check_scope(caller, "submit")
    asked = requests.parsed(body.value, requests.DetectDocumentText).document
    if (asked.content is None) == (asked.s3_object is None):
        raise RequestInvalid("Document has either Bytes or an S3Object.")
    image: str | HashedFile
    if asked.s3_object is not None:
        image = _readable(request, caller, asked.s3_object)
    else:
        image = body.file(asked.content or "")
        if image.file.seek(0, 2) > LARGEST_BYTES:
            raise too_large(LARGEST_BYTES)
    return await begin(request, caller, "textract", image)


async def detected(request: Request, reading: Reading) -> Answer:
    """All that was read. Raises as finished()."""
    document = await finished(request, reading)
    return await asyncio.to_thread(_answer_with_all, document)


async def start(request: Request, caller: Caller, body: JsonWithFiles) -> Answer:
    """StartDocumentTextDetection. Raises RequestInvalid, SourceBucketNotAllowed, IdempotencyMismatch,
    RequestInProgress, and what a submission raises."""
    check_scope(caller, "submit")
    asked = requests.parsed(body.value, requests.StartDocumentTextDetection)
    if asked.kms_key is not None:
        raise RequestInvalid("There are no keys of KMS here: leave KMSKeyId out.", parameter="KMSKeyId")
    if asked.output_config is not None:
        raise RequestInvalid("Results are not stored in another bucket: leave OutputConfig out.")
    queue: AsyncOcrQueue = request.app.state.queue
    token = asked.client_request_token
    async with claimed(queue, caller.tenant, "textract", token) as claim:
        fingerprint = fingerprint_of(asked.model_dump(exclude={"client_request_token"}))
        job_id = claim.check(fingerprint)
        if job_id is None:
            job = await submit(
                request,
                caller,
                "textract",
                _readable(request, caller, asked.document_location.s3_object),
                tag=asked.job_tag,
                webhook=_webhook(request, caller, asked.notification_channel),
                idempotency_key=None if token is None else f"textract {token}",
            )
            job_id = job.id
            claim.keep(fingerprint, job_id)
    return {"JobId": job_id}


async def get(request: Request, caller: Caller, body: JsonWithFiles) -> Answer:
    """GetDocumentTextDetection. Raises RequestInvalid, JobUnknown, and what storage raises."""
    check_scope(caller, "read")
    asked = requests.parsed(body.value, requests.GetDocumentTextDetection)
    requests.check_job_id(asked.job_id)
    place = Place() if asked.next_token is None else place_of(asked.next_token, caller.tenant, asked.job_id)
    status = await owned(request, caller, asked.job_id)
    if not status.finished:
        return {"JobStatus": "IN_PROGRESS"}
    if status.state not in ("succeeded", "partial"):
        return {"JobStatus": "FAILED", "StatusMessage": _why(status)}
    document = await request.app.state.queue.document(status)
    most = min(asked.max_results, requests.MOST_RESULTS)
    blocks, following = await asyncio.to_thread(some_blocks, document, place, most)
    state = "SUCCEEDED" if status.state == "succeeded" else "PARTIAL_SUCCESS"
    answer: Answer = {"JobStatus": state, **_answer(document, blocks)}
    if warnings := _warnings(document):
        answer["Warnings"] = warnings
    if following is not None:
        answer["NextToken"] = token_of(following, caller.tenant, asked.job_id)
    return answer


def _readable(request: Request, caller: Caller, given: requests.S3Object) -> str:
    """Where workers find it. Raises SourceBucketNotAllowed, SourceInvalid."""
    rules: CloudRules = request.app.state.cloud_rules
    found = rules.readable(given.reference, caller.tenant)
    if found is None:
        raise SourceBucketNotAllowed(
            f"No rule lets clients name objects of the bucket {given.bucket} by this name.",
            remedy="An operator adds the bucket to OCRQUEUE_GATEWAY_CLOUD_RULES, or the document is sent as Bytes.",
        )
    return found


def _webhook(request: Request, caller: Caller, channel: requests.NotificationChannel | None) -> str | None:
    """Raises RequestInvalid."""
    if channel is None:
        return None
    rules: CloudRules = request.app.state.cloud_rules
    found = rules.webhook(channel.topic, caller.tenant)
    if found is None:
        raise RequestInvalid(
            "No rule says which webhook stands for this SNSTopicArn.",
            remedy="An operator adds the topic to OCRQUEUE_GATEWAY_CLOUD_RULES.",
        )
    return found


def _answer_with_all(document: Document) -> Answer:
    failed = document.failed_pages
    pages = (document.page(number) for number in document.page_numbers if number not in failed)
    return _answer(document, [block for page in pages for block in blocks_of(page, document.job_id)])


def _answer(document: Document, blocks: Sequence[Block]) -> Answer:
    return {
        "DocumentMetadata": {"Pages": len(document.page_numbers)},
        "Blocks": list(blocks),
        "DetectDocumentTextModelVersion": f"{document.engine.name} {document.engine.version}",
    }


def _why(status: JobStatus) -> str:
    return text_of(status.error) if status.error is not None else f"The job was {status.state}."


def _warnings(document: Document) -> list[Answer]:
    """A code of this system, and the pages that it is about, where it is about some."""
    found: dict[str, list[int]] = {}
    for number, error in document.failed_pages.items():
        found.setdefault(error.code, []).append(number)
    for warning in document.warnings:
        found.setdefault(warning.code, []).extend([] if warning.page is None else [warning.page])
    return [{"ErrorCode": code, **({"Pages": pages} if pages else {})} for code, pages in found.items()]
