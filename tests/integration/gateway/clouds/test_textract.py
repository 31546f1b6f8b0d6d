"""AWS Textract's own client for Python, unmodified, against the gateway; only its address and credentials are ours."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from ocrqueue.client import registry_of
from ocrqueue.core.api_keys import NewApiKey
from ocrqueue.storage.s3_client import s3_client
from ocrqueue_gateway.access import failures
from ocrqueue_gateway.access.failures import ALLOWED
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT, block_after, snippets
from tests.support.pictures import png, text_picture
from tests.support.processes import wait_until
from tests.support.replicas import nginx
from tests.support.textract import complaints
from tests.support.textract_gateway import ROLE, TOPIC, WEBHOOK, SigningGateway

pytest_plugins = ["tests.support.server_fixtures"]

OTHER_OPERATIONS = {
    "analyze_document": {"Document": {"Bytes": b"x"}, "FeatureTypes": ["TABLES"]},
    "analyze_expense": {"Document": {"Bytes": b"x"}},
    "get_document_analysis": {"JobId": "x"},
    "list_adapters": {},
}


@pytest.fixture
def tenant() -> str:
    return f"aws-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def textract(signing: SigningGateway, tenant: str) -> Any:
    return signing.client(signing.key(tenant))


def sample(name: str) -> bytes:
    return (ROOT / "samples" / name).read_bytes()


def words(answer: dict[str, Any]) -> list[str]:
    return [block["Text"] for block in answer["Blocks"] if block["BlockType"] == "WORD"]


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def checked(answer: dict[str, Any], operation: str) -> dict[str, Any]:
    """An answer that the service model has nothing against."""
    told = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    assert complaints(told, operation) == ""
    return answer


def ended(client: Any, job_id: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {}

    def has_ended() -> bool:
        answer.update(client.get_document_text_detection(JobId=job_id, **more))
        return answer["JobStatus"] != "IN_PROGRESS"

    wait_until(has_ended, 100, "the job ends")
    return checked(answer, "GetDocumentTextDetection")


# --- reading ----------------------------------------------------------------------------------------------------------


def test_bytes_are_read_as_the_native_interface_reads_them(
    signing: SigningGateway, textract: Any, installation: Installation
) -> None:
    answer = checked(textract.detect_document_text(Document={"Bytes": sample("receipt.jpg")}), "DetectDocumentText")
    document = installation.queue.submit(sample("receipt.jpg"), engine="tesseract").result(timeout=100)
    page = document.pages[0]
    assert answer["DocumentMetadata"] == {"Pages": 1}
    assert answer["DetectDocumentTextModelVersion"].startswith("tesseract ")
    assert words(answer) == [word.text for word in document.words()]
    lines = [block for block in answer["Blocks"] if block["BlockType"] == "LINE"]
    assert [line["Text"] for line in lines] == [line.text for line in page.lines()]
    for block, word in zip(
        [block for block in answer["Blocks"] if block["BlockType"] == "WORD"], document.words(), strict=True
    ):
        box = block["Geometry"]["BoundingBox"]
        assert box["Left"] * page.width == pytest.approx(word.bbox[0], abs=0.1)
        assert (box["Top"] + box["Height"]) * page.height == pytest.approx(word.bbox[3], abs=0.1)
        assert word.confidence is not None
        assert block["Confidence"] == pytest.approx(100 * word.confidence, abs=0.01)
    metadata = answer["ResponseMetadata"]
    assert metadata["HTTPHeaders"]["content-type"] == "application/x-amz-json-1.1"
    assert metadata["RequestId"] == metadata["HTTPHeaders"]["x-request-id"]


def test_an_object_of_a_bucket_that_a_rule_names_is_read(signing: SigningGateway, textract: Any) -> None:
    signing.put("in box/sign é.jpg", sample("street-sign.jpg"))
    named = {"S3Object": {"Bucket": "scans", "Name": "in box/sign é.jpg"}}
    by_name = checked(textract.detect_document_text(Document=named), "DetectDocumentText")
    sent = textract.detect_document_text(Document={"Bytes": sample("street-sign.jpg")})
    assert words(by_name) == words(sent) != []


def test_a_document_is_read_later_and_comes_by_so_many_blocks(signing: SigningGateway, textract: Any) -> None:
    signing.put("letter.pdf", sample("letter.pdf"))
    location = {"S3Object": {"Bucket": "scans", "Name": "letter.pdf"}}
    started = textract.start_document_text_detection(DocumentLocation=location, JobTag="case-7")
    job_id = started["JobId"]
    whole = ended(textract, job_id)
    assert (whole["JobStatus"], whole["DocumentMetadata"]) == ("SUCCEEDED", {"Pages": 2})
    assert "NextToken" not in whole
    assert {block["Page"] for block in whole["Blocks"]} == {1, 2}
    assert signing.queue.job(job_id).status().tag == "case-7"
    found, token = [], {}
    while True:
        some = checked(
            textract.get_document_text_detection(JobId=job_id, MaxResults=100, **token), "GetDocumentTextDetection"
        )
        found += some["Blocks"]
        if "NextToken" not in some:
            break
        assert len(some["Blocks"]) == 100
        token = {"NextToken": some["NextToken"]}
    assert found == whole["Blocks"]
    by_id = {block["Id"]: block for block in found}
    for block in found:
        for relationship in block.get("Relationships", []):
            kinds = {by_id[each]["BlockType"] for each in relationship["Ids"]}
            assert kinds == {"LINE" if block["BlockType"] == "PAGE" else "WORD"}


def test_more_than_a_thousand_blocks_come_by_a_thousand(signing: SigningGateway, textract: Any, tenant: str) -> None:
    from PIL import Image

    white = png(Image.new("L", (40, 30), "white"))
    job = signing.queue.submit(white, engine="null", options={"words": 1000}, tenant=tenant, crops="none")
    first = ended(textract, job.id, MaxResults=5000)
    assert len(first["Blocks"]) == 1000
    rest = textract.get_document_text_detection(JobId=job.id, NextToken=first["NextToken"])
    assert "NextToken" not in rest
    assert len(words(first)) + len(words(rest)) == 1000


def test_the_same_token_is_the_same_job(signing: SigningGateway, textract: Any, tenant: str) -> None:
    signing.put("sign.jpg", sample("street-sign.jpg"))
    signing.put("other.jpg", sample("street-sign.jpg"))
    asked = {"DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": "sign.jpg"}}, "ClientRequestToken": "once_1"}
    first, second = (textract.start_document_text_detection(**asked)["JobId"] for _ in range(2))
    assert first == second
    with pytest.raises(textract.exceptions.IdempotentParameterMismatchException):
        textract.start_document_text_detection(
            **{**asked, "DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": "other.jpg"}}}
        )
    another = signing.client(signing.key(f"{tenant}-b"))
    assert another.start_document_text_detection(**asked)["JobId"] != first
    without = {"DocumentLocation": asked["DocumentLocation"]}
    third, fourth = (textract.start_document_text_detection(**without)["JobId"] for _ in range(2))
    assert len({first, third, fourth}) == 3


def test_a_topic_is_the_webhook_that_a_rule_names(signing: SigningGateway, textract: Any) -> None:
    signing.put("sign.jpg", sample("street-sign.jpg"))
    asked = {"DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": "sign.jpg"}}}
    job_id = textract.start_document_text_detection(
        **asked, NotificationChannel={"SNSTopicArn": TOPIC, "RoleArn": ROLE}
    )["JobId"]
    registry = registry_of(signing.queue)
    job = json.loads(registry.client.hget(registry.keys.record(job_id), "job"))
    assert job["webhook"] == WEBHOOK
    with pytest.raises(textract.exceptions.InvalidParameterException, match="No rule says which webhook"):
        textract.start_document_text_detection(
            **asked, NotificationChannel={"SNSTopicArn": f"{TOPIC}-other", "RoleArn": ROLE}
        )


def stored(signing: SigningGateway, prefix: str) -> dict[str, Any]:
    """What lies below a prefix of what clients call the bucket `results`."""
    s3, below = s3_client(signing.settings), f"results/{prefix}/"
    listed = s3.list_objects_v2(Bucket=signing.bucket, Prefix=below).get("Contents", [])
    bodies = {each["Key"]: s3.get_object(Bucket=signing.bucket, Key=each["Key"])["Body"].read() for each in listed}
    return {name.removeprefix(below): json.loads(body) for name, body in bodies.items()}


def test_results_are_stored_where_a_rule_allows_it(signing: SigningGateway, textract: Any, tenant: str) -> None:
    signing.put("letter.pdf", sample("letter.pdf"))
    asked = {"DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": "letter.pdf"}}}
    config = {"S3Bucket": "results", "S3Prefix": tenant}
    job_id = textract.start_document_text_detection(**asked, OutputConfig=config)["JobId"]
    whole = ended(textract, job_id)
    files = stored(signing, tenant)
    assert set(files) == {f"{job_id}/1"}
    assert files[f"{job_id}/1"] == {name: value for name, value in whole.items() if name != "ResponseMetadata"}
    for bucket in ("scans", "elsewhere"):
        with pytest.raises(textract.exceptions.InvalidS3ObjectException, match="Nothing is stored in the bucket"):
            textract.start_document_text_detection(**asked, OutputConfig={"S3Bucket": bucket})


def test_results_are_stored_though_the_replica_that_began_is_gone(
    signing: SigningGateway, textract: Any, tenant: str
) -> None:
    signing.put("broken.png", b"no image")
    signing.put("sign.jpg", sample("street-sign.jpg"))
    signing.queue.pause(tenant=tenant, reason="of a test")
    with signing.another() as first:
        client = first.client(first.key(tenant))
        jobs = [
            client.start_document_text_detection(
                DocumentLocation={"S3Object": {"Bucket": "scans", "Name": name}},
                OutputConfig={"S3Bucket": "results", "S3Prefix": tenant},
            )["JobId"]
            for name in ("sign.jpg", "broken.png")
        ]
    signing.queue.resume(tenant=tenant)
    assert [ended(textract, job_id)["JobStatus"] for job_id in jobs] == ["SUCCEEDED", "FAILED"]
    assert set(stored(signing, tenant)) == {f"{jobs[0]}/1"}, "of a job that failed there is nothing"


# --- what is refused, by Textract's names -----------------------------------------------------------------------------


def test_errors_are_the_clients_own(signing: SigningGateway, textract: Any) -> None:
    known = textract.exceptions
    with pytest.raises(known.UnsupportedDocumentException, match=r"\(image.not_recognised\)"):
        textract.detect_document_text(Document={"Bytes": b"no image at all"})
    with pytest.raises(known.BadDocumentException):
        textract.detect_document_text(Document={"Bytes": sample("street-sign.jpg")[:4000]})
    with pytest.raises(known.DocumentTooLargeException):
        textract.detect_document_text(Document={"Bytes": bytes(10 * 1024 * 1024 + 1)})
    with pytest.raises(known.DocumentTooLargeException):
        textract.detect_document_text(Document={"Bytes": bytes(40 * 1024 * 1024)})
    with pytest.raises(known.InvalidParameterException, match="either Bytes or an S3Object"):
        textract.detect_document_text(Document={})
    both = {"Bytes": b"x", "S3Object": {"Bucket": "scans", "Name": "x"}}
    with pytest.raises(known.InvalidParameterException, match="either Bytes or an S3Object"):
        textract.detect_document_text(Document=both)
    for bucket, name in (("scans", "not-there.png"), ("elsewhere", "sign.jpg"), (signing.bucket, "x")):
        with pytest.raises(known.InvalidS3ObjectException):
            textract.detect_document_text(Document={"S3Object": {"Bucket": bucket, "Name": name}})
    location = {"S3Object": {"Bucket": "scans", "Name": "sign.jpg"}}
    with pytest.raises(known.InvalidKMSKeyException):
        textract.start_document_text_detection(DocumentLocation=location, KMSKeyId="alias/key")
    up = {"S3Object": {"Bucket": "scans", "Name": "../sign.jpg"}}
    with pytest.raises(known.InvalidS3ObjectException):
        textract.start_document_text_detection(DocumentLocation=up)
    for unknown in ("01a2042b-0000-7000-8000-000000000000", "-_-"):
        with pytest.raises(known.InvalidJobIdException):
            textract.get_document_text_detection(JobId=unknown)


def test_a_job_that_fails_says_why(signing: SigningGateway, textract: Any) -> None:
    signing.put("broken.png", b"\x89PNG\r\n\x1a\n broken")
    location = {"S3Object": {"Bucket": "scans", "Name": "broken.png"}}
    answer = ended(textract, textract.start_document_text_detection(DocumentLocation=location)["JobId"])
    assert answer["JobStatus"] == "FAILED"
    assert "(image." in answer["StatusMessage"]


@pytest.mark.parametrize("name", OTHER_OPERATIONS)
def test_other_operations_are_refused_as_aws_refuses_what_it_has_not(textract: Any, name: str) -> None:
    with pytest.raises(ClientError, match="There is no operation Textract") as refused:
        getattr(textract, name)(**OTHER_OPERATIONS[name])
    assert code_of(refused) == "UnknownOperationException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


# --- who may ----------------------------------------------------------------------------------------------------------


def test_what_is_anothers_is_as_if_it_had_never_been(signing: SigningGateway, textract: Any, tenant: str) -> None:
    signing.put("sign.jpg", sample("street-sign.jpg"))
    location = {"S3Object": {"Bucket": "scans", "Name": "sign.jpg"}}
    job_id = textract.start_document_text_detection(DocumentLocation=location)["JobId"]
    token = ended(textract, job_id, MaxResults=1)["NextToken"]
    other = signing.client(signing.key(f"{tenant}-b"))
    with pytest.raises(other.exceptions.InvalidJobIdException) as refused:
        other.get_document_text_detection(JobId=job_id)
    with pytest.raises(other.exceptions.InvalidJobIdException) as unknown:
        other.get_document_text_detection(JobId="01a2042b-0000-7000-8000-000000000000")
    told = [
        error.value.response["Error"]["Message"].replace(each, "ID")
        for error, each in ((refused, job_id), (unknown, "01a2042b-0000-7000-8000-000000000000"))
    ]
    assert told[0] == told[1]
    own = other.start_document_text_detection(DocumentLocation=location)["JobId"]
    with pytest.raises(other.exceptions.InvalidParameterException, match="NextToken"):
        other.get_document_text_detection(JobId=own, NextToken=token)


def test_a_key_permits_its_scopes_and_engines_only(signing: SigningGateway, tenant: str) -> None:
    document = {"Bytes": sample("street-sign.jpg")}
    for asked in ({"scopes": ["read"]}, {"engines": ["rapid"]}):
        client = signing.client(signing.key(tenant, **asked))
        with pytest.raises(client.exceptions.AccessDeniedException):
            client.detect_document_text(Document=document)
    writing = signing.client(signing.key(tenant, scopes=["submit"]))
    with pytest.raises(writing.exceptions.AccessDeniedException):
        writing.get_document_text_detection(JobId="01a2042b-0000-7000-8000-000000000000")


def test_wrong_credentials_are_refused_as_aws_refuses_them(signing: SigningGateway, tenant: str) -> None:
    made = signing.key(tenant)
    expired = signing.key(tenant, expires_in_s=1)
    revoked = signing.key(tenant)
    signing.queue.api_keys.revoke(revoked.key.id)

    def refused(key_id: str, secret: str | None, token: str | None = None, **config: Any) -> str:
        client = boto3.client(
            "textract",
            region_name="eu-central-1",
            endpoint_url=signing.url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )
        with pytest.raises(ClientError) as error:
            client.get_document_text_detection(JobId="x")
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return code_of(error)

    assert made.signing_secret is not None
    assert refused(made.key.id, f"{made.signing_secret[:-1]}-") == "InvalidSignatureException"
    assert refused(made.key.id, made.text) == "InvalidSignatureException"
    assert refused("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI") == "InvalidSignatureException"
    assert refused(revoked.key.id, revoked.signing_secret) == "UnrecognizedClientException"
    assert refused(made.key.id, made.signing_secret, "a-session-token") == "UnrecognizedClientException"
    assert refused(made.key.id, made.signing_secret, signature_version=UNSIGNED) == (
        "MissingAuthenticationTokenException"
    )
    client, keys = registry_of(signing.queue).client, registry_of(signing.queue).keys
    wait_until(lambda: client.time()[0] > expired.key.created_at.timestamp() + 2, 60, "the key has expired")
    assert client.hexists(keys.api_keys(), expired.key.id)
    assert refused(expired.key.id, expired.signing_secret) == "ExpiredTokenException"


def signed(
    gateway: SigningGateway, key: NewApiKey, body: bytes, target: str = "Textract.GetDocumentTextDetection"
) -> Any:
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest(method="POST", url=f"{gateway.url}/", data=body, headers=headers)
    assert key.signing_secret is not None
    SigV4Auth(Credentials(key.key.id, key.signing_secret), "textract", "eu-central-1").add_auth(request)
    return dict(request.headers.items())


def test_what_was_signed_can_be_sent_again_and_nothing_else(signing: SigningGateway, tenant: str) -> None:
    body = b'{"JobId": "01a2042b-0000-7000-8000-000000000000"}'
    headers = signed(signing, signing.key(tenant), body)
    with httpx.Client(base_url=signing.url, timeout=60, trust_env=False) as http:

        def named(content: bytes = body, path: str = "/", **changed: str) -> str:
            told = {**headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
            answer = http.post(path, content=content, headers=told)
            assert answer.headers["x-amzn-errortype"] == answer.json()["__type"]
            return str(answer.json()["__type"])

        assert named() == "InvalidJobIdException"
        assert named() == "InvalidJobIdException", "within five minutes the same is right again, as at AWS"
        assert named(body.replace(b"7000", b"7001")) == "InvalidSignatureException"
        assert named(b'{"JobId": ') == "InvalidSignatureException", "who has not signed it is not told more"
        assert named(X_Amz_Target="Textract.DetectDocumentText") == "InvalidSignatureException"
        assert named(Host="elsewhere.example.org") == "InvalidSignatureException"
        assert named(path="/?a=b") == "InvalidSignatureException"
        assert named(X_Amz_Content_SHA256=hashlib.sha256(body).hexdigest()) == "UnrecognizedClientException"
        assert named(X_Amz_Date="20200203T101530Z") == "UnrecognizedClientException"
        assert named(Content_Type="text/plain") == "InvalidParameterException"
        headers = signed(signing, signing.key(tenant), b"no JSON")
        assert named(b"no JSON") == "InvalidParameterException"


def test_wrong_signatures_count_as_wrong_keys_do_and_cost_their_owner_nothing(
    signing: SigningGateway, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # however slow the machine is, nothing is allowed anew meanwhile
    monkeypatch.setattr(failures, "_REFILL_S", 3600.0)
    # a gateway of its own, whose memory of addresses is its own too
    with signing.another() as apart:
        good, late = apart.key(tenant), apart.key(tenant)
        body = b'{"JobId": "01a2042b-0000-7000-8000-000000000000"}'
        with httpx.Client(base_url=apart.url, timeout=60, trust_env=False) as http:

            def named(key: NewApiKey, content: bytes = body) -> str:
                return str(http.post("/", content=content, headers=signed(apart, key, body)).json()["__type"])

            assert named(good) == "InvalidJobIdException"
            found = [named(late, body + b" ") for _ in range(ALLOWED + 5)]
            assert found[:ALLOWED] == ["InvalidSignatureException"] * ALLOWED
            assert "ThrottlingException" in found[ALLOWED:]
            assert named(good, body + b" ") == "InvalidSignatureException"
            assert named(good) == "InvalidJobIdException"


def test_who_has_not_signed_learns_nothing_of_the_body(signing: SigningGateway, tenant: str) -> None:
    key = signing.key(tenant)
    assert key.signing_secret is not None
    forger = replace(key, signing_secret=key.signing_secret[::-1])
    target = "Textract.DetectDocumentText"
    # a gateway of its own, whose memory of addresses is its own too
    with signing.another() as own, httpx.Client(trust_env=False, timeout=60) as http:
        for text in (b" " * 6000, b"%" * 6000, b"A" * 20_000_000, b'"'):
            body = b'{"Document": {"Bytes": "' + text + b'"}}'
            told = http.post(own.url, content=body, headers=signed(own, key, body, target)).json()["__type"]
            assert told in {"InvalidParameterException", "DocumentTooLargeException"}
            answer = http.post(own.url, content=body, headers=signed(own, forger, body, target))
            assert answer.json()["__type"] == "InvalidSignatureException"


def test_a_gateway_without_a_secret_says_so(gateway: str, installation: Installation, signing: SigningGateway) -> None:
    client = replace(signing, url=gateway).client(signing.key("any"))
    with pytest.raises(ClientError, match="OCRQUEUE_GATEWAY_SECRET is not set") as refused:
        client.get_document_text_detection(JobId="x")
    assert code_of(refused) == "UnrecognizedClientException"


def test_on_ones_own_machine_nobody_needs_to_sign(gateway: str) -> None:
    client = boto3.client(
        "textract",
        region_name="eu-central-1",
        endpoint_url=gateway,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    document = {"Bytes": png(text_picture("Hello 42"))}
    assert words(checked(client.detect_document_text(Document=document), "DetectDocumentText")) == ["Hello", "42"]


def test_a_proxy_as_the_documentation_has_it_changes_nothing_that_is_signed(
    signing: SigningGateway, tenant: str, tmp_path: Path
) -> None:
    with nginx([int(signing.url.rpartition(":")[2])] * 2, tmp_path / "nginx") as url:
        client = replace(signing, url=url).client(signing.key(tenant))
        with pytest.raises(client.exceptions.InvalidJobIdException):
            client.get_document_text_detection(JobId="01a2042b-0000-7000-8000-000000000000")


# --- a long queue -----------------------------------------------------------------------------------------------------


def test_the_client_tries_again_until_it_may(signing: SigningGateway, tenant: str) -> None:
    signing.put("sign.jpg", sample("street-sign.jpg"))
    asked = {"DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": "sign.jpg"}}}
    signing.queue.pause(tenant=tenant, reason="of a test")
    signing.queue.limit_tenant(tenant, waiting=1)
    client = signing.client(signing.key(tenant), attempts=20)
    client.start_document_text_detection(**asked)
    impatient = signing.client(signing.key(tenant))
    with pytest.raises(impatient.exceptions.ProvisionedThroughputExceededException, match=r"tenant\.limited"):
        impatient.start_document_text_detection(**asked)
    throttled = threading.Event()

    def note(response: Any, **_: object) -> None:
        if response is not None and response[0].status_code == 400:
            throttled.set()

    client.meta.events.register("needs-retry.textract.StartDocumentTextDetection", note)
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(client.start_document_text_detection(**asked)))
    asking.start()
    try:
        assert throttled.wait(60)
    finally:
        signing.queue.limit_tenant(tenant, waiting=100)
        asking.join(100)
        signing.queue.resume(tenant=tenant)
    assert answers[0]["ResponseMetadata"]["RetryAttempts"] >= 1


def test_a_keys_rate_is_told_as_throughput(signing: SigningGateway, tenant: str) -> None:
    client = signing.client(signing.key(tenant, rate="1/h"))
    with pytest.raises(client.exceptions.InvalidJobIdException):
        client.get_document_text_detection(JobId="01a2042b-0000-7000-8000-000000000000")
    with pytest.raises(client.exceptions.ProvisionedThroughputExceededException, match=r"key\.rate_exceeded"):
        client.get_document_text_detection(JobId="01a2042b-0000-7000-8000-000000000000")


def test_where_the_queue_is_long_the_client_asks_again_and_finds_its_job(signing: SigningGateway, tenant: str) -> None:
    queue = signing.queue
    queue.pause(tenant=tenant, reason="of a test")
    with signing.another(cloud_wait_s=0.2) as hasty:
        key = hasty.key(tenant)
        document = {"Bytes": png(text_picture("Patience 7"))}
        once = hasty.client(key)
        with pytest.raises(once.exceptions.ThrottlingException, match="Send the same request again") as refused:
            once.detect_document_text(Document=document)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert int(refused.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) >= 1
        answers: list[dict[str, Any]] = []
        many = hasty.client(key, attempts=200)
        asking = threading.Thread(target=lambda: answers.append(many.detect_document_text(Document=document)))
        asking.start()
        try:
            wait_until(lambda: len(list(queue.jobs(tenant=tenant).jobs)) == 1, 60, "its job waits")
        finally:
            queue.resume(tenant=tenant)
            asking.join(100)
    assert words(answers[0]) == ["Patience", "7"]
    assert len(queue.jobs(tenant=tenant).jobs) == 1, "all tries were one job"


# --- the documentation ------------------------------------------------------------------------------------------------


def test_programs_run_as_the_documentation_has_them(signing: SigningGateway, tenant: str, tmp_path: Path) -> None:
    signing.put("letter.pdf", sample("letter.pdf"))
    key = signing.key(tenant, scopes=["submit", "read"])
    assert key.signing_secret is not None
    variables = {
        "AWS_ENDPOINT_URL_TEXTRACT": signing.url,
        "AWS_ACCESS_KEY_ID": key.key.id,
        "AWS_SECRET_ACCESS_KEY": key.signing_secret,
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    page = ROOT / "docs/clouds.md"
    said = set(re.findall(r"^(AWS_\w+)=", block_after(page, "### Keys that sign", "sh"), re.MULTILINE))
    assert said == set(variables), "nothing else is set"
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    found = [(code, told) for code, told in snippets(page) if 'boto3.client("textract")' in code]
    assert len(found) == 2
    for code, told in found:
        (tmp_path / "program.py").write_text(code, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            env=others | variables,
            capture_output=True,
            encoding="utf-8",
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == told
