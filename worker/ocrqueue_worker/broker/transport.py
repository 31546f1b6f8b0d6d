"""Celery's Redis transport: queues in the order of their lanes, and hardened. Celery gets no entry of a queue as it is.

One that is no message of Celery's would raise out of the consumer's loop and end the worker's main process, or take a
pool slot for ever; once restored, it would do so again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import structlog
from kombu.transport import redis
from redis.exceptions import OutOfMemoryError

from ocrqueue_worker.broker.envelopes import NoMessage, accepted
from ocrqueue_worker.broker.lanes import LaneCycle
from ocrqueue_worker.broker.unacknowledged import QoS

_log = structlog.get_logger(__name__)


class Channel(redis.Channel):
    """Reads queues through `accepted`. Celery's own broadcasts (inspect, ping) come another way, and as they are."""

    QoS = QoS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]  # kombu has no types
        self._queue_cycle = LaneCycle(self.connection.client.transport_options.get("low_lane_share", 0))

    @cached_property
    def client(self) -> Any:
        """The one that reads queues; kombu makes others for single commands."""
        client = self._create_client(asynchronous=True)  # type: ignore[no-untyped-call]  # kombu has no types
        client.parse_response = partial(self._parse, client.parse_response)
        return client

    def _parse(self, parse: Callable[..., Any], connection: Any, command: str, **options: Any) -> Any:
        answer = parse(connection, command, **options)
        if command != "BRPOP" or not answer:
            return answer
        key, entry = answer
        # kombu's lists of lesser priority have a suffix
        queue = key.decode(errors="replace").partition(self.sep)[0]
        try:
            return key, accepted(entry, queue, self.visibility_timeout / 2)
        except NoMessage as fault:
            _log.error("dropped what is no message", queue=queue, fault=str(fault))
            return None


class Transport(redis.Transport):
    """What `broker_transport` names."""

    Channel = Channel
    # what adds to Redis at its memory limit is refused: the consumer starts anew then, as after a lost connection
    connection_errors = (*redis.Transport.connection_errors, OutOfMemoryError)
