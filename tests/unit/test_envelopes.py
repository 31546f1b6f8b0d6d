"""What Celery gets in place of a queue's entry: the job, and nothing else that a message may ask for."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu.utils.json import loads

from ocrqueue.core.celery_messages import TASK, celery_message
from ocrqueue.job import Job
from ocrqueue_worker.app import app
from ocrqueue_worker.broker.envelopes import MAX_ENTRY_BYTES, NoMessage, accepted
from tests.faults.messages_envelopes import envelope

JOB = {"image": "s3://b/k", "engine": "null"}


def taken(message: object, longest_wait_s: float = 60) -> dict[str, Any]:
    entry = message if isinstance(message, bytes) else json.dumps(message).encode()
    found: dict[str, Any] = json.loads(accepted(entry, "ocr.null", longest_wait_s))
    return found


def call(message: object) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    body = base64.b64decode(taken(message)["body"])
    args, kwargs, embedded = loads(body)  # type: ignore[no-untyped-call]  # kombu has no types
    return args, kwargs, embedded


def refusal(message: object) -> str | None:
    _, kwargs, _ = call(message)
    return kwargs["refusal"]["code"] if "refusal" in kwargs else None


def test_our_own_message_comes_through() -> None:
    job = Job(image="s3://b/k", engine="null", tag="Größe")
    own = json.loads(celery_message(job))
    found = taken(own)
    assert call(own) == ([], {"job": job.to_message()}, {})
    assert (found["headers"]["task"], found["headers"]["id"]) == (TASK, job.id)
    assert found["headers"]["ignore_result"] is True
    assert set(found) == set(own)
    assert set(found["properties"]) == set(own["properties"])


def test_the_job_may_be_the_positional_argument() -> None:
    assert call(envelope("x", args=[JOB], kwargs={})) == ([], {"job": JOB}, {})


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([JOB, 1], {}),
        ([JOB], {"job": JOB}),
        ([], {"job": JOB, "self": 1}),
        ([], {"job": JOB, "refusal": {}}),
        ([], {"x": 1}),
    ],
)
def test_other_arguments_are_refused(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert refusal(envelope("x", args=args, kwargs=kwargs)) == "job.malformed"


GROUP = [{**JOB, "id": f"x{number}", "options": {"words": 2}} for number in range(3)]


def test_a_group_comes_through_and_nobody_waits_for_its_result() -> None:
    message = envelope("x", kwargs={"jobs": GROUP}, headers={"ignore_result": False})
    assert call(message) == ([], {"jobs": GROUP}, {})
    assert taken(message)["headers"]["ignore_result"] is True
    plain = envelope("x", body=json.dumps([[], {"jobs": GROUP}, {}]), properties={"body_encoding": None})
    assert call(plain) == ([], {"jobs": GROUP}, {})
    one, most = GROUP[:1], [{**JOB, "id": f"x{number}"} for number in range(64)]
    for jobs in (one, most):
        assert refusal(envelope("x", kwargs={"jobs": jobs})) is None


@pytest.mark.parametrize(
    ("kwargs", "headers"),
    [
        *(({"jobs": jobs}, {}) for jobs in (5, None, {}, [], "x", [[]], [5], [JOB], [{**JOB, "id": "../x"}])),
        ({"jobs": [GROUP[0], GROUP[0]]}, {}),
        ({"jobs": [GROUP[0], None]}, {}),
        ({"jobs": [{**JOB, "id": f"x{number}"} for number in range(65)]}, {}),
        *(
            ({"jobs": [GROUP[0], {**GROUP[1], **change}]}, {})
            for change in ({"engine": "other"}, {"options": {}}, {"priority": "low"}, {"time_limit_s": 1})
        ),
        ({"jobs": [GROUP[0], {**GROUP[1], "languages": ["kor"]}]}, {}),
        ({"jobs": GROUP, "job": JOB}, {}),
        ({"jobs": GROUP, "refusal": {}}, {}),
        ({"jobs": GROUP}, {"eta": "2999-01-01T00:00:00+00:00"}),
        ({"jobs": GROUP}, {"expires": "2999-01-01T00:00:00+00:00"}),
    ],
)
def test_what_is_no_group_as_it_should_be_is_refused(kwargs: dict[str, Any], headers: dict[str, Any]) -> None:
    message = envelope("x", kwargs=kwargs, headers=headers)
    assert refusal(message) == "job.malformed"
    assert "jobs" not in call(message)[1]
    assert refusal(envelope("x", args=[kwargs["jobs"]], kwargs={"jobs": GROUP})) == "job.malformed"


def test_nothing_further_is_sent_for_a_message() -> None:
    theirs = {"task": "theirs", "args": [], "kwargs": {}, "options": {"queue": "theirs"}}
    embed = {"callbacks": [theirs], "errbacks": [theirs], "chain": [theirs], "chord": theirs}
    message = envelope("x", kwargs={"job": JOB}, embed=embed, headers={"group": "g"})
    assert call(message) == ([], {"job": JOB}, {})
    assert "theirs" not in json.dumps(taken(message))


def test_only_what_is_meant_to_be_acted_on_is_taken_over() -> None:
    headers = {
        **{"timelimit": [1, 1], "retries": 7, "group": "g", "shadow": "s", "stamped_headers": ["x"], "x": 1},
        **{"root_id": "r", "parent_id": "p", "replaced_task_nesting": 9, "is_eager": True, "hostname": "h"},
    }
    found = taken(envelope("x", kwargs={"job": JOB}, headers=headers, properties={"priority": 9, "reply_to": "q"}))
    assert set(found["headers"]) == {
        *("lang", "task", "id", "root_id", "retries", "argsrepr", "kwargsrepr", "ignore_result"),
    }
    assert found["headers"]["root_id"] == "x"
    assert found["headers"]["retries"] == 0
    assert (found["properties"]["priority"], found["properties"]["reply_to"]) == (0, "")


def test_a_message_goes_back_to_the_queue_it_came_from() -> None:
    info = {"exchange": "theirs", "routing_key": "theirs"}
    found = taken(envelope("x", properties={"delivery_info": info, "delivery_tag": "one for all"}))
    assert found["properties"]["delivery_info"] == {"exchange": "", "routing_key": "ocr.null"}


def test_no_two_messages_share_a_delivery_tag() -> None:
    message = envelope("x", properties={"delivery_tag": "one for all"})
    assert len({taken(message)["properties"]["delivery_tag"] for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("eta", "seconds"), [(timedelta(seconds=-5), None), (timedelta(seconds=20), 20), (timedelta(days=9000), 60)]
)
def test_a_message_waits_for_its_eta_but_not_for_ever(eta: timedelta, seconds: int | None) -> None:
    now = datetime.now(UTC)
    found = taken(envelope("x", headers={"eta": (now + eta).isoformat()}))["headers"].get("eta")
    if seconds is None:
        assert found is None
    else:
        assert abs((datetime.fromisoformat(found) - now).total_seconds() - seconds) < 5


def test_an_eta_without_a_time_zone_is_utc() -> None:
    when = (datetime.now(UTC) + timedelta(seconds=20)).replace(tzinfo=None)
    found = taken(envelope("x", headers={"eta": when.isoformat()}))["headers"]["eta"]
    assert datetime.fromisoformat(found) == when.replace(tzinfo=UTC)


def test_an_expired_message_is_refused_with_its_job() -> None:
    past, future = ((datetime.now(UTC) + timedelta(hours=hours)).isoformat() for hours in (-1, 1))
    assert refusal(envelope("x", kwargs={"job": JOB}, headers={"expires": future})) is None
    expired = envelope("x", kwargs={"job": JOB}, headers={"expires": past})
    assert refusal(expired) == "job.expired"
    assert call(expired)[1]["job"] == JOB


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
    assert taken(message)["headers"]["id"] == "x"
    assert refusal(message) == "job.malformed"


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
        accepted(entry, "ocr.null", 60)
    assert len(str(caught.value)) < 300


def test_what_is_wrong_is_told_without_the_content() -> None:
    message = envelope("x", headers={"retries": "hunter2"}, kwargs={"job": {"image": "hunter2"}})
    _, kwargs, _ = call(message)
    assert "retries" in kwargs["refusal"]["message"]
    assert "hunter2" not in json.dumps(kwargs)


def test_the_workers_app_has_no_other_task() -> None:
    """Celery's own send or run what their message says."""
    assert set(app.tasks) == {TASK}
