"""Messages that the AMQP client cannot decode, as one whose headers are nested too deep, leave their queue.

The client fails in the middle of a delivery and does not say of which. So messages are asked for one at a time: the tag
of a delivery is how many there were on its channel (AMQP 0-9-1, basic.deliver), and can be rejected unseen.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final

from amqp.exceptions import NotFound
from kombu.entity import Queue

_log = logging.getLogger(__name__)

_DECODING: Final = ("amqp.serialization", "amqp.basic_message")
_GOOD_IN_A_ROW: Final = 100
"""After so many it is gone back to having messages sent ahead: a queue may count what comes back with a connection."""
_MOST_OF_A_QUEUE: Final = 20
"""Messages rejected, until the other queues have their turn."""

TakeIn = Callable[[str, Any], bool]
"""Takes in a message of the queue of that name; returns whether to go on."""


def is_undecodable(error: Exception) -> bool:
    """Whether a delivery is at fault, and not the server, its connection or Redis: by where it was raised.

    What is raised there can be of any kind, an OSError for a time that no machine can hold among them.
    """
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") in _DECODING for frame, _ in frames)


def reject_undecodable(connect: Callable[[], Any], queues: Iterable[str], take_in: TakeIn) -> int:
    """Take in what waits in the queues, less what cannot be decoded. Returns how many were rejected.

    What had been delivered elsewhere must be back in its queue, or is met the next time.
    """
    rejected = 0
    for name in queues:
        for _ in range(_MOST_OF_A_QUEUE):
            if not _rejects_one(connect(), name, take_in):
                break
            rejected += 1
    return rejected


def _rejects_one(connection: Any, name: str, take_in: TakeIn) -> bool:
    try:
        connection.connect()
        channel = connection.channel()
        queue = Queue(name, no_declare=True)(channel)  # type: ignore[no-untyped-call]  # kombu's
        for tag in range(1, _GOOD_IN_A_ROW + 2):
            try:
                message = queue.get()  # type: ignore[no-untyped-call]  # kombu's
            except NotFound:
                return False
            except Exception as error:
                if not is_undecodable(error):
                    raise
                channel.basic_reject(tag, requeue=False)
                _log.error("dropped a message that cannot be decoded from %s: %s", name, type(error).__name__)
                return True
            if message is None or not take_in(name, message):
                return False
        return False
    finally:
        # what comes on it now may be the rest of that delivery
        connection.collect()
