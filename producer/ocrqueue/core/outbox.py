"""The outbox: Redis's lists as the place from which messages are brought to RabbitMQ, where that is the broker.

A script of Redis writes a job's record and puts its message in a list, in one step; no step holds Redis and RabbitMQ
together. So a message is taken out of its list and noted as on its way, published, confirmed, and struck off. Whoever
dies in between leaves the note, and after `_LEFT_BEHIND_S` others take the message again: RabbitMQ may have it twice
then, and the record lets only one delivery run.

Apps forward what they submit; the workers, in turn, what else is in the lists.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import redis

from ocrqueue.core import scripts
from ocrqueue.core.connection import broker_errors, connect
from ocrqueue.core.keys import Keys
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.rabbitmq import Publisher, servers
from ocrqueue.rabbitmq.publishing import amqp_message
from ocrqueue.settings import Settings

_AT_ONCE: Final = 500
_LEFT_BEHIND_S: Final = 30.0
_PAUSE_S: Final = 5.0
"""After a failure, until RabbitMQ is asked again: nobody who submits is to wait for it each time."""


class Outbox:
    """Safe to share between threads. Raises BrokerUnavailable, of Redis or RabbitMQ."""

    def __init__(self, settings: Settings, client: redis.Redis | None = None) -> None:
        """Connects at first use. Raises SettingsInvalid."""
        servers(settings)
        self.settings = settings
        self.keys = Keys(settings.key_prefix)
        self.client = client or connect(settings)
        self._publisher = Publisher(settings)
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._take_out = self.client.register_script(scripts.TAKE_OUT)
        self._forwarded = self.client.register_script(scripts.FORWARDED)
        self._put_back = self.client.register_script(scripts.PUT_BACK)

    def forward(self, queues: Iterable[str]) -> int:
        """Bring what is in the lists of these queues to RabbitMQ; returns how many messages.

        If it raises, what was not confirmed is in the lists again.
        """
        lists = [self.keys.queue(name) for name in queues]
        forwarded = 0
        with self._lock:
            while True:
                self._check_pause()
                taken = self._take(lists)
                if not taken:
                    return forwarded
                self._publish(taken)
                forwarded += len(taken)

    def lengths(self, queues: Iterable[str]) -> Mapping[str, int]:
        """How many messages are ready in RabbitMQ, by queue; noted in Redis for those who ask there."""
        names = {self.keys.queue(name): name for name in queues}
        with self._lock:
            self._check_pause()
            try:
                found = self._publisher.lengths(names)
            except BrokerUnavailable:
                self._pause()
                raise
        with broker_errors():
            self.client.hset(self.keys.forwarded(), mapping={name: str(length) for name, length in found.items()})
        return {names[key]: length for key, length in found.items()}

    def close(self) -> None:
        self._publisher.close()

    def _take(self, lists: Sequence[str]) -> list[tuple[str, bytes]]:
        with broker_errors():
            answer: list[Any] = self._take_out(
                keys=[self.keys.forwarding(), *lists], args=[_AT_ONCE, int(_LEFT_BEHIND_S * 1000)]
            )
        return [(name.decode(), message) for name, message in zip(answer[::2], answer[1::2], strict=True)]

    def _publish(self, taken: Sequence[tuple[str, bytes]]) -> None:
        """Those that were taken out."""
        entries = [part for entry in taken for part in entry]
        try:
            self._publisher.publish([(name, amqp_message(message)) for name, message in taken])
        except BaseException as error:
            if isinstance(error, BrokerUnavailable):
                self._pause()
            with broker_errors():
                self._put_back(keys=[self.keys.forwarding()], args=entries)
            raise
        with broker_errors():
            self._forwarded(keys=[self.keys.forwarding(), self.keys.forwarded()], args=entries)

    def _check_pause(self) -> None:
        if time.monotonic() < self._not_before:
            raise BrokerUnavailable("RabbitMQ did not answer a moment ago.")

    def _pause(self) -> None:
        self._not_before = time.monotonic() + _PAUSE_S
