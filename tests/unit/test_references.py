"""References to images: taken apart, and shown, whoever wrote them."""

from __future__ import annotations

import pytest

from ocrqueue.core.records import parse_record
from ocrqueue.errors import SourceInvalid
from ocrqueue.job import Job
from ocrqueue.job.references import redact_uri, split_uri
from ocrqueue.storage import file_uri_path

UNPARSABLE = ("http://[", "http://user:hush@[/x.png", "https://]/", "gs://[/x", "file://[", "http://hush\u2100/x.png")


@pytest.mark.parametrize("uri", UNPARSABLE)
def test_an_address_that_does_not_parse_is_a_clear_error_and_shows_nothing_of_it(uri: str) -> None:
    for split in (split_uri, file_uri_path):
        with pytest.raises(SourceInvalid, match="its address is not valid") as caught:
            split(uri)
        assert "hush" not in str(caught.value)
    assert redact_uri(uri) == "(invalid URI)"


@pytest.mark.parametrize("uri", UNPARSABLE)
def test_the_status_of_a_job_with_such_a_reference_can_be_read(uri: str) -> None:
    job = Job(image=uri, engine="null")
    record = {b"state": b"queued", b"queued_at": b"1", b"job": job.model_dump_json().encode()}
    assert parse_record(job.id, record).image == "(invalid URI)"


def test_user_password_and_query_are_not_shown() -> None:
    assert redact_uri("https://me:hush@host/a.png?sig=hush#hush") == "https://host/a.png?..."
    assert redact_uri("s3://bucket/key") == "s3://bucket/key"
    assert redact_uri("s3://bucket/scan#1.png") == "s3://bucket/scan#1.png"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///C:/scans/page%201.png", "C:/scans/page 1.png"),
        ("file://localhost/d:/x.png", "d:/x.png"),
        ("file://server/share/x.png", "//server/share/x.png"),
        ("file:///scans/x.png", "/scans/x.png"),
    ],
)
def test_a_path_on_windows_has_a_drive_or_a_server(uri: str, path: str) -> None:
    assert file_uri_path(uri, windows=True) == path


def test_elsewhere_a_server_is_refused_and_a_colon_is_part_of_the_name() -> None:
    assert file_uri_path("file:///C:/x.png", windows=False) == "/C:/x.png"
    with pytest.raises(SourceInvalid):
        file_uri_path("file://server/share/x.png", windows=False)
