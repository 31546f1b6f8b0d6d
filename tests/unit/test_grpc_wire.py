"""Messages by gRPC are weighed before they are read."""

from __future__ import annotations

from typing import Any

import pytest
from google.longrunning import operations_pb2
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue.errors import OcrQueueError, RequestInvalid, RequestTooLarge
from ocrqueue_gateway.clouds.google_vision.asking import languages_of
from ocrqueue_gateway.clouds.google_vision.messages import AsyncFilesRequest, FilesRequest, ImagesRequest
from ocrqueue_gateway.clouds.google_vision.wire import read_message

FEATURES = [{"type_": 5, "max_results": 3}]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ImagesRequest, {"requests": [{"image": {"content": bytes(100_000)}, "features": FEATURES}], "parent": "a"}),
        (
            FilesRequest,
            {"requests": [{"input_config": {"content": bytes(100_000)}, "pages": [1, 2], "features": FEATURES}]},
        ),
        (
            AsyncFilesRequest,
            {"requests": [{"input_config": {"gcs_source": {"uri": "gs://a/b"}}}], "labels": {"a": "b"}},
        ),
        (operations_pb2.GetOperationRequest, {"name": "operations/a"}),
        (ImagesRequest, {}),
    ],
)
def test_the_content_of_files_does_not_count(kind: Any, fields: dict[str, Any]) -> None:
    message = kind(**fields)
    assert read_message(message.SerializeToString(), kind, 100) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"requests": [{}] * 600},
        {"requests": [{"features": [{}] * 600}]},
        {"requests": [{"features": [{"type_": 5}] * 300}]},
        {"requests": [{"image": {"source": {"image_uri": "a" * 1000}}}]},
        {"requests": [{"image_context": {"language_hints": [""] * 600}}]},
        {"labels": {str(number): "" for number in range(200)}},
    ],
)
def test_all_else_does(fields: dict[str, Any]) -> None:
    data = ImagesRequest(**fields).SerializeToString()
    with pytest.raises(RequestTooLarge):
        read_message(data, ImagesRequest, 1000)


def test_a_field_of_bytes_counts_each_time_it_comes() -> None:
    image = b"\x0a\x00" * 50
    with pytest.raises(RequestTooLarge):
        read_message(b"\x0a\x66\x0a\x64" + image, ImagesRequest, 100)


@given(st.binary(max_size=60))
def test_no_bytes_break_it(data: bytes) -> None:
    try:
        read_message(data, ImagesRequest, 1000)
    except OcrQueueError as error:
        assert isinstance(error, RequestInvalid)  # noqa: PT017  # most are refused, some are messages


def test_languages_are_hinted_at_a_hundred_times_at_most() -> None:
    (asked,) = ImagesRequest(requests=[{"image_context": {"language_hints": ["en"] * 101}}]).requests
    with pytest.raises(RequestInvalid):
        languages_of(asked.image_context)
