"""The Job: what a message may hold, and what is refused."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue.core.script_arguments import job_json
from ocrqueue.document import Document, json_schema
from ocrqueue.errors import JobMalformed, JobSchemaUnsupported
from ocrqueue.job import PREPARATION_STEPS, Job, engine_queues, new_job_id, parse_job


def test_ids_are_version_7_and_sort_by_time() -> None:
    ids = [new_job_id() for _ in range(100)]
    assert all(uuid.UUID(job_id).version == 7 for job_id in ids)
    assert ids == sorted(ids)


def test_all_steps_of_preparation_may_be_named() -> None:
    assert Job(image="s3://bucket/page.png", prepare=PREPARATION_STEPS).prepare == PREPARATION_STEPS


def test_queues_are_drained_high_first() -> None:
    assert engine_queues("tesseract") == ("ocr.tesseract.high", "ocr.tesseract", "ocr.tesseract.low")
    assert Job(image="s3://b/k", priority="low", engine="null").queue == "ocr.null.low"


def test_a_message_leaves_defaults_out_and_reads_back_equal() -> None:
    job = Job(image="s3://b/k", languages=("kor", "eng"), options={"psm": 6}, tag="t")
    message = json.loads(json.dumps(job.to_message()))
    assert set(message) == {"id", "image", "engine", "languages", "options", "tag", "submitted_at"}
    assert parse_job(message, "other") == job
    assert Job.model_validate_json(job_json(job)) == job


def test_a_tenant_travels_with_its_job() -> None:
    job = Job(image="s3://b/k", tenant="acme-1")
    assert parse_job(job.to_message(), "other").tenant == "acme-1"
    assert "tenant" not in Job(image="s3://b/k").to_message()


def test_jobs_of_one_kind_can_be_read_together() -> None:
    job = Job(image="s3://b/k", options={"a": 1, "b": 2})
    same = Job(image="s3://b/other", options={"b": 2, "a": 1}, tenant="acme", tag="t", crops="objects", priority="low")
    assert job.kind == same.kind != ""
    changes: list[dict[str, Any]] = [{"languages": ("kor",)}, {"options": {"a": 1}}, {"time_limit_s": 9}]
    others = [Job(**{"image": "s3://b/k", "options": job.options, **change}).kind for change in changes]
    assert len({job.kind, *others}) == 4


def test_a_job_whose_options_are_by_engine_is_read_by_itself() -> None:
    assert Job(image="s3://b/k", engine="auto", options={"tesseract": {"psm": 6}}).kind == ""


def test_a_message_without_id_takes_the_task_id() -> None:
    assert parse_job({"image": "s3://b/k"}, "task-1").id == "task-1"


def test_a_time_without_zone_is_utc() -> None:
    job = parse_job({"image": "s3://b/k", "submitted_at": "2026-01-01T00:00:00"}, "x")
    assert job.submitted_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"image": ""},
        {"image": 7},
        {"image": "x" * 5000},
        {"engine": "Tesseract!"},
        {"engine": "../etc"},
        {"languages": []},
        {"languages": "eng"},
        {"languages": ["../../etc/passwd"]},
        {"languages": ["eng", "eng"]},
        {"languages": ["eng\n"]},
        {"options": []},
        {"crops": "some"},
        {"crop_padding": -1},
        {"priority": 9},
        {"id": "../x"},
        {"id": ""},
        {"id": "a b"},
        {"reply_to": "queue with spaces"},
        {"webhook": "https://user:password@example.org/"},
        {"webhook": "file:///etc/passwd"},
        {"reply_to": "ocrqueue:queued"},
        {"reply_to": "ocr.tesseract"},
        {"reply_to": "unacked_index"},
        {"reply_to": "acme:ocrqueue:leases"},
        {"reply_to": "acme_kombu.binding.x"},
        {"reply_to": "_kombu.binding.x"},
        {"reply_to": "celery-task-meta-x"},
        {"tenant": 7},
        {"tenant": "a b"},
        {"tenant": "a\n"},
        {"tenant": "a:b"},
        {"tenant": "x" * 65},
        {"submitted_at": "yesterday"},
        {"password": "\ud800"},
        {"password": 7},
        {"options": {"x": ["\ud800"]}},
        {"options": {"\udfff": 1}},
        {"surprise": 1},
    ],
)
def test_what_the_schema_does_not_allow_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(JobMalformed) as error:
        parse_job({"image": "s3://b/k"} | change, "x")
    assert next(iter(change)) in error.value.message


def test_the_rejected_value_is_not_repeated() -> None:
    with pytest.raises(JobMalformed) as error:
        parse_job({"image": "s3://b/k", "engine": "HUNTER2"}, "x")
    assert "HUNTER2" not in str(error.value)


@pytest.mark.parametrize("version", [0, 2, "1", True, None, 1.5, 1.0, Decimal(2), Decimal("NaN"), Decimal("sNaN")])
def test_another_schema_version_is_told_apart(version: object) -> None:
    with pytest.raises(JobSchemaUnsupported):
        parse_job({"image": "s3://b/k", "schema_version": version}, "x")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from([*Job.model_fields, "x"]) | st.text(max_size=8), inner, max_size=6)
        ),
        max_leaves=12,
    )
)
def test_no_json_value_whatever_breaks_the_parser(message: object) -> None:
    try:
        job = parse_job(message, "x")
    except (JobMalformed, JobSchemaUnsupported):
        return
    assert isinstance(job, Job)


def test_the_json_schemas_hold_for_what_is_sent() -> None:
    schema = json_schema(Job)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(Job(image="s3://b/k").to_message(), schema)
    jsonschema.validate({"image": "s3://b/k"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"image": "s3://b/k", "surprise": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({}, schema)
    jsonschema.Draft202012Validator.check_schema(json_schema(Document))


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("langauges", ["eng"], "langauges is not known (did you mean languages?)."),
        ("zzz", 1, "zzz is not known."),
        (
            "expires",
            60,
            "expires is not known: a job waits until it is read or cancelled; cancel it when nobody needs it any more.",
        ),
        ("languages", [7], "languages.0 must be text."),
        ("languages", [], "languages must not be empty."),
        ("languages", ["eng"] * 20, "languages must have a length of at most 16."),
        ("languages", 7, 'languages must be a list, such as ["eng"].'),
        ("engine", "NULL", "engine must match ^[a-z][a-z0-9_-]{0,31}$."),
        ("tag", "x" * 300, "tag must have at most 256 characters."),
        ("dpi", "many", "dpi must be a whole number."),
        ("dpi", 7, "dpi must be at least 50."),
        ("crop_padding", 1000, "crop_padding must be at most 256."),
        ("cache", "perhaps", "cache must be true or false."),
        ("idempotency_key", "", "idempotency_key must not be empty."),
        ("prepare", "often", "prepare must be 'auto', 'none' or 'always'; prepare must be a list."),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(field: str, value: object, complaint: str) -> None:
    with pytest.raises(JobMalformed) as refused:
        parse_job({"image": "s3://b/k", field: value}, "j")
    assert refused.value.message == complaint
