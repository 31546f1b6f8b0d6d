"""A record as it is read: also one that a newer version has written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ocrqueue.core.records import EngineOffer, Trouble, WorkerInfo, is_readable, parse_record, stored_job
from ocrqueue.errors import StorageDenied

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


@pytest.mark.parametrize("job_id", ["x" * 65, "an id of the future", "../../x", "", "\ud800", "é"])
@pytest.mark.parametrize("with_id", [True, False])
def test_an_id_that_no_job_has_makes_a_job_that_cannot_be_read(job_id: str, with_id: bool) -> None:
    fields = KNOWN | ({"id": job_id} if with_id else {})
    job = stored_job(job_id, json.dumps(fields))
    assert (is_readable(job), job.engine, job.tag) == (False, "null", "mine")
    assert job.id != stored_job(f"{job_id}2!", json.dumps(fields)).id, "two of one batch are told apart"
    assert job == stored_job(job_id, json.dumps(fields)).model_copy(update={"submitted_at": job.submitted_at})
    assert parse_record(job_id, record(fields)).id == job_id


def test_the_job_has_the_id_under_which_its_record_is() -> None:
    job = stored_job("mine", json.dumps(KNOWN | {"id": "anothers"}))
    assert (job.id, job.image, is_readable(job)) == ("mine", "s3://bucket/page.png", True)


def test_a_job_without_an_image_cannot_be_read() -> None:
    for text in ("nonsense", "[]", json.dumps({"image": 7, "engine": "null"}), json.dumps({"image": ""})):
        assert not is_readable(stored_job("1", text))


@pytest.mark.parametrize(
    ("engines", "troubles", "told", "doing"),
    [
        (["null"], [], {}, "idle"),
        (["null"], [], {"running": 1}, "working"),
        (["null"], [None], {"running": 1}, "stopped"),
        (["null", "keras"], ["null"], {"running": 1}, "working"),
        (["null", "keras"], ["null", "keras"], {}, "stopped"),
        ([], ["null"], {}, "stopped"),
        (["null"], [None], {"draining": True}, "draining"),
    ],
)
def test_what_a_worker_does_in_a_word(
    engines: list[str], troubles: list[str | None], told: dict[str, Any], doing: str
) -> None:
    now = datetime.now(UTC)
    worker = WorkerInfo(
        name="here",
        queues=("ocr.null",),
        engines=tuple(EngineOffer(name=name, version="1", model="none", languages=()) for name in engines),
        concurrency=1,
        pid=1,
        started_at=now,
        troubles=tuple(Trouble(what="any", error=StorageDenied().info, since=now, engine=name) for name in troubles),
        **told,
    )
    assert worker.doing == doing
    redis = Trouble(what="redis", error=StorageDenied().info, since=now, stops=False)
    assert worker.model_copy(update={"troubles": (*worker.troubles, redis)}).doing == doing
