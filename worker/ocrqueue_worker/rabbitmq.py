"""Celery's transport for RabbitMQ: queues in the order of their lanes, hardened, and a message at a time.

RabbitMQ pushes messages to a consumer from all its queues alike, and of quorum queues so many from each as the consumer
may hold: no lane would come before another, and a busy worker would hold what an idle one could read. So lanes are not
consumed but asked (`basic.get`), in the order of `LaneCycle`, whenever the worker has room. Celery's own broadcasts
(inspect, ping) are pushed as ever.

As with Redis, Celery gets no message as it is; `ocrqueue_worker.broker.envelopes` says why.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any, Final

import amqp
import structlog
from celery.app.amqp import AMQP, Queues
from kombu.entity import Exchange, Queue
from kombu.transport import pyamqp

from ocrqueue.rabbitmq import declare_queue
from ocrqueue.rabbitmq.connecting import rabbitmq_errors
from ocrqueue_worker.broker.envelopes import NoMessage, accepted
from ocrqueue_worker.broker.lanes import LaneCycle

_log = structlog.get_logger(__name__)

_ASK_SOON_S: Final = 0.1
_ASK_LATEST_S: Final = 0.4
"""Pauses between two looks at lanes that are empty: the first, and, each twice the one before, the longest."""


class Channel(pyamqp.Channel):
    """What is consumed with acknowledgements is a lane, and asked for messages by `take`."""

    def __init__(self, connection: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(connection, *arguments, **options)
        wanted = connection.client.transport_options
        self._prefix = wanted.get("key_prefix", "")
        self._longest_wait_s = wanted.get("longest_wait_s", 0)
        self._lanes: dict[str, tuple[str, Callable[[Any], Any]]] = {}
        """Name as Celery knows it -> tag of the consumer, and what gets the messages."""
        self._cycle = LaneCycle(wanted.get("low_lane_share", 0))
        self._room = 0
        self._unacknowledged: set[int] = set()
        self._pause_s = _ASK_SOON_S
        self._ask_at = 0.0

    # --- what Celery calls -----------------------------------------------------------------------------------------

    def basic_consume(
        self, queue: str = "", consumer_tag: str = "", no_ack: bool = False, callback: Any = None, **options: Any
    ) -> Any:
        if no_ack:
            return super().basic_consume(queue, consumer_tag, no_ack=no_ack, callback=callback, **options)
        try:
            declare_queue(self, self._prefix + queue)
        except amqp.PreconditionFailed:
            # to try again would not help: the worker ends, and says why
            with rabbitmq_errors():
                raise
        self._lanes[queue] = consumer_tag, callback
        self._cycle.update(self._lanes)
        return consumer_tag

    def basic_cancel(self, consumer_tag: str, **options: Any) -> Any:
        lane = next((queue for queue, (tag, _) in self._lanes.items() if tag == consumer_tag), None)
        if lane is None:
            return super().basic_cancel(consumer_tag, **options)
        del self._lanes[lane]
        self._cycle.update(self._lanes)
        return consumer_tag

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool, **_: Any) -> None:
        """So many messages may be out at once; kept here, since RabbitMQ limits only what it pushes."""
        self._room = prefetch_count

    def basic_ack(self, delivery_tag: int, multiple: bool = False, **options: Any) -> Any:
        self._settled(delivery_tag)
        return super().basic_ack(delivery_tag, multiple, **options)

    def basic_reject(self, delivery_tag: int, requeue: bool, **options: Any) -> Any:
        self._settled(delivery_tag)
        return super().basic_reject(delivery_tag, requeue, **options)

    # --- lanes -----------------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Take messages while there are some and room for them."""
        while self._has_room() and time.monotonic() >= self._ask_at:
            if self._take_one():
                self._pause_s = _ASK_SOON_S
            else:
                self._ask_at = time.monotonic() + self._pause_s
                self._pause_s = min(2 * self._pause_s, _ASK_LATEST_S)

    def _has_room(self) -> bool:
        return bool(self._lanes) and (self._room == 0 or len(self._unacknowledged) < self._room)

    def _take_one(self) -> bool:
        for queue in self._cycle.consume(len(self._lanes)):
            raw = self.basic_get(self._prefix + queue)
            if raw is None:
                continue
            self._cycle.rotate(queue)
            tag = raw.delivery_info["delivery_tag"]
            try:
                message = accepted_message(raw, queue, self._longest_wait_s)
            except NoMessage as fault:
                _log.error("dropped what is no message", queue=queue, fault=str(fault))
                self.basic_reject(tag, requeue=False)
                return True
            self._unacknowledged.add(tag)
            message.channel = self
            self._lanes[queue][1](message)
            return True
        return False

    def _settled(self, delivery_tag: int) -> None:
        self._unacknowledged.discard(delivery_tag)
        self._pause_s, self._ask_at = _ASK_SOON_S, 0.0


def accepted_message(raw: Any, queue: str, longest_wait_s: float) -> Any:
    """The message that Celery may have in place of `raw`, both of py-amqp. Raises NoMessage."""
    body = raw.body.encode() if isinstance(raw.body, str) else bytes(raw.body)
    properties = raw.properties
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-type": properties.get("content_type"),
        "content-encoding": properties.get("content_encoding"),
        "headers": properties.get("application_headers"),
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(raw.delivery_info["delivery_tag"]),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }
    # a table of AMQP holds times and decimal numbers too
    taken = json.loads(accepted(json.dumps(envelope, default=str).encode(), queue, longest_wait_s))
    message = amqp.Message(
        base64.b64decode(taken["body"]),
        content_type=taken["content-type"],
        content_encoding=taken["content-encoding"],
        application_headers=taken["headers"],
        correlation_id=taken["properties"]["correlation_id"],
        reply_to="",
        delivery_mode=2,
    )
    message.delivery_info = {**raw.delivery_info, "exchange": "", "routing_key": queue}
    return message


class Connection(pyamqp.Connection):
    Channel = Channel


class Transport(pyamqp.Transport):
    """What `broker_transport` names."""

    Connection = Connection
    # a channel that RabbitMQ has closed (a queue was deleted, a message was not acknowledged in its time) is made anew
    # as a lost connection is; otherwise Celery would end the worker over it
    connection_errors = (*pyamqp.Transport.connection_errors, amqp.ChannelError)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]  # kombu has no types
        loop.on_tick.add(_Tick(connection, loop))
        # so that there is a tick where nothing else happens
        loop.call_repeatedly(_ASK_SOON_S, _nothing)


class _Tick:
    """Called at each turn of Celery's event loop, for as long as the connection is there."""

    def __init__(self, connection: Any, loop: Any) -> None:
        self.connection = connection
        self.loop = loop

    def __call__(self) -> None:
        if not self.connection.connected:
            self.loop.on_tick.discard(self)
            return
        for channel in list(self.connection.channels.values()):
            if isinstance(channel, Channel):
                channel.take()


def _nothing() -> None:
    pass


class BareQueues(Queues):  # type: ignore[misc]  # celery has no types
    """Queues without exchanges of their own, which nobody declares by using them.

    Lanes are declared by the channel above and by those who forward to them. A reply's queue is its reader's.
    """

    def _add(self, queue: Any) -> Any:
        make_queue: Any = Queue
        make_exchange: Any = Exchange
        bare = make_queue(queue.name, exchange=make_exchange(""), routing_key=queue.name, no_declare=True)
        dict.__setitem__(self, queue.name, bare)
        return bare


class BareAMQP(AMQP):  # type: ignore[misc]  # celery has no types
    """What `Celery.amqp_cls` names."""

    queues_cls = BareQueues
