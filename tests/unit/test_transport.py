"""Which entries of a queue's list reach Celery."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from ocrqueue.core.celery_messages import TASK, celery_message
from ocrqueue.job import Job
from ocrqueue_worker.broker.envelopes import envelope_fault


def good() -> dict[str, Any]:
    envelope: dict[str, Any] = json.loads(celery_message(Job(image="s3://b/k")))
    return envelope


def test_our_own_messages_pass() -> None:
    assert envelope_fault(good()) is None


@pytest.mark.parametrize("value", [None, 1, "x", [], [1, 2], {}, {"body": 1}])
def test_other_json_does_not(value: object) -> None:
    assert envelope_fault(value)


@pytest.mark.parametrize("part", ["body", "content-type", "content-encoding", "headers", "properties"])
def test_every_part_is_needed(part: str) -> None:
    envelope = good()
    del envelope[part]
    assert envelope_fault(envelope)


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
    envelope = good()
    envelope["headers"][name] = value
    fault = envelope_fault(envelope)
    assert fault is not None
    assert name in fault


@pytest.mark.parametrize("body", ["5", "{}", "[]", "[[], {}]", "[{}, [], {}]", "[" * 100_000, "not json"])
def test_bodies_that_are_no_call_do_not(body: str) -> None:
    envelope = good() | {"body": base64.b64encode(body.encode()).decode()}
    assert envelope_fault(envelope)


def test_broken_base64_and_unknown_encodings_do_not() -> None:
    assert envelope_fault(good() | {"body": "%%%"})
    assert envelope_fault(good() | {"content-encoding": "klingon"})


def test_what_is_wrong_is_told_without_the_content() -> None:
    fault = envelope_fault(good() | {"headers": {"task": TASK, "id": "x", "retries": "hunter2"}})
    assert fault is not None
    assert "hunter2" not in fault


def test_mutations_never_raise() -> None:
    chance, text = random.Random(7), celery_message(Job(image="s3://b/k"))
    for _ in range(500):
        mutated = list(text)
        for _ in range(chance.randint(1, 8)):
            mutated[chance.randrange(len(mutated))] = chr(chance.randint(32, 126))
        try:
            value = json.loads("".join(mutated))
        except ValueError:
            continue
        fault = envelope_fault(value)
        assert fault is None or isinstance(fault, str)
