"""What the three operations do. Their answers are JSON, as the service model has it."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from ocrqueue.aio import AsyncOcrQueue
from ocrqueue.errors import RequestInvalid, SourceBucketNotAllowed
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue_gateway.access.authentication import check_scope
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.access.ownership import owned
from ocrqueue_gateway.clouds.json_files import JsonWithFiles
from ocrqueue_gateway.clouds.reading import Reading, begin, finished, submit
from ocrqueue_gateway.clouds.rules import CloudRules
from ocrqueue_gateway.clouds.textract import requests
from ocrqueue_gateway.clouds.textract.answers import READ, Answer, answer_of, answer_with_all
from ocrqueue_gateway.clouds.textract.output_files import output_of, store_later, stored
from ocrqueue_gateway.clouds.textract.paging import Place, place_of, some_blocks, token_of
from ocrqueue_gateway.jobs.idempotency import claimed, fingerprint_of


async def begin_detection(request: Request, caller: Caller, body: JsonWithFiles) -> Reading:
    """DetectDocumentText: its job, to be waited for by detected() once nobody holds the body any more.

    Raises RequestInvalid, RequestTooLarge, SourceBucketNotAllowed, and what a submission raises.
    """
    check_scope(caller, "submit")
    asked = (await asyncio.to_thread(requests.parsed, body.value, requests.DetectDocumentText)).document
    if (asked.content is None) == (asked.s3_object is None):
        raise RequestInvalid("Document has either Bytes or an S3Object.")
    image: str | HashedFile
    if asked.s3_object is not None:
        image = _readable(request, caller, asked.s3_object)
    else:
        image = body.file(asked.content or "")
    return await begin(request, caller, "textract", image)


async def detected(request: Request, reading: Reading) -> Answer:
    """All that was read. Raises as finished()."""
    document = await finished(request, reading)
    return await asyncio.to_thread(answer_with_all, document)


async def start(request: Request, caller: Caller, body: JsonWithFiles) -> Answer:
    """StartDocumentTextDetection. Raises RequestInvalid, SourceBucketNotAllowed, IdempotencyMismatch,
    RequestInProgress, and what a submission raises."""
    check_scope(caller, "submit")
    asked = await asyncio.to_thread(requests.parsed, body.value, requests.StartDocumentTextDetection)
    if asked.kms_key is not None:
        raise RequestInvalid("There are no keys of KMS here: leave KMSKeyId out.", parameter="KMSKeyId")
    output = None if asked.output_config is None else output_of(request, caller, asked.output_config)
    queue: AsyncOcrQueue = request.app.state.queue
    token = asked.client_request_token
    # a kind of its own: a token may look like the fingerprint by which begin() finds a job
    async with claimed(queue, caller.tenant, "textract token", token) as claim:
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
            if output is not None:
                await store_later(request, caller, job_id, output)
            claim.keep(fingerprint, job_id)
    return {"JobId": job_id}


async def get(request: Request, caller: Caller, body: JsonWithFiles) -> Answer:
    """GetDocumentTextDetection. Raises RequestInvalid, JobUnknown, and what storage raises."""
    check_scope(caller, "read")
    asked = await asyncio.to_thread(requests.parsed, body.value, requests.GetDocumentTextDetection)
    requests.check_job_id(asked.job_id)
    place = Place() if asked.next_token is None else place_of(asked.next_token, caller.tenant, asked.job_id)
    status = await owned(request, caller, asked.job_id)
    if status.state not in READ:
        return answer_of(status)
    output = await stored(request, caller, asked.job_id)
    if output is not None and output.state == "waits":
        return {"JobStatus": "IN_PROGRESS"}
    document = await request.app.state.queue.document(status)
    most = min(asked.max_results, requests.MOST_RESULTS)
    blocks, following = await asyncio.to_thread(some_blocks, document, place, most)
    answer = answer_of(status, document, blocks)
    if output is not None and output.error is not None:
        answer.setdefault("Warnings", []).append({"ErrorCode": output.error.code})
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
