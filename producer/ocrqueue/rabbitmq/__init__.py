"""RabbitMQ as the broker in place of Redis: where it is, its queues, and how messages get there.

Records stay in Redis, and so does the decision what is queued: `ocrqueue.core.outbox` brings to RabbitMQ what the
scripts put in Redis's lists. docs/rabbitmq.md says what is different under RabbitMQ.
"""

from ocrqueue.rabbitmq.publishing import Publisher
from ocrqueue.rabbitmq.queues import declare_queue
from ocrqueue.rabbitmq.servers import Server, servers

__all__ = ["Publisher", "Server", "declare_queue", "servers"]
