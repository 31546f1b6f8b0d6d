"""The queues that messages wait in: quorum queues, which every message outlives a node in."""

from __future__ import annotations

from typing import Any, Final

QUEUE_ARGUMENTS: Final = {"x-queue-type": "quorum"}
"""https://www.rabbitmq.com/docs/quorum-queues; whoever declares the queue must give the same."""


def declare_queue(channel: Any, name: str) -> int:
    """Make sure of the queue on a channel of py-amqp; returns how many messages are ready in it.

    Raises amqp.PreconditionFailed where a queue of that name has other arguments.
    """
    declared = channel.queue_declare(name, durable=True, auto_delete=False, arguments=QUEUE_ARGUMENTS)
    return int(declared.message_count)
