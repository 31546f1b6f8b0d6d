"""Celery's book of messages taken: kept at Redis's memory limit too, and what goes back goes in front."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu import Connection

from ocrqueue.core.celery_messages import celery_message
from ocrqueue.job import Job
from tests.support.processes import RedisServer

PREFIX = "booked:"
QUEUE = "ocr.null"


@pytest.fixture
def channel(redis: RedisServer) -> Iterator[Any]:
    """One that sees the messages of the jobs "1", "2" and "3", in this order."""
    with redis.client() as client:
        for number in "123":
            client.lpush(PREFIX + QUEUE, celery_message(Job(id=number, image="s3://b/k", engine="null")))
        options = {"global_keyprefix": PREFIX, "visibility_timeout": 1}
        with Connection(
            redis.url, transport="ocrqueue_worker.broker.transport:Transport", transport_options=options
        ) as connection:
            channel = connection.default_channel
            channel.queue_declare(QUEUE)
            yield channel
        client.delete(*client.scan_iter(f"{PREFIX}*"))


@contextmanager
def memory_limit_reached(redis: RedisServer) -> Iterator[None]:
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


def taken(redis: RedisServer) -> tuple[int, int]:
    """Messages, and entries of the index by time."""
    with redis.client() as client:
        return client.hlen(f"{PREFIX}unacked"), client.zcard(f"{PREFIX}unacked_index")


def job_id(message: Any) -> str:
    return str(message.headers["id"])


def test_a_message_is_booked_until_it_is_acknowledged(channel: Any, redis: RedisServer) -> None:
    first, second = channel.basic_get(QUEUE), channel.basic_get(QUEUE)
    assert (job_id(first), job_id(second)) == ("1", "2")
    assert taken(redis) == (2, 2)
    first.ack()
    assert taken(redis) == (1, 1)
    second.reject()
    assert taken(redis) == (0, 0)
    assert job_id(channel.basic_get(QUEUE)) == "3"


def test_a_message_that_goes_back_is_the_next(channel: Any, redis: RedisServer) -> None:
    first = channel.basic_get(QUEUE)
    first.requeue()
    assert taken(redis) == (0, 0)
    again = channel.basic_get(QUEUE)
    assert (job_id(again), again.headers["redelivered"]) == ("1", True)
    again.requeue()
    assert [job_id(channel.basic_get(QUEUE)) for _ in range(3)] == ["1", "2", "3"]


def test_what_is_never_acknowledged_goes_back_once_whatever_the_workers_clock_says(
    channel: Any, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kombu.transport.redis.time", lambda: time.time() + 300)
    channel.basic_get(QUEUE)
    channel.qos.restore_visible(num=10, interval=1)
    assert taken(redis) == (1, 1)
    time.sleep(2.1)
    for num in (None, 10):
        channel.qos.restore_visible(num=num, interval=1)
    assert taken(redis) == (0, 0)
    assert [job_id(channel.basic_get(QUEUE)) for _ in range(3)] == ["1", "2", "3"]


def test_what_a_worker_left_when_it_died_restoring_is_restored_by_others_at_once(
    channel: Any, redis: RedisServer
) -> None:
    with redis.client() as client:
        client.set(f"{PREFIX}{channel.unacked_mutex_key}", "held by a worker that was killed", ex=300)
        channel.basic_get(QUEUE)
        time.sleep(2.1)
        channel.qos.restore_visible(num=10, interval=1)
    assert taken(redis) == (0, 0)
    assert job_id(channel.basic_get(QUEUE)) == "1"


def test_messages_are_taken_and_settled_at_the_memory_limit(channel: Any, redis: RedisServer) -> None:
    with memory_limit_reached(redis):
        first = channel.basic_get(QUEUE)
        assert taken(redis) == (1, 1)
        first.requeue()
        channel.basic_get(QUEUE).ack()
        assert taken(redis) == (0, 0)
        assert job_id(channel.basic_get(QUEUE)) == "2"


@pytest.mark.parametrize("requeue", [False, True])
def test_a_message_that_cannot_be_settled_makes_room_for_the_next(
    channel: Any, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, requeue: bool
) -> None:
    channel.qos.prefetch_count = 1
    message = channel.basic_get(QUEUE)
    assert not channel.qos.can_consume()

    def dead(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as outage:
        outage.setattr(channel, "conn_or_acquire", dead)
        with pytest.raises(ConnectionError):
            message.requeue() if requeue else message.ack()
    assert channel.qos.can_consume()
    assert taken(redis) == (1, 1), "it comes back after the visibility timeout"
