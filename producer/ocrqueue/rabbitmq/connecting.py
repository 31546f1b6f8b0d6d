"""Connections to RabbitMQ, and its failures as errors of ocrqueue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import amqp
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, PreconditionFailed

from ocrqueue.errors import BrokerUnavailable
from ocrqueue.rabbitmq.servers import servers
from ocrqueue.settings import Settings


def connect_rabbitmq(settings: Settings) -> amqp.Connection:
    """A connection to the first server that answers. Raises what `rabbitmq_errors` turns into BrokerUnavailable."""
    candidates = servers(settings)
    for number, server in enumerate(candidates, start=1):
        connection = amqp.Connection(
            host=f"{server.host}:{server.port}",
            userid=server.user,
            password=server.password,
            virtual_host=server.virtual_host,
            login_method="PLAIN",
            ssl=server.tls or False,
            connect_timeout=settings.redis_timeout_s,
            read_timeout=settings.redis_timeout_s,
            write_timeout=settings.redis_timeout_s,
        )
        try:
            connection.connect()
        except OSError:
            if number == len(candidates):
                raise
        else:
            return connection
    raise BrokerUnavailable("The settings name no RabbitMQ.", remedy="Set OCRQUEUE_BROKER_URL.")


@contextmanager
def rabbitmq_errors() -> Iterator[None]:
    """Turn what py-amqp raises into BrokerUnavailable."""
    try:
        yield
    except AccessRefused as error:
        raise BrokerUnavailable(
            f"RabbitMQ refuses the user: {error.reply_text}",
            remedy="Correct OCRQUEUE_BROKER_URL, or the user's permissions: docs/rabbitmq.md has them.",
        ) from None
    except NotAllowed as error:
        raise BrokerUnavailable(
            f"RabbitMQ has no such virtual host: {error.reply_text}", remedy="Correct OCRQUEUE_BROKER_URL."
        ) from None
    except PreconditionFailed as error:
        raise BrokerUnavailable(
            f"RabbitMQ has a queue of that name that is another: {error.reply_text}",
            remedy="Delete that queue; ocrqueue declares its own, as durable quorum queues.",
        ) from None
    except (AMQPError, OSError) as error:
        raise BrokerUnavailable(
            f"RabbitMQ does not answer ({type(error).__name__}).",
            remedy="Check OCRQUEUE_BROKER_URL and that the server is up.",
        ) from error
