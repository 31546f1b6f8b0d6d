"""Putting messages into RabbitMQ's queues, many in a round trip, each confirmed before it counts as there."""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import amqp
from amqp.exceptions import AMQPError

from ocrqueue.core.celery_messages import MAX_ENTRY_BYTES
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.rabbitmq.connecting import connect_rabbitmq, rabbitmq_errors
from ocrqueue.rabbitmq.queues import declare_queue
from ocrqueue.settings import Settings


def amqp_message(envelope: bytes) -> amqp.Message:
    """A message as `ocrqueue.core.celery_messages` makes it for Redis, as RabbitMQ has it.

    What is none of ours, and what AMQP cannot hold, goes as it is, and what is too large cut off: the worker that takes
    it says what is wrong with it. Left in Redis, it would keep back what is behind it.
    """
    try:
        message = _translated(envelope)
        # what a header may be is decided by the library that writes it
        message._serialize_properties()
    except Exception:  # whatever a value that is none of ours makes a parser or writer raise
        return amqp.Message(envelope[: MAX_ENTRY_BYTES + 1], delivery_mode=2)
    return message


def _translated(envelope: bytes) -> amqp.Message:
    if len(envelope) > MAX_ENTRY_BYTES:
        raise ValueError("too large")
    parts = json.loads(envelope)
    properties, body = parts["properties"], parts["body"].encode()
    if properties.get("body_encoding") == "base64":
        with suppress(binascii.Error):
            body = base64.b64decode(body, validate=True)
    return amqp.Message(
        body,
        content_type=str(parts["content-type"]),
        content_encoding=str(parts["content-encoding"]),
        application_headers=dict(parts["headers"]),
        correlation_id=str(properties.get("correlation_id") or parts["headers"]["id"]),
        delivery_mode=2,
    )


class Publisher:
    """A connection that is made when it is needed, and anew where it was lost or the process forked.

    Not safe to share between threads. Every method raises BrokerUnavailable.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connection: amqp.Connection | None = None
        self._channel: Any = None
        self._pid = os.getpid()
        self._declared: set[str] = set()
        self._published = 0
        """Messages on this channel: RabbitMQ confirms them by their number."""
        self._unconfirmed: set[int] = set()
        self._refused: list[str] = []

    def publish(self, messages: Sequence[tuple[str, amqp.Message]]) -> None:
        """Returns when RabbitMQ has all of them on its disks, each in the queue whose name is given with it.

        If it raises, any of them may be there, or may yet come to be.
        """
        self._twice(lambda: self._publish(messages))

    def lengths(self, names: Iterable[str]) -> Mapping[str, int]:
        """How many messages are ready in these queues, which are declared if they are not there."""
        wanted = list(names)
        found: dict[str, int] = {}
        self._twice(lambda: found.update({name: declare_queue(self._open(), name) for name in wanted}))
        return found

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and self._pid == os.getpid():
            with suppress(AMQPError, OSError):
                connection.close()

    def _twice(self, step: Callable[[], None]) -> None:
        """A connection that was open already may have been dead for long; a new one is not tried again."""
        was_open = self._connection is not None and self._pid == os.getpid()
        try:
            with rabbitmq_errors():
                step()
        except BrokerUnavailable:
            self._abandon()
            if not was_open:
                raise
            try:
                with rabbitmq_errors():
                    step()
            except BrokerUnavailable:
                self._abandon()
                raise

    def _publish(self, messages: Sequence[tuple[str, amqp.Message]]) -> None:
        channel = self._open()
        for name in {name for name, _ in messages} - self._declared:
            declare_queue(channel, name)
            self._declared.add(name)
        for name, message in messages:
            self._published += 1
            self._unconfirmed.add(self._published)
            channel.basic_publish(message, exchange="", routing_key=name, mandatory=True)
        deadline = time.monotonic() + self.settings.redis_timeout_s
        while self._unconfirmed and not self._refused:
            channel.connection.drain_events(timeout=max(0.001, deadline - time.monotonic()))
        if self._refused:
            # deleted since it was declared, or full
            raise BrokerUnavailable(f"RabbitMQ does not take the message: {self._refused[0]}")

    def _open(self) -> Any:
        if self._pid != os.getpid():
            # the parent's, and its socket
            self._connection, self._channel = None, None
        if self._channel is None:
            self._pid = os.getpid()
            self._connection = connect_rabbitmq(self.settings)
            self._declared, self._published, self._unconfirmed, self._refused = set(), 0, set(), []
            channel = self._connection.channel()
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_confirmed)
            channel.events["basic_nack"].add(self._on_refused)
            channel.events["basic_return"].add(self._on_returned)
            self._channel = channel
        return self._channel

    def _abandon(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(AMQPError, OSError):
                # without the farewell, for which a dead peer would be waited
                connection.collect()

    def _on_confirmed(self, number: int, and_before: bool) -> None:
        first = min(self._unconfirmed, default=number) if and_before else number
        self._unconfirmed.difference_update(range(first, number + 1))

    def _on_refused(self, number: int, _and_before: bool) -> None:
        self._refused.append(f"message {number} was refused")

    def _on_returned(self, reason: object, _exchange: str, name: str, _message: object) -> None:
        self._refused.append(f"{reason} ({name})")
