"""Celery's Redis transport over the core: parts are taken from their lanes, one message of Celery's for each handful.

Other queues (the answers that a process waits for which asks workers by remote control) go kombu's usual way, each on a
channel of its own. For lanes there is neither BRPOP of
messages nor a book of what is not acknowledged: TAKE gives parts into this process's hand, and the moves of the task
end that. An idle worker listens for a bell, and asks anyway now and then, since a ring can be lost.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Final

import structlog
from kombu.transport import redis, virtual
from redis import ConnectionPool
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from ocrqueue.core import WorkerRegistry, live_workers
from ocrqueue.core.pools import connection_pool
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.redis_faults import is_refusal
from ocrqueue.core.side_lanes import lane_of
from ocrqueue.core.worker_registry import Taken
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.job import is_lane
from ocrqueue.settings import WorkerSettings, process_settings
from ocrqueue_worker.access.others import OtherReaders
from ocrqueue_worker.access.troubles import TROUBLES
from ocrqueue_worker.broker.beside import SIDE_LANES
from ocrqueue_worker.broker.finishing import FINISHING
from ocrqueue_worker.broker.hand import HAND, Handful
from ocrqueue_worker.broker.lanes import LaneCycle
from ocrqueue_worker.broker.messages import part_message
from ocrqueue_worker.broker.short_jobs import SHORT_JOBS
from ocrqueue_worker.broker.waker import WAKER
from ocrqueue_worker.stop_flag import is_stopping

_log = structlog.get_logger(__name__)

_SHORTEST_LISTENING_S: Final = 15.0
_LONGEST_LISTENING_S: Final = 20.0
"""Without a ring, until lanes are looked at again: at random, so that workers do not ask all at once."""
_STOPPED_LISTENING_S: Final = 5.0
"""While lanes are left to other workers: nobody rings when these have gone."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 15.0
"""After an error of Redis's that is no outage: it doubles while the error stays."""

_OF_CONNECTIONS: Final = ("socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval")
"""What Celery's `broker_transport_options` say of connections."""

BatchSize = Callable[[str], int]
"""Lane -> how many parts of one kind its engine likes to have at once."""


def _polled(connection_class: type[Any], channel: Any) -> type[Any]:
    """Connections. When one ends, the event loop forgets its socket, as with kombu's own."""

    class Connection(connection_class):  # type: ignore[misc]  # which class it is, the URL says
        def disconnect(self, *arguments: Any, **options: Any) -> None:
            super().disconnect(*arguments, **options)
            if channel._registered:
                channel._on_connection_disconnect(self)

    return Connection


class QoS(virtual.QoS):
    """How many messages Celery may have, by what the process has in hand. Settling asks Redis nothing."""

    def can_consume(self) -> bool:
        # a channel of remote control has no lanes, and is always to be heard
        return not any(map(is_lane, self.channel.active_queues)) or HAND.has_room()

    def can_consume_max_estimate(self) -> int:
        return 1 if self.can_consume() else 0

    def append(self, message: Any, delivery_tag: str) -> None:
        self._delivered[delivery_tag] = message

    def ack(self, delivery_tag: str) -> None:
        handful = HAND.let_go(delivery_tag)
        if handful is not None:
            SHORT_JOBS.note(handful.lane, handful.kind, handful.parts, time.monotonic() - handful.taken_at)
        self._delivered.pop(delivery_tag, None)
        if not WAKER.wake_from_elsewhere():
            # what was taken while this ended
            HAND.send_on()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self.ack(delivery_tag)

    def restore_unacked(self, *_: Any) -> None:
        """What is in hand stays there when a channel ends."""

    def restore_unacked_once(self, *_: Any, **__: Any) -> None:
        """The same."""

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Nothing is found by its age here: see ocrqueue.core.reclaimer."""


class Channel(redis.Channel):
    """Takes from lanes; other queues are kombu's."""

    brpop_timeout: float
    keyprefix_fanout: str
    _in_poll: Any
    _brpop_sent_at: Any
    QoS = QoS  # type: ignore[assignment]  # kombu's own keeps a book in Redis
    batch_size: BatchSize = staticmethod(lambda _: 1)
    """Set by the app, which knows the engines."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._settings: WorkerSettings = process_settings()
        # kombu asks for a PING right away, which a Redis that cannot save refuses too
        with broker_errors():
            super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]  # kombu has no types
        self._queue_cycle = LaneCycle(self._settings.low_lane_share)
        self._listens = False
        """For bells, and not for messages of kombu's."""
        self._pause_s = 0.0
        self._stopped: set[str] = set()
        """Lanes from which nothing is taken, for something is wrong with this worker."""
        self._paused_until = 0.0
        """By time.monotonic()."""

    def _get_pool(self, asynchronous: bool = False) -> ConnectionPool:
        """Connections as all of ocrqueue makes them, in place of kombu's own reading of a URL.

        So they find the primary by its Sentinels, and Celery, which tells what it knows of its broker to who asks by
        remote control, knows no password.
        """
        pool = connection_pool(self._settings, retry=None, **{name: getattr(self, name) for name in _OF_CONNECTIONS})
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=pool.connection_kwargs.get("db") or 0)
        if asynchronous:
            pool.connection_class = _polled(pool.connection_class, self)
        return pool

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """For kombu's own commands: what Redis refuses for now is an error of the connection, after which Celery goes
        on, and not one that ends the worker."""
        with broker_errors(), super().conn_or_acquire(client) as connected:
            yield connected

    def _subscribe(self) -> None:
        with broker_errors():
            super()._subscribe()  # type: ignore[no-untyped-call]  # kombu has no types

    @cached_property
    def subclient(self) -> Any:
        """As kombu's, which would wait without end for the rest of a message, and the event loop with it."""
        subclient = self._create_client(asynchronous=True).pubsub()  # type: ignore[no-untyped-call]  # kombu has no types
        read = partial(subclient.parse_response, block=False, timeout=self._settings.redis_timeout_s)
        subclient.parse_response = read
        return subclient

    def _receive(self) -> Any:
        with broker_errors():
            if not self.subclient.connection.can_read(timeout=0):
                # what there was has been read
                return None
            return super()._receive()  # type: ignore[no-untyped-call]  # kombu has no types

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """What a worker listens to is not written down in Redis: nobody looks up who takes from a lane, and a broadcast
        is published. So a worker starts also while Redis takes no writes."""
        if self.typeof(exchange).type == "fanout":  # type: ignore[no-untyped-call]  # kombu has no types
            self._fanout_queues[queue] = (exchange, routing_key.replace("#", "*"))
        elif not is_lane(queue):
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]  # kombu has no types

    def maybe_refresh_binding_expiry(self) -> None:
        """No binding of what a worker listens to has to be kept."""

    def _size(self, queue: str) -> int:
        """Celery asks when it declares a queue. What foreign apps have pushed to a lane is taken in elsewhere.

        Without MULTI, as kombu does it, which Redis refuses at its memory limit.
        """
        if is_lane(queue):
            return 0
        with self.conn_or_acquire() as client:
            return sum(client.llen(self._q_for_pri(queue, step)) for step in self.priority_steps)  # type: ignore[no-untyped-call]  # kombu has no types

    @cached_property
    def _registry(self) -> WorkerRegistry:
        return WorkerRegistry(self._settings)

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Give Celery one message, or listen for the bells of the lanes where there is none.

        One in a round of the loop: a solo worker works on it in here, and is to hear of a shutdown in between.
        """
        queues: list[str] = self._queue_cycle.consume(len(self.active_queues))
        lanes = list(filter(is_lane, queues))
        if not lanes:
            super()._brpop_start(timeout)  # type: ignore[no-untyped-call]  # kombu has no types
            return
        if is_stopping() or time.monotonic() < self._paused_until:
            return
        try:
            wanted = SIDE_LANES.with_lanes(self._without_stopped(lanes))
            taken = self._take(wanted) if wanted else Taken()
        except ResponseError as error:
            self._pause(error)
            return
        except BrokerUnavailable as error:
            if not is_refusal(error):
                raise
            self._pause(error)
            return
        self._pause_s = 0.0
        if taken.parts:
            self._queue_cycle.rotate(lane_of(taken.lane), len(taken.parts))
            SIDE_LANES.taken_from(taken.lane)
            self._deliver_parts(taken)
            return
        HAND.next_token = uuid.uuid4().hex
        # the first is this worker's own: something has changed about what it may take
        bells = [f"bell::{HAND.holder}", *(f"bell:{lane}" for lane in wanted)]
        longest_s = random.uniform(_SHORTEST_LISTENING_S, _LONGEST_LISTENING_S)  # noqa: S311  # spreads load
        self._listen(bells, min(_STOPPED_LISTENING_S, self._settings.lost_after_s) if self._stopped else longest_s)

    def _without_stopped(self, lanes: list[str]) -> list[str]:
        """Those of engines that this worker may take parts for: not while its own access is broken."""
        stopped = {lane for lane in lanes if self._is_stopped(lane.split(".")[1])}
        if new := stopped - self._stopped:
            # a ring that was heard here is for others
            self._registry.ring_again(sorted(new))
        self._stopped = stopped
        return [lane for lane in lanes if lane not in stopped] if stopped else lanes

    def _is_stopped(self, engine: str) -> bool:
        """An engine that cannot read here is left to others; where there are none, its jobs are told why."""
        if not TROUBLES.stop(engine):
            self._others.forget([engine])
            return False
        return TROUBLES.stop() or self._others.may_come(engine)

    @cached_property
    def _others(self) -> OtherReaders:
        return OtherReaders(lambda: live_workers(self._registry), HAND.holder, self._settings.lost_after_s)

    def _pause(self, error: ResponseError | BrokerUnavailable) -> None:
        """Where Redis answers and gives nothing out: it takes no writes, or others have put something else at a key.

        A new connection would hear the same. The loop asks again in one of its rounds, once a second.
        """
        self._pause_s = min(max(_FIRST_PAUSE_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
        self._paused_until = time.monotonic() + self._pause_s
        _log.error("cannot take from the lanes; pauses", error=str(error), pause_s=self._pause_s)

    def _listen(self, bells: list[str], seconds: float) -> None:
        prefix = self._settings.key_prefix
        self.brpop_timeout = seconds
        self._listens = True
        self._in_poll = self.client.connection
        self._brpop_sent_at = time.monotonic()
        # past kombu's client, which would put its prefix before the keys
        # an answer that is overdue tells of a dead connection, without a PING before each question
        keys = [f"{prefix}ocrqueue:{bell}" for bell in bells]
        self.client.connection.send_command("BRPOP", *keys, f"{seconds:.1f}", check_health=False)

    def _brpop_read(self, **options: Any) -> Any:
        """A bell rang, or none did for long enough: the next turn of the loop looks at the lanes."""
        if not self._listens:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]  # kombu has no types
        connection = self.client.connection
        try:
            with broker_errors():
                connection.read_response()
        except ResponseError as error:
            self._pause(error)
        except BrokerUnavailable as error:
            if not is_refusal(error):
                # also where the server ends the wait: it is a replica now (UNBLOCKED), or takes no writes
                connection.disconnect()
                raise
            self._pause(error)
        finally:
            self._in_poll = None
            self._brpop_sent_at = None
            self._listens = False
        return None

    def _take(self, lanes: list[str]) -> Taken:
        """Where no answer came at all, the next question is the same one, and has the same parts for its answer."""
        most = {lane: self.batch_size(lane_of(lane)) for lane in lanes}
        of_kinds = {lane: kinds for lane in lanes if (kinds := SHORT_JOBS.together(lane_of(lane), above=most[lane]))}
        return self._registry.take(HAND.next_token, HAND.holder, list(most.items()), HAND.capacity(), of_kinds)

    def _deliver_parts(self, taken: Taken) -> None:
        message, holds, longest_s = part_message(taken, self._settings)
        tag = message["properties"]["delivery_tag"]
        HAND.take(tag, Handful(holds, longest_s, lane_of(taken.lane), taken.parts[0].kind, len(taken.parts)))
        HAND.next_token = uuid.uuid4().hex
        if is_stopping():
            # the shutdown began since Redis was asked, and may have missed these among what it gave back
            for hold in holds:
                self._registry.give_back_unbegun(hold)
            HAND.let_go(tag)
            return
        try:
            self.connection._deliver(message, lane_of(taken.lane))
        except BaseException:
            HAND.let_go(tag)
            raise
        HAND.send_on()
        if HAND.has_room():
            # the lanes are to be looked at again, and a message that could not be sent yet has another round
            WAKER.wake()

    def close(self) -> None:
        if self._in_poll:
            # kombu would wait for the answer, for as long as it listens
            self._in_poll.disconnect()
            self._in_poll = None
        if "_registry" in self.__dict__:
            self._registry.close()
        super().close()  # type: ignore[no-untyped-call]  # kombu has no types


class Transport(redis.Transport):
    """What `broker_transport` names."""

    cycle: Any
    Channel = Channel
    # what adds to Redis at its memory limit is refused: the consumer starts again then, as after a lost connection
    connection_errors = (*redis.Transport.connection_errors, OutOfMemoryError, ReadOnlyError, BrokerUnavailable)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]  # kombu has no types
        WAKER.listen(loop)
        FINISHING.listen(loop, HAND.note_ending)

    def on_readable(self, fileno: int) -> None:  # type: ignore[override]  # as kombu has it, against the stubs
        """A socket that was closed may have left its number to another one: who has that now is to hear of it."""
        if self._is_stale(fileno):
            _log.warning("listened at a socket that is closed", number=fileno)
            stale = self.cycle._fd_to_chan.pop(fileno)
            self.cycle._unregister_from_poll(fileno)
            # the channel listens anew, in the loop's next turn
            for key in [key for key in self.cycle._chan_to_sock if (key[0], key[2]) == stale]:
                del self.cycle._chan_to_sock[key]
            return
        super().on_readable(fileno)  # type: ignore[no-untyped-call]  # kombu has no types

    def _is_stale(self, fileno: int) -> bool:
        channel, kind = self.cycle._fd_to_chan.get(fileno, (None, ""))
        if channel is None:
            return False
        client = vars(channel).get("client" if kind == "BRPOP" else "subclient")
        sock = getattr(getattr(client, "connection", None), "_sock", None)
        return sock is None or sock.fileno() != fileno
