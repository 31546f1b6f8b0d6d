"""The broker as an outsider meets it, whichever it is: another program's Celery app, and the messages in a queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import amqp
from celery import Celery

from ocrqueue import OcrQueue
from ocrqueue.core.celery_messages import job_in_message
from ocrqueue.rabbitmq import declare_queue
from ocrqueue.rabbitmq.connecting import connect_rabbitmq
from ocrqueue.rabbitmq.publishing import amqp_message
from ocrqueue.settings import Settings


@contextmanager
def celery_app(settings: Settings) -> Iterator[Celery]:
    """One that knows nothing of ocrqueue but what docs/celery.md and docs/rabbitmq.md say."""
    redis_url = settings.redis_url.get_secret_value()
    broker = settings.broker_url.get_secret_value() if settings.broker_url else redis_url
    with Celery("theirs", broker=broker, backend=redis_url, set_as_current=False) as app:
        app.conf.result_backend_transport_options = {"global_keyprefix": settings.key_prefix}
        if settings.broker_url:
            app.conf.task_create_missing_queue_type = "quorum"
            app.conf.control_exchange = f"{settings.key_prefix}celery"
        else:
            app.conf.broker_transport_options = {"global_keyprefix": settings.key_prefix}
        yield app


def name_for_celery(settings: Settings, queue: str) -> str:
    """What such an app calls a queue of ours."""
    return f"{settings.key_prefix}{queue}" if settings.broker_url else queue


class Messages(Protocol):
    """Those that wait in a queue."""

    def count(self) -> int: ...

    def lose(self) -> bool:
        """The next, as a broker does that is not to be relied on; false where there is none."""

    def next_job(self) -> str | None:
        """The id of the one that is next, which is gone then; None where there is none."""

    def put(self, message: str) -> None:
        """One as `ocrqueue.core.celery_messages` makes it, behind the others."""

    def repeat(self) -> None:
        """Once more what is there alone."""


@contextmanager
def messages(queue: OcrQueue, name: str) -> Iterator[Messages]:
    """Of the installation's queue of that name."""
    key = queue.registry.keys.queue(name)
    if queue.settings.broker_url is None:
        yield _InRedis(queue, key)
        return
    with connect_rabbitmq(queue.settings) as connection:
        yield _InRabbitMQ(connection.channel(), key)


@contextmanager
def replies(queue: OcrQueue, name: str) -> Iterator[Messages]:
    """Of an app's own queue, which its worker has declared."""
    if queue.settings.broker_url is None:
        yield _InRedis(queue, queue.registry.keys.queue(name))
        return
    with connect_rabbitmq(queue.settings) as connection:
        yield _InRabbitMQ(connection.channel(), name)


class _InRedis:
    def __init__(self, queue: OcrQueue, key: str) -> None:
        self._client = queue.registry.client
        self._key = key

    def count(self) -> int:
        return int(self._client.llen(self._key))

    def lose(self) -> bool:
        return bool(self._client.rpop(self._key))

    def next_job(self) -> str | None:
        message = cast("bytes | None", self._client.rpop(self._key))
        return None if message is None else str(job_in_message(message)["id"])

    def put(self, message: str) -> None:
        self._client.lpush(self._key, message)

    def repeat(self) -> None:
        (message,) = cast("list[bytes]", self._client.lrange(self._key, 0, -1))
        self.put(message.decode())


class _InRabbitMQ:
    def __init__(self, channel: Any, name: str) -> None:
        declare_queue(channel, name)
        self._channel = channel
        self._name = name

    def count(self) -> int:
        return declare_queue(self._channel, self._name)

    def lose(self) -> bool:
        return self._channel.basic_get(self._name, no_ack=True) is not None

    def next_job(self) -> str | None:
        message = self._channel.basic_get(self._name, no_ack=True)
        return None if message is None else str(json.loads(message.body)[1]["job"]["id"])

    def put(self, message: str) -> None:
        self._publish(amqp_message(message.encode()))

    def repeat(self) -> None:
        assert self.count() == 1
        message = self._channel.basic_get(self._name, no_ack=True)
        for _ in range(2):
            self._publish(amqp.Message(message.body, **message.properties))

    def _publish(self, message: amqp.Message) -> None:
        self._channel.basic_publish(message, exchange="", routing_key=self._name)
