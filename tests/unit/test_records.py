"""A record as it is read: also one that a newer version has written."""

from __future__ import annotations

import json

from ocrqueue.core.records import parse_record, stored_job

KNOWN = {"image": "s3://bucket/page.png", "engine": "null", "tag": "mine"}


def record(job: object, **fields: str) -> dict[bytes, bytes]:
    given = {"job": json.dumps(job), "state": "queued", "queued_at": "1800000000000", **fields}
    return {name.encode(): value.encode() for name, value in given.items()}


def test_what_a_newer_version_adds_is_passed_over() -> None:
    outcome = {"job_id": "1", "state": "succeeded", "pages": 2, "sentiment": "good"}
    written = record(KNOWN | {"colour": "blue"}, state="succeeded", outcome=json.dumps(outcome), moon="full")
    status = parse_record("1", written)
    assert (status.id, status.state, status.tag, status.pages) == ("1", "succeeded", "mine", 2)


def test_states_values_and_codes_that_are_not_known_raise_nothing() -> None:
    error = {"code": "moon.too_full", "message": "It is.", "retryable": True}
    strange = KNOWN | {"priority": "astronomical", "crops": 7, "schema_version": 99}
    status = parse_record("1", record(strange, state="hibernating", error=json.dumps(error), progress="x/y"))
    assert (status.state, status.finished) == ("unknown", False)
    assert status.error is not None
    assert status.error.code == "moon.too_full"
    assert (status.tag, status.queue, status.pages_done) == ("mine", "ocr.null", 0)


def test_a_record_that_is_no_record_is_one_of_which_nothing_is_known() -> None:
    for written in ({b"job": b"\xff{"}, {b"state": b""}, {b"job": b"[]", b"history": b"7", b"outcome": b"{"}):
        assert parse_record("1", written).state == "unknown"
    assert stored_job("1", "nonsense").id == "1"
