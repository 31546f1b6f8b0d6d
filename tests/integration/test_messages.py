"""Our message is the one that Celery itself would publish."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from celery import Celery

from ocrqueue.core import Registry
from ocrqueue.core.celery_messages import TASK, celery_message, job_in_message
from ocrqueue.job import Job
from ocrqueue.settings import Settings
from ocrqueue_worker.broker.envelopes import envelope_fault
from tests.support.processes import RedisServer


def published_by_celery(settings: Settings, redis: RedisServer, job: Job) -> dict[str, Any]:
    app = Celery("any", broker=redis.url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": settings.key_prefix}
    app.send_task(TASK, kwargs={"job": job.to_message()}, queue=job.queue, task_id=job.id, ignore_result=True)
    app.close()
    with redis.client() as client:
        message = client.rpop(f"{settings.key_prefix}{job.queue}")
    assert isinstance(message, bytes)
    found: dict[str, Any] = json.loads(message)
    return found


def test_the_message_has_the_shape_of_celerys_own(settings: Settings, redis: RedisServer) -> None:
    job = Job(image="s3://bucket/key.png", engine="null")
    theirs = published_by_celery(settings, redis, job)
    ours = json.loads(celery_message(job))
    assert set(ours) == set(theirs)
    assert set(ours["properties"]) >= set(theirs["properties"])
    for name in ("content-type", "content-encoding"):
        assert ours[name] == theirs[name]
    for name in ("delivery_mode", "delivery_info", "priority", "body_encoding", "correlation_id"):
        assert ours["properties"][name] == theirs["properties"][name]
    # nulls are left out; what monitors show is ours, and who published
    for name, value in theirs["headers"].items():
        if name not in {"argsrepr", "kwargsrepr", "origin", "stamped_headers"} and value not in (None, [None, None]):
            assert ours["headers"][name] == value, name
    assert {"argsrepr", "kwargsrepr", "origin"} <= set(ours["headers"])
    args, kwargs, embedded = json.loads(base64.b64decode(theirs["body"]))
    kept = {name: value for name, value in embedded.items() if value is not None}
    assert json.loads(base64.b64decode(ours["body"])) == [args, kwargs, kept]


def test_the_record_and_the_message_are_written_together(settings: Settings, redis: RedisServer) -> None:
    registry = Registry(settings)
    job = Job(image="s3://bucket/key.png", engine="null")
    list(registry.submit([job]))
    with redis.client() as client:
        message = client.rpop(f"{settings.key_prefix}ocr.null")
    registry.close()
    assert isinstance(message, bytes)
    assert job_in_message(message) == job.to_message()


def test_the_message_shows_monitors_no_reference() -> None:
    headers = json.loads(celery_message(Job(image="https://h/x?signature=secret")))["headers"]
    assert "secret" not in json.dumps(headers)


def test_foreign_messages_are_not_jobs() -> None:
    for message in (b"", b"[]", b"{}", b"[" * 100_000, b'{"body": "x"}', b'{"body": "W10="}', b'{"body": "W10sMV0="}'):
        assert job_in_message(message) == {}


@pytest.mark.parametrize(
    "options",
    [{}, {"countdown": 5}, {"expires": 60}, {"time_limit": 9, "soft_time_limit": 3}, {"retries": 2}, {"priority": 3}],
    ids=str,
)
def test_what_celery_publishes_passes(redis: RedisServer, options: dict[str, Any]) -> None:
    app = Celery("theirs", broker=redis.url, set_as_current=False)
    app.send_task(TASK, kwargs={"job": {"image": "s3://b/k"}}, queue="envelopes", **options)
    app.close()
    with redis.client() as client:
        key = next(iter(client.scan_iter("envelopes*")))
        assert envelope_fault(json.loads(client.rpop(key))) is None  # type: ignore[arg-type]
