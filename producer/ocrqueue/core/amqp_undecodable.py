"""Messages that the AMQP client cannot decode, as one whose headers are nested too deep, leave their queue.

The client fails in the middle of a delivery and does not say of which. So messages are asked for one at a time: the tag
of a delivery is how many there were on its channel (AMQP 0-9-1, basic.deliver), and can be rejected unseen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from amqp.exceptions import AMQPError, FrameSyntaxError, NotFound
from kombu.entity import Queue

from ocrqueue.errors import OcrQueueError

_log = logging.getLogger(__name__)

Receive = Callable[[str, Any], bool]
"""Takes the name of a queue and a message of it; returns whether to go on."""


def is_undecodable(error: Exception) -> bool:
    """Whether a delivery is at fault, and not the server, its connection or Redis."""
    known = (AMQPError, OSError, EOFError, OcrQueueError)
    return isinstance(error, FrameSyntaxError) or not isinstance(error, known)


def reject_undecodable(connect: Callable[[], Any], queues: Iterable[str], receive: Receive) -> int:
    """Hand over what waits in the queues, up to a message of each that cannot be decoded. Returns how many such left.

    What had been delivered elsewhere must be back in its queue, or is met the next time.
    """
    return sum(_rejects_one(connect(), name, receive) for name in queues)


def _rejects_one(connection: Any, name: str, receive: Receive) -> bool:
    try:
        connection.connect()
        channel = connection.channel()
        queue = Queue(name, no_declare=True)(channel)  # type: ignore[no-untyped-call]  # kombu's
        tag = 0
        while True:
            tag += 1
            try:
                message = queue.get()  # type: ignore[no-untyped-call]  # kombu's
            except NotFound:
                return False
            except Exception as error:
                if not is_undecodable(error):
                    raise
                channel.basic_reject(tag, requeue=False)
                _log.error("dropped what cannot be decoded from %s: %s", name, type(error).__name__)
                return True
            if message is None or not receive(name, message):
                return False
    finally:
        # what comes on it now may be the rest of that delivery
        connection.collect()
