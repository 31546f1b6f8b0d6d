"""Jobs that Celery apps sent by name to queues of RabbitMQ, submitted: each is acknowledged once Redis has it.

A message that comes again, because somebody was killed between the two, has the same task id, and is a job already. So
any number of processes do this beside each other, and none keeps anything of its own.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, NotFound
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer

from ocrqueue.core.amqp_undecodable import is_undecodable, reject_undecodable
from ocrqueue.core.foreign_messages import MAX_ENTRY_BYTES
from ocrqueue.core.installation import live_workers, workers_by_engine
from ocrqueue.core.intake import Prepare, take_in_entry
from ocrqueue.core.worker_registry import WorkerRegistry
from ocrqueue.errors import BrokerUnavailable, IntakeDenied, IntakeUnavailable, NotReplicated, SettingsInvalid
from ocrqueue.job import engine_queues
from ocrqueue.job.names import AUTO

_log = logging.getLogger(__name__)

SCHEMES: Final = ("amqp", "amqps")
_AT_ONCE: Final = 50
"""Messages of a queue that are sent ahead; they go to others if this process ends."""
_LOOK_S: Final = 5.0
"""Until it is looked again for queues that were not there."""
_SILENCE_S: Final = 1.0
_HEARTBEAT_S: Final = 30
_CONNECT_S: Final = 10
_PAUSES_S: Final = (0.5, 10.0)
"""The first pause after something did not answer, and the longest."""

Told = Callable[[Mapping[str, int]], None]
"""Hears what became of how many messages so far."""


class AmqpIntake:
    """Takes messages in from one server until told to stop."""

    def __init__(
        self, url: str, registry: WorkerRegistry, prepare: Prepare, queues: Sequence[str] = (), told: Told | None = None
    ) -> None:
        """`queues`: their names; by default those of all lanes of known engines, as they come into being.

        Raises SettingsInvalid.
        """
        if not is_amqp_url(url):
            raise SettingsInvalid(
                "The address of the intake is not amqp://user:password@host:port/vhost.",
                remedy="Give an amqp:// or amqps:// URL; what stands for / in a vhost's name is %2F.",
            )
        self.became: Counter[str] = Counter()
        self._url = url
        self._registry, self._prepare = registry, prepare
        self._named = tuple(queues)
        self._told = told or (lambda _: None)
        self._stopped = threading.Event()
        self._delivered: deque[tuple[str, Any]] = deque()
        """What the connection of this moment has brought, and from which queue; not acknowledged yet."""

    def stop(self) -> None:
        """After the message in hand."""
        self._stopped.set()

    def drain(self) -> None:
        """Take in what waits now, until no queue gives anything for a second.

        Raises IntakeUnavailable, IntakeDenied, BrokerUnavailable.
        """
        while not self._take_from_server(until_empty=True):
            pass

    def run(self) -> None:
        """Until stop(), through outages of either side. Raises IntakeDenied."""
        pause_s = _PAUSES_S[0]
        while not self._stopped.is_set():
            before = sum(self.became.values())
            try:
                self._take_from_server(until_empty=False)
            except (IntakeUnavailable, BrokerUnavailable, NotReplicated) as error:
                _log.warning("cannot take messages in for now: %s", error)
                pause_s = _PAUSES_S[0] if sum(self.became.values()) > before else _longer(pause_s)
                self._stopped.wait(pause_s)

    def _take_from_server(self, *, until_empty: bool) -> bool:
        """Returns whether it is over: not so after a message that could not be decoded."""
        consumed: set[str] = set()
        self._delivered.clear()
        with _amqp_errors():
            with self._connection() as connection:
                try:
                    self._consume_all(connection, consumed, until_empty=until_empty)
                    return True
                except Exception as error:
                    if not is_undecodable(error):
                        raise
                    connection.collect()
            rejected = reject_undecodable(self._connection, consumed, self._take_in)
        self.became["dropped"] += rejected
        self._told(self.became)
        if not rejected:
            # it is on its way back to its queue, or with another
            self._stopped.wait(_PAUSES_S[0])
        return self._stopped.is_set()

    def _consume_all(self, connection: Any, consumed: set[str], *, until_empty: bool) -> None:
        connection.connect()
        channel = connection.channel()
        channel.basic_qos(0, _AT_ONCE, False)
        look_at = 0.0
        while not self._stopped.is_set():
            if time.monotonic() >= look_at:
                for name in self._present(connection, consumed):
                    self._consume(channel, name)
                    consumed.add(name)
                look_at = time.monotonic() + _LOOK_S
            self._take_in_delivered(connection, until_empty=until_empty)
            try:
                connection.drain_events(timeout=_SILENCE_S)
            except TimeoutError:
                if until_empty:
                    return
            connection.heartbeat_check()

    def _take_in_delivered(self, connection: Any, *, until_empty: bool) -> None:
        """Where Redis takes nothing, the connection to the server and what it has delivered are kept meanwhile: a queue
        may count how often a message comes back, and drop it."""
        pause_s = _PAUSES_S[0]
        while self._delivered and not self._stopped.is_set():
            try:
                self._take_in(*self._delivered[0])
            except (BrokerUnavailable, NotReplicated) as error:
                if until_empty:
                    raise
                _log.warning("cannot take messages in for now: %s", error)
                _keep_alive(connection, pause_s)
                pause_s = _longer(pause_s)
            else:
                self._delivered.popleft()
                pause_s = _PAUSES_S[0]

    def _connection(self) -> Any:
        return Connection(  # type: ignore[no-untyped-call]  # kombu's
            self._url, heartbeat=_HEARTBEAT_S, connect_timeout=_CONNECT_S
        )

    def _present(self, connection: Any, consumed: set[str]) -> Iterator[str]:
        """The queues that are there and not consumed yet. None is made: its sender decides of what kind it is."""
        for name in self._named or self._lanes():
            if name in consumed:
                continue
            # the server closes the channel on which a queue was asked for that is not there
            with connection.channel() as channel:
                try:
                    channel.queue_declare(name, passive=True)
                except NotFound:
                    continue
            yield name

    def _lanes(self) -> list[str]:
        engines = [*workers_by_engine(live_workers(self._registry), self._registry.settings), AUTO]
        return [queue for engine in engines for queue in engine_queues(engine)]

    def _consume(self, channel: Any, name: str) -> None:
        queue = Queue(name, no_declare=True)  # type: ignore[no-untyped-call]  # kombu's
        consumer: Any = Consumer(  # type: ignore[no-untyped-call]  # kombu's
            channel, [queue], auto_declare=False, on_message=lambda message: self._delivered.append((name, message))
        )
        consumer.consume()

    def _take_in(self, queue: str, message: Any) -> bool:
        """Returns whether to go on."""
        if self._stopped.is_set():
            return False  # it is not acknowledged, and goes to another
        try:
            entry = entry_of(message, queue)
        except Exception as error:
            # whatever a table of AMQP can hold that JSON cannot
            _log.error("dropped an invalid message from %s: %s in its headers", queue, type(error).__name__)
            became = "dropped"
        else:
            became = take_in_entry(self._registry, queue, entry, self._prepare, in_redis=False)
        # what is no message goes to the queue's dead letter exchange, if it has one
        message.reject() if became == "dropped" else message.ack()
        self.became[became.replace(" ", "_")] += 1
        self._told(self.became)
        return True


def _keep_alive(connection: Any, seconds: float) -> None:
    """Hear from the server for so long, and let it hear: it would end a connection that is silent."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        with suppress(TimeoutError):
            connection.drain_events(timeout=min(left, _SILENCE_S))
        connection.heartbeat_check()


def _longer(pause_s: float) -> float:
    return min(2 * pause_s, _PAUSES_S[1])


def is_amqp_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def entry_of(message: Any, queue: str) -> bytes:
    """A message as kombu would put it on a list of Redis: it is checked in the same way from then on."""
    body = message.body
    raw = body.encode(errors="surrogatepass") if isinstance(body, str) else bytes(body)
    if len(raw) > MAX_ENTRY_BYTES:
        return raw  # too large to be one
    envelope = {
        "body": base64.b64encode(raw).decode(),
        "content-type": message.content_type,
        "content-encoding": message.content_encoding or "utf-8",
        "headers": message.headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(message.delivery_tag),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }
    # a table of AMQP can hold times and decimals
    return json.dumps(envelope, default=str).encode()


@contextmanager
def _amqp_errors() -> Iterator[None]:
    """Turn the client's errors into ours."""
    try:
        yield
    except (AccessRefused, NotAllowed) as error:
        raise IntakeDenied(f"RabbitMQ refuses access: {_said(error)}.") from None
    except (AMQPError, OSError, EOFError) as error:
        raise IntakeUnavailable(f"RabbitMQ does not answer, or has ended the connection: {_said(error)}.") from None


def _said(error: Exception) -> str:
    """Without the address, in which a password can stand."""
    return str(getattr(error, "reply_text", "") or getattr(error, "strerror", "") or type(error).__name__)[:200]
