"""What is read from an entry that a foreign Celery app pushed: the job, and nothing else that a message may ask for."""

from __future__ import annotations

import base64
import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocrqueue.core import foreign_messages
from ocrqueue.core.foreign_messages import MAX_ENTRY_BYTES, ForeignJob, NoMessage, envelope_fault, read_entry
from ocrqueue.job import Job
from ocrqueue_worker.app import app
from tests.faults.messages_envelopes import envelope

JOB = {"image": "s3://b/k", "engine": "null"}


def read(message: object) -> ForeignJob:
    return read_entry(message if isinstance(message, bytes) else json.dumps(message).encode())


def refusal(message: object) -> str | None:
    found = read(message).refusal
    return found.code if found else None


def good() -> dict[str, Any]:
    return envelope("x", kwargs={"job": JOB})


def test_the_job_is_read_with_the_tasks_id() -> None:
    found = read(envelope("x", kwargs={"job": {**JOB, "tag": "Größe"}}, headers={"ignore_result": False}))
    assert found.job == Job(id="x", image="s3://b/k", engine="null", tag="Größe", submitted_at=found.job.submitted_at)
    assert (found.refusal, found.result_for, found.not_before, found.trace, found.ignored) == (
        None,
        "x",
        None,
        None,
        (),
    )


def test_the_body_may_be_text_or_base64() -> None:
    plain = envelope("x", body=json.dumps([[], {"job": JOB}, {}]), properties={"body_encoding": None})
    assert read(plain).job.image == read(good()).job.image == JOB["image"]


def test_the_job_may_be_the_positional_argument() -> None:
    found = read(envelope("x", args=[JOB], kwargs={}))
    assert (found.job.image, found.refusal) == (JOB["image"], None)


def test_a_job_may_have_an_id_of_its_own_and_its_result_is_the_tasks() -> None:
    found = read(envelope("x", kwargs={"job": {**JOB, "id": "own"}}, headers={"ignore_result": False}))
    assert (found.job.id, found.result_for) == ("own", "x")


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([JOB, 1], {}),
        ([JOB], {"job": JOB}),
        ([], {"job": JOB, "self": 1}),
        ([], {"job": JOB, "refusal": {}}),
        ([], {"job": JOB, "parts": []}),
        ([], {"parts": [{"part": "other", "token": "t", "job": "{}"}]}),
        ([], {"jobs": [JOB]}),
        ([], {"x": 1}),
    ],
    ids=str,
)
def test_other_arguments_are_refused(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert refusal(envelope("x", args=args, kwargs=kwargs)) == "job.malformed"


@pytest.mark.parametrize("job", [None, 5, "x", [], {}, {"image": 5}, {**JOB, "options": []}], ids=str)
def test_what_is_no_job_is_refused(job: object) -> None:
    found = read(envelope("x", kwargs={"job": job}))
    assert found.refusal is not None
    assert found.refusal.code == "job.malformed"
    assert found.job.id == "x"


@pytest.mark.parametrize("kind", ["decimal", "datetime", "date", "time", "uuid", "bytes", "base64", "nothing"])
@pytest.mark.parametrize("value", ["sNaN", "NaN", "1", "", "\ud800", None, []], ids=ascii)
@pytest.mark.parametrize("field", [*Job.model_fields, "x"])
def test_no_typed_value_of_kombus_is_met_unprepared(field: str, kind: str, value: object) -> None:
    found = read(envelope("x", kwargs={"job": {**JOB, field: {"__type__": kind, "__value__": value}}}))
    assert found.refusal is None or found.refusal.code in ("job.malformed", "job.schema_unsupported")


def test_a_fault_in_reading_a_job_is_told_to_its_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Job:
        raise ZeroDivisionError

    monkeypatch.setattr(foreign_messages, "parse_job", fail)
    found = read(envelope("x", kwargs={"job": JOB}, headers={"ignore_result": False}))
    assert found.refusal is not None
    assert (found.refusal.code, found.job.id, found.result_for) == ("job.malformed", "x", "x")
    monkeypatch.undo()
    monkeypatch.setattr(foreign_messages, "envelope_fault", fail)
    assert refusal(good()) == "job.malformed"


def test_nothing_further_is_sent_for_a_message() -> None:
    theirs = {"task": "theirs", "args": [], "kwargs": {}, "options": {"queue": "theirs"}}
    embed = {"callbacks": [theirs], "errbacks": [theirs], "chain": [theirs], "chord": theirs}
    found = read(envelope("x", kwargs={"job": JOB}, embed=embed, headers={"group": "g"}))
    assert found.ignored == ("callbacks", "chain", "chord", "errbacks")
    assert "theirs" not in found.job.model_dump_json()


def test_only_what_is_meant_to_be_acted_on_is_taken_over() -> None:
    headers = {
        **{"timelimit": [1, 1], "retries": 7, "group": "g", "shadow": "s", "stamped_headers": ["x"], "x": 1},
        **{"root_id": "r", "parent_id": "p", "replaced_task_nesting": 9, "is_eager": True, "hostname": "h"},
    }
    plain = read(good())
    info = {"exchange": "theirs", "routing_key": "theirs"}
    properties = {"priority": 9, "reply_to": "q", "delivery_info": info, "delivery_tag": "one for all"}
    found = read(envelope("x", kwargs={"job": JOB}, headers=headers, properties=properties))
    assert found.job.model_copy(update={"submitted_at": plain.job.submitted_at}) == plain.job
    assert found == ForeignJob(found.job, None, result_for=None, not_before=None, trace=None, ignored=())


@pytest.mark.parametrize(("ignore", "result_for"), [(True, None), (False, "x"), (None, "x")])
def test_who_wants_no_result_gets_none(ignore: bool | None, result_for: str | None) -> None:
    assert read(envelope("x", kwargs={"job": JOB}, headers={"ignore_result": ignore})).result_for == result_for


@pytest.mark.parametrize("seconds", [-5, 20, 9000 * 86400])
def test_a_job_waits_for_its_eta(seconds: int) -> None:
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    assert read(envelope("x", kwargs={"job": JOB}, headers={"eta": when.isoformat()})).not_before == when


def test_an_eta_without_a_time_zone_is_utc() -> None:
    when = (datetime.now(UTC) + timedelta(seconds=20)).replace(tzinfo=None)
    assert read(envelope("x", headers={"eta": when.isoformat()})).not_before == when.replace(tzinfo=UTC)


def test_an_expired_message_is_refused_with_its_job() -> None:
    past, future = ((datetime.now(UTC) + timedelta(hours=hours)).isoformat() for hours in (-1, 1))
    assert refusal(envelope("x", kwargs={"job": JOB}, headers={"expires": future})) is None
    expired = read(envelope("x", kwargs={"job": JOB}, headers={"expires": past}))
    assert expired.refusal is not None
    assert (expired.refusal.code, expired.job.image) == ("job.expired", JOB["image"])


GOOD_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (GOOD_TRACE, True),
        (GOOD_TRACE[:-2] + "00", True),
        (GOOD_TRACE.upper(), False),
        (GOOD_TRACE + "-more", False),
        (GOOD_TRACE + "\n", False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", False),
        ("01" + GOOD_TRACE[2:], False),
        (GOOD_TRACE.replace("0af7", "zzzz"), False),
        ("", False),
        (None, False),
        (5, False),
        ([GOOD_TRACE], False),
        ({}, False),
        ("x" * 100_000, False),
    ],
    ids=range(15),
)
def test_of_the_tracing_headers_a_good_traceparent_passes(header: object, kept: bool) -> None:
    """And the job is done all the same."""
    headers = {"traceparent": header, "tracestate": "a=b", "baggage": "c=d"}
    found = read(envelope("x", kwargs={"job": JOB}, headers=headers))
    assert found.refusal is None
    assert found.trace == (header if kept else None)


@pytest.mark.parametrize(
    "change",
    [
        {"body": None},
        {"body": "%%%"},
        {"body": base64.b64encode(b"[[], {").decode()},
        {"body": base64.b64encode(b'[[], {"job": ' + b"[" * 80 + b"]" * 80 + b"}, {}]").decode()},
        {"body": base64.b64encode(b'[[], {"job": {"__type__": "uuid", "__value__": 5}}, {}]').decode()},
        {"content_type": "application/x-python-serialize"},
        {"content_encoding": "klingon"},
        {
            "headers": {"compression": "application/x-gzip"},
            "body": base64.b64encode(gzip.compress(b"[[], {}, {}]", mtime=0)).decode(),
        },
        {"headers": {"eta": "0001-01-01T00:00:00+23:59"}},
        {"headers": {"expires": "tomorrow"}},
        {"headers": {"retries": "many"}},
        {"headers": {"ignore_result": "yes"}},
        {"properties": {"delivery_tag": None}},
    ],
    ids=str,
)
def test_a_malformed_message_with_an_id_becomes_a_job_that_fails(change: dict[str, Any]) -> None:
    message = envelope("x", **change)
    assert read(message).job.id == "x"
    assert refusal(message) == "job.malformed"


@pytest.mark.parametrize("task_id", ["a:00001", "../x", "x" * 65])
def test_who_gave_a_task_an_id_that_no_job_can_have_hears_of_it(task_id: str) -> None:
    message = envelope(task_id, headers={"ignore_result": False})
    assert refusal(message) == "job.malformed"
    found = read(message)
    assert found.result_for == task_id
    assert found.job.id != task_id


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"9" * 5000,
        b'{"__type__": "uuid", "__value__": 5}',
        json.dumps(envelope("")).encode(),
        json.dumps(envelope("a\nb")).encode(),
        json.dumps(envelope("\ud800")).encode(),
        json.dumps(envelope("x" * 300)).encode(),
        json.dumps(envelope("x", task=["x"])).encode(),
        json.dumps(envelope("x", task="other.task", body=None)).encode(),
        b" " * (MAX_ENTRY_BYTES + 1),
    ],
    ids=range(12),
)
def test_what_cannot_be_told_to_anybody_is_no_message(entry: bytes) -> None:
    with pytest.raises(NoMessage) as caught:
        read_entry(entry)
    assert len(str(caught.value)) < 300


def test_what_is_wrong_is_told_without_the_content() -> None:
    found = read(envelope("x", headers={"retries": "hunter2"}, kwargs={"job": {"image": "hunter2"}})).refusal
    assert found is not None
    assert "retries" in found.info.message
    assert "hunter2" not in found.info.model_dump_json()


def test_the_workers_app_has_no_other_task() -> None:
    """Celery's own send or run what their message says."""
    assert set(app.tasks) == {"ocrqueue.recognize"}


# --- the envelope -----------------------------------------------------------------------------------------------------


def test_a_good_envelope_passes() -> None:
    assert envelope_fault(good()) is None


@pytest.mark.parametrize("value", [None, 1, "x", [], [1, 2], {}, {"body": 1}])
def test_other_json_does_not(value: object) -> None:
    assert envelope_fault(value)


@pytest.mark.parametrize("part", ["body", "content-type", "content-encoding", "headers", "properties"])
def test_every_part_is_needed(part: str) -> None:
    message = good()
    del message[part]
    assert envelope_fault(message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", ["x"]),
        ("id", None),
        ("timelimit", 5),
        ("timelimit", [1, 2, 3]),
        ("timelimit", ["a", "b"]),
        ("eta", 5),
        ("retries", "many"),
        ("root_id", {}),
    ],
)
def test_headers_of_the_wrong_type_do_not(name: str, value: object) -> None:
    message = good()
    message["headers"][name] = value
    fault = envelope_fault(message)
    assert fault is not None
    assert name in fault


@pytest.mark.parametrize("body", ["5", "{}", "[]", "[[], {}]", "[{}, [], {}]", "[" * 100_000, "not json"])
def test_bodies_that_are_no_call_do_not(body: str) -> None:
    assert envelope_fault(good() | {"body": base64.b64encode(body.encode()).decode()})


def test_broken_base64_and_unknown_encodings_do_not() -> None:
    assert envelope_fault(good() | {"body": "%%%"})
    assert envelope_fault(good() | {"content-encoding": "klingon"})


def test_mutations_never_raise_anything_else() -> None:
    chance, text = random.Random(7), json.dumps(good())
    for _ in range(500):
        mutated = list(text)
        for _ in range(chance.randint(1, 8)):
            mutated[chance.randrange(len(mutated))] = chr(chance.randint(32, 126))
        try:
            found = read_entry("".join(mutated).encode())
        except NoMessage:
            continue
        assert found.job.id
