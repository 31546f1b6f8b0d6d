"""What foreign Celery apps get from us is what Celery itself would publish and store, and what they send is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.celery_messages import TASK, call_message
from ocrqueue.core.endings import FINISHED_TASK
from ocrqueue.core.foreign_messages import read_entry
from ocrqueue.errors import EngineFailed
from ocrqueue.job import Job
from tests.support.moves import begun, job, submit, succeeded, taken_in
from tests.support.processes import RedisServer

QUEUE = "theirs"


@contextmanager
def their_app(redis: RedisServer, prefix: str = "") -> Iterator[Celery]:
    app = Celery("theirs", broker=redis.url, backend=redis.url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": prefix}
    app.conf.result_backend_transport_options = {"global_keyprefix": prefix}
    yield app
    app.close()


def popped(registry: WorkerRegistry, queue: str) -> dict[str, Any]:
    entry = registry.client.rpop(f"{registry.settings.key_prefix}{queue}")
    assert isinstance(entry, bytes)
    found: dict[str, Any] = json.loads(entry)
    return found


def published_by_celery(registry: WorkerRegistry, redis: RedisServer, task_id: str, kwargs: object) -> dict[str, Any]:
    with their_app(redis, registry.settings.key_prefix) as app:
        app.send_task(FINISHED_TASK, kwargs=kwargs, queue=QUEUE, task_id=task_id, ignore_result=True)
    return popped(registry, QUEUE)


def end(registry: WorkerRegistry, given: Job, how: str) -> Outcome:
    """The outcome that its reply is about."""
    submit(registry, given)
    if how == "cancelled":
        registry.cancel(given.id)
        return Outcome(job_id=given.id, state="cancelled")
    hold = begun(registry)
    if how == "poison":
        for _ in range(2):
            registry.lost([hold])
            hold = begun(registry)
        registry.lost([hold])
        return Outcome(job_id=given.id, state="failed", error=registry.status(given.id).error)
    outcome = succeeded(hold)
    registry.finish(hold, given, outcome)
    return outcome


@pytest.mark.parametrize("how", ["succeeded", "cancelled", "poison"])
def test_a_reply_has_the_shape_of_celerys_own(registry: WorkerRegistry, redis: RedisServer, how: str) -> None:
    given = job(reply_to=QUEUE, tag="Größe @ID@ %1")
    outcome = end(registry, given, how)
    assert registry.client.llen(f"{registry.settings.key_prefix}{QUEUE}") == 1
    ours = popped(registry, QUEUE)
    theirs = published_by_celery(registry, redis, ours["headers"]["id"], {"summary": outcome.to_message()})
    assert set(ours) == set(theirs)
    for name in ("content-type", "content-encoding"):
        assert ours[name] == theirs[name]
    for name in ("delivery_mode", "delivery_info", "priority", "correlation_id"):
        assert ours["properties"][name] == theirs["properties"][name]
    # nulls are left out; what monitors show is ours, and who published
    for name, value in theirs["headers"].items():
        if name not in {"argsrepr", "kwargsrepr", "origin", "stamped_headers"} and value not in (None, [None, None]):
            assert ours["headers"][name] == value, name
    assert {"argsrepr", "kwargsrepr", "origin"} <= set(ours["headers"])
    args, kwargs, _ = json.loads(base64.b64decode(theirs["body"]))
    # kombu takes a body in base64 and one in text
    encoded = ours["properties"].get("body_encoding") == "base64"
    assert json.loads(base64.b64decode(ours["body"]) if encoded else ours["body"]) == [args, kwargs, {}]


@pytest.mark.parametrize("how", ["succeeded", "cancelled", "poison"])
def test_celery_takes_a_reply(registry: WorkerRegistry, redis: RedisServer, how: str) -> None:
    outcome = end(registry, job(reply_to=QUEUE), how)
    with their_app(redis, registry.settings.key_prefix) as app, app.connection_for_read() as connection:
        message = connection.default_channel.basic_get(QUEUE)
        message.ack()
        args, kwargs, _ = message.decode()
    assert message.headers["task"] == FINISHED_TASK
    assert (args, kwargs) == ([], {"summary": outcome.to_message()})


def test_a_message_shows_monitors_no_argument() -> None:
    headers = call_message(TASK, "x", QUEUE)["headers"]
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("()", "{}")


# Celery's own backend calls it
@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
@pytest.mark.parametrize("state", ["succeeded", "cancelled", "failed"])
def test_a_result_has_the_shape_of_celerys_own(registry: WorkerRegistry, redis: RedisServer, state: str) -> None:
    with their_app(redis, registry.settings.key_prefix) as app:
        sent = app.send_task(TASK, kwargs={"job": {"image": "s3://b/k", "engine": "null"}}, queue="ocr.null")
        assert taken_in(registry, lambda made: made) == {"taken_in": 1}
        (given,) = registry.jobs([sent.id])
        assert given is not None
        hold = begun(registry)
        request = Context(id="other", children=[])
        error = EngineFailed("It is broken.").info if state == "failed" else None
        outcome = Outcome.model_validate({"job_id": given.id, "state": state, "error": error})
        registry.finish(hold, given, outcome, by_name=True)
        key = f"{registry.settings.key_prefix}celery-task-meta-{sent.id}"
        ours = json.loads(registry.client.get(key))
        assert 0 < registry.client.pttl(key) <= registry.settings.record_ttl_s * 1000
        if state == "failed":
            with pytest.raises(Exception, match=r"engine\.failed: It is broken\.") as raised:
                sent.get(timeout=60)
            assert type(raised.value).__name__ == "JobFailed"
            app.backend.store_result("other", raised.value, "FAILURE", request=request)
        elif state == "cancelled":
            with pytest.raises(TaskRevokedError) as raised:
                sent.get(timeout=60)
            app.backend.store_result("other", raised.value, "REVOKED", request=request)
        else:
            assert sent.get(timeout=60) == outcome.to_message()
            app.backend.store_result("other", outcome.to_message(), "SUCCESS", request=request)
        theirs = json.loads(registry.client.get(f"{registry.settings.key_prefix}celery-task-meta-other"))
        assert set(ours) == set(theirs)
        assert {name: type(value) for name, value in ours.items()} == {
            name: type(value) for name, value in theirs.items()
        }
        assert (ours["status"], ours["task_id"]) == (theirs["status"], sent.id)
        if state == "succeeded":
            assert ours["result"] == theirs["result"]
        AsyncResult("other", app=app).forget()
        sent.forget()


@pytest.mark.parametrize(
    "options",
    [{}, {"countdown": 5}, {"expires": 60}, {"time_limit": 9, "soft_time_limit": 3}, {"retries": 2}, {"priority": 3}],
    ids=str,
)
def test_what_celery_publishes_is_read(redis: RedisServer, options: dict[str, Any]) -> None:
    with their_app(redis) as app:
        sent = app.send_task(TASK, kwargs={"job": {"image": "s3://b/k"}}, queue="envelopes", **options)
    with redis.client() as client:
        key = next(iter(client.scan_iter("envelopes*")))
        entry = client.rpop(key)
    assert isinstance(entry, bytes)
    found = read_entry(entry)
    assert (found.job.id, found.job.image, found.refusal, found.result_for) == (sent.id, "s3://b/k", None, sent.id)
    assert (found.not_before is not None) == ("countdown" in options)
