"""Textract's Blocks, their paging, and errors by its names."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue.document import Document, Page, polygon_of
from ocrqueue.errors import ErrorInfo, RequestInvalid, error_classes
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.clouds.textract import requests
from ocrqueue_gateway.clouds.textract.blocks import blocks_of
from ocrqueue_gateway.clouds.textract.errors import error_response, name_of
from ocrqueue_gateway.clouds.textract.paging import Place, place_of, some_blocks, token_of
from ocrqueue_gateway.settings import GatewaySettings
from tests.support.documents import block_of, document_of, line_of, page_of, paragraph_of, word
from tests.support.textract import KNOWN_NAMES, MODEL, complaints


def numbered(page: Page) -> Page:
    """Each word with an id of its own, as engines' words have."""
    count = 0
    blocks = []
    for block in page.blocks:
        paragraphs = []
        for paragraph in block.paragraphs:
            lines = []
            for line in paragraph.lines:
                words = []
                for each in line.words:
                    count += 1
                    words.append(each.model_copy(update={"id": f"p{page.number:03}-w{count:04}"}))
                lines.append(line.model_copy(update={"words": tuple(words)}))
            paragraphs.append(paragraph.model_copy(update={"lines": tuple(lines)}))
        blocks.append(block.model_copy(update={"paragraphs": tuple(paragraphs)}))
    return page.model_copy(update={"blocks": tuple(blocks)})


@pytest.fixture
def document() -> Document:
    first = numbered(page_of(1, [[[["GREEN", "LANTERN"], ["GROCERY"]]], [[["Total"]]]]))
    return document_of(first, page_of(2, []), numbered(page_of(3, [[[["Thank", "you"]]]], confidence=None)))


def test_a_page_is_its_lines_and_these_are_their_words(document: Document) -> None:
    blocks = blocks_of(document.page(1), "job")
    assert complaints({"Blocks": blocks}) == ""
    assert [(each["BlockType"], each.get("Text")) for each in blocks] == [
        ("PAGE", None),
        ("LINE", "GREEN LANTERN"),
        ("LINE", "GROCERY"),
        ("LINE", "Total"),
        ("WORD", "GREEN"),
        ("WORD", "LANTERN"),
        ("WORD", "GROCERY"),
        ("WORD", "Total"),
    ]
    named = {each["Id"]: each for each in blocks}
    assert len(named) == len(blocks)
    (lines,) = blocks[0]["Relationships"]
    assert lines == {"Type": "CHILD", "Ids": [each["Id"] for each in blocks[1:4]]}
    (words,) = blocks[1]["Relationships"]
    assert [named[each]["Text"] for each in words["Ids"]] == ["GREEN", "LANTERN"]
    assert "Relationships" not in blocks[4]
    assert blocks == blocks_of(document.page(1), "job"), "the same ids each time"
    assert not {each["Id"] for each in blocks} & {each["Id"] for each in blocks_of(document.page(1), "other")}


def test_boxes_are_ratios_of_the_page(document: Document) -> None:
    page, line, *_ = blocks_of(document.page(1), "job")
    assert page["Geometry"]["BoundingBox"] == {"Width": 1.0, "Height": 1.0, "Left": 0.0, "Top": 0.0}
    assert line["Geometry"] == {
        "BoundingBox": {"Left": 0.025, "Top": 0.033333, "Width": 0.275, "Height": 0.066667},
        "Polygon": [
            {"X": 0.025, "Y": 0.033333},
            {"X": 0.3, "Y": 0.033333},
            {"X": 0.3, "Y": 0.1},
            {"X": 0.025, "Y": 0.1},
        ],
    }


def test_confidences_are_percent_and_none_is_made_up(document: Document) -> None:
    assert {each.get("Confidence") for each in blocks_of(document.page(1), "job")[1:]} == {50.0}
    assert all("Confidence" not in each for each in blocks_of(document.page(3), "job"))
    assert all("TextType" not in each for each in blocks_of(document.page(1), "job"))


@given(
    box=st.tuples(*[st.one_of(st.floats(-50, 450), st.floats()) for _ in range(4)]),
    confidence=st.one_of(st.none(), st.floats(0, 1)),
    size=st.tuples(st.integers(0, 400), st.integers(0, 300)),
)
def test_whatever_an_engine_gives_is_as_the_service_model_has_it(
    box: tuple[float, float, float, float], confidence: float | None, size: tuple[int, int]
) -> None:
    made = word("x", box, confidence).model_copy(update={"polygon": polygon_of(box)})
    page = page_of(1, []).model_copy(
        update={
            "width": size[0],
            "height": size[1],
            "blocks": (block_of([paragraph_of([line_of([made])])]),),
        }
    )
    blocks = blocks_of(page, "job")
    assert complaints({"Blocks": blocks}) == ""
    for each in blocks:
        points = [value for point in each["Geometry"]["Polygon"] for value in point.values()]
        assert all(0 <= value <= 1 for value in (*points, *each["Geometry"]["BoundingBox"].values()))
        assert 0 <= each.get("Confidence", 0) <= 100


@pytest.mark.parametrize("most", [1, 2, 3, 7, 8, 9, 13, 1000])
def test_blocks_come_by_so_many_each_once_and_in_order(document: Document, most: int) -> None:
    whole, following = some_blocks(document, Place(), 1000)
    assert following is None
    assert [each["Page"] for each in whole if each["BlockType"] == "PAGE"] == [1, 2, 3]
    taken: list[Any] = []
    place: Place | None = Place()
    while place is not None:
        some, place = some_blocks(document, place, most)
        assert len(some) == most or place is None
        assert some, "no answer is empty"
        taken += some
    assert taken == whole


def test_a_page_that_failed_has_no_block() -> None:
    failed = page_of(2, []).model_copy(update={"error": ErrorInfo(code="image.corrupt", message="It is cut.")})
    blocks, following = some_blocks(document_of(page_of(1, []), failed, page_of(3, [])), Place(), 1000)
    assert [each["Page"] for each in blocks] == [1, 3]
    assert following is None


def test_a_place_beyond_the_end_has_nothing(document: Document) -> None:
    assert some_blocks(document, Place(9, 9), 10) == ([], None)
    assert some_blocks(document, Place(2, 900), 10) == ([], None)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_token_is_a_place_of_one_job_of_one_tenant(page: int, block: int) -> None:
    token = token_of(Place(page, block), "acme", "job")
    assert len(token) <= 255
    assert place_of(token, "acme", "job") == Place(page, block)
    for tenant, job in (("acme", "other"), ("other", "job"), ("", "job")):
        with pytest.raises(RequestInvalid, match="not one of this job"):
            place_of(token, tenant, job)


@given(st.text(max_size=80))
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(RequestInvalid, match="not one of this job"):
        place_of(token, "acme", "job")


def test_every_error_has_a_name_that_the_clients_know() -> None:
    for code, cls in error_classes().items():
        info = ErrorInfo(code=code, message="m", remedy="r", retryable=cls.retryable)
        assert name_of(info) in KNOWN_NAMES, code
        if cls.retryable:
            assert name_of(info) in {
                "ThrottlingException",
                "ProvisionedThroughputExceededException",
                "RequestTimeoutException",
            }, code
    assert name_of(ErrorInfo(code="of.a.later.version", message="m")) == "InternalServerError"
    assert name_of(RequestInvalid("m", parameter="KMSKeyId").info) == "InvalidKMSKeyException"


@pytest.mark.parametrize(
    ("code", "name", "status"),
    [
        ("queue.full", "ThrottlingException", 500),
        ("job.wait_timeout", "ThrottlingException", 500),
        ("tenant.limited", "ProvisionedThroughputExceededException", 400),
        ("key.signature_wrong", "InvalidSignatureException", 400),
        ("job.unknown", "InvalidJobIdException", 400),
        ("source.bucket_not_allowed", "InvalidS3ObjectException", 400),
        ("image.corrupt", "BadDocumentException", 400),
        ("internal.error", "InternalServerError", 500),
    ],
)
def test_an_error_says_its_name_where_each_client_looks(code: str, name: str, status: int) -> None:
    info = ErrorInfo(code=code, message="It is so.", remedy="Do this.", retryable=error_classes()[code].retryable)
    answer = error_response(info, 418, {"retry-after": "7", "www-authenticate": "Bearer"})
    assert answer.status_code == status
    assert json.loads(bytes(answer.body)) == {"__type": name, "message": f"It is so. Do this. ({code})"}
    assert answer.headers["x-amzn-errortype"] == name
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["retry-after"] == "7"
    assert "www-authenticate" not in answer.headers


GOOD = {
    "DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": "a b/ü?#.pdf"}},
    "ClientRequestToken": "token_1-a",
    "JobTag": "case:7",
    "NotificationChannel": {
        "SNSTopicArn": "arn:aws:sns:eu-central-1:123456789012:done",
        "RoleArn": "arn:aws:iam::123456789012:role/textract",
    },
    "OutputConfig": {"S3Bucket": "scans", "S3Prefix": "out"},
    "KMSKeyId": "key",
}


def test_a_request_with_all_that_the_service_model_has_is_understood() -> None:
    model = MODEL.operation_model("StartDocumentTextDetection").input_shape
    assert set(GOOD) == set(model.members)
    asked = requests.parsed(GOOD, requests.StartDocumentTextDetection)
    assert asked.document_location.s3_object.reference == "s3://scans/a b/ü?#.pdf"
    assert (asked.client_request_token, asked.job_tag, asked.kms_key) == ("token_1-a", "case:7", "key")
    for name in ("DetectDocumentText", "GetDocumentTextDetection"):
        members = set(MODEL.operation_model(name).input_shape.members)
        own = {field.alias for field in getattr(requests, name).model_fields.values()}
        assert own == members


@pytest.mark.parametrize(
    "change",
    [
        {"DocumentLocation": {}},
        {"DocumentLocation": {"S3Object": {"Bucket": "ab", "Name": "x"}}},
        {"DocumentLocation": {"S3Object": {"Bucket": "a/b", "Name": "x"}}},
        {"DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": " "}}},
        {"DocumentLocation": {"S3Object": {"Bucket": "scans", "Name": "x", "Version": "1"}}},
        {"ClientRequestToken": "a b"},
        {"ClientRequestToken": "a" * 65},
        {"JobTag": "ü"},
        {"NotificationChannel": {"SNSTopicArn": "arn:aws:sns:eu-central-1:123456789012:done"}},
        {"FeatureTypes": ["TABLES"]},
    ],
)
def test_what_the_service_model_does_not_allow_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid) as refused:
        requests.parsed({**GOOD, **change}, requests.StartDocumentTextDetection)
    assert next(iter(change)) in refused.value.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["Document", "Bytes", "S3Object", "JobId", "MaxResults", "NextToken", "x"]), inner
            )
        ),
        max_leaves=8,
    )
)
def test_no_body_breaks_it(value: Any) -> None:
    for model in (requests.DetectDocumentText, requests.GetDocumentTextDetection):
        with suppress(RequestInvalid):
            requests.parsed(value, model)


@pytest.mark.parametrize(
    ("url", "headers", "name", "status"),
    [
        ("http://elsewhere.example.org/", {}, "AccessDeniedException", 400),
        ("http://ocr.example.org/", {"content-length": "1000000000000"}, "DocumentTooLargeException", 400),
        ("http://ocr.example.org/", {"x-big": "x" * 40_000}, "InvalidParameterException", 400),
        ("http://ocr.example.org/", {}, "MissingAuthenticationTokenException", 400),
        ("http://ocr.example.org/", {"authorization": "AWS4-HMAC-SHA256 x"}, "InternalServerError", 500),
        ("http://ocr.example.org/textract/", {}, "UnknownOperationException", 400),
    ],
)
async def test_whoever_raises_an_error_it_has_awss_form(
    url: str, headers: dict[str, str], name: str, status: int
) -> None:
    """The application has no queue here: that it is looked for is what nobody has foreseen."""
    app = create_app(GatewaySettings(host="0.0.0.0", allowed_hosts=("ocr.example.org",)))
    told = {"x-amz-target": "Textract.DetectDocumentText", "content-type": "application/x-amz-json-1.1", **headers}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answer = await client.post(url, headers=told)
    assert (answer.status_code, answer.json()["__type"]) == (status, name)
    assert answer.headers["x-amzn-errortype"] == name
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-requestid"] == answer.headers["x-request-id"]
