"""Celery's transport over the core: what it takes is in this process's hand until it is settled, whatever breaks."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from kombu import Connection
from kombu.transport.virtual import Message

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.broker import transport
from ocrqueue_worker.broker.finishing import Finishing
from ocrqueue_worker.broker.hand import Hand, Handful
from ocrqueue_worker.broker.messages import part_message
from ocrqueue_worker.broker.short_jobs import ShortJobs
from tests.support.moves import LANE, end_lease, job, submit

TRANSPORT = "ocrqueue_worker.broker.transport:Transport"
QUEUES = (LANE, "ocr.null.high")


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """With room for two messages."""
    made = Hand()
    made.capacity = lambda: 2
    monkeypatch.setattr(transport, "HAND", made)
    return made


@pytest.fixture
def heard() -> list[Message]:
    """What Celery was given."""
    return []


@pytest.fixture
def channel(
    settings: WorkerSettings, hand: Hand, heard: list[Message], monkeypatch: pytest.MonkeyPatch
) -> Iterator[transport.Channel]:
    """A worker's, which consumes two lanes."""
    monkeypatch.setattr(transport, "process_settings", lambda: settings)
    url, options = settings.redis_url.get_secret_value(), {"global_keyprefix": settings.key_prefix}
    with Connection(url, transport=TRANSPORT, transport_options=options) as connection:
        made = connection.default_channel
        # kombu's poller does so
        made.client.connection = made.client.connection_pool.get_connection()
        for queue in QUEUES:
            made.basic_consume(queue, False, heard.append, queue)
        yield made


def look(channel: Any) -> bool:
    """One turn of the worker's loop; whether it found something, and does not listen for a bell."""
    if not channel.qos.can_consume():
        return False
    channel._brpop_start()
    if not channel._in_poll:
        return True
    channel._in_poll.disconnect()
    channel._in_poll = None
    return False


def parts_of(message: Message) -> list[str]:
    args, kwargs, _ = json.loads(message.body)
    assert args == []
    return [part["part"] for part in kwargs["parts"]]


def test_what_waits_is_taken_as_far_as_there_is_room(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry
) -> None:
    jobs = [job(), job(), job(priority="high")]
    submit(registry, *jobs)
    assert [look(channel) for _ in range(3)] == [True, True, False]
    assert [parts_of(message) for message in heard] == [[jobs[2].id], [jobs[0].id]]
    assert [hold.part for hold in hand.holds()] == [jobs[2].id, jobs[0].id]
    heard[0].ack()
    assert look(channel)
    assert parts_of(heard[2]) == [jobs[1].id]


def test_what_comes_next_is_taken_while_a_part_ends(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry
) -> None:
    jobs = [job() for _ in range(4)]
    submit(registry, *jobs)
    assert [look(channel) for _ in range(3)] == [True, True, False]
    hand.note_ending(hand.holds()[0].token)
    assert [look(channel), look(channel)] == [True, False], "for the one child that is about to be idle"
    heard[0].ack()
    assert not look(channel), "its child has work already"
    heard[1].ack()
    assert look(channel)
    assert [parts_of(message) for message in heard] == [[job.id] for job in jobs]


def test_of_jobs_that_are_short_a_child_gets_several(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_jobs = ShortJobs()
    monkeypatch.setattr(transport, "SHORT_JOBS", short_jobs)
    submit(registry, *[job() for _ in range(20)])
    assert look(channel)
    assert len(parts_of(heard[0])) == 1
    short_jobs.allow()
    heard[0].ack()
    short_jobs.note(LANE, job().kind, 100, 0.1)
    assert [look(channel), look(channel)] == [True, True]
    assert [len(parts_of(message)) for message in heard[1:]] == [8, 6], "the second is its share of 11"
    hand.note_ending(hand.holds()[0].token)
    assert look(channel), "its last one is about to end"
    assert len(parts_of(heard[3])) == 3
    for message in heard[1:]:
        message.ack()
    assert look(channel)


def test_a_page_that_is_about_to_end_may_have_its_closing_part_follow(hand: Hand) -> None:
    page, whole = Hold("a:1", 32 * "1"), Hold("b", 32 * "2")
    for hold in (page, whole):
        hand.take(hold.part, Handful((hold, hold.closing) if hold.page else (hold,), 60))
        hand.note_ending(hold.token)
    assert [hand.is_about_to_end(hold) for hold in (page, whole)] == [False, True]


def test_a_child_says_that_its_part_is_about_to_end(hand: Hand) -> None:
    class Loop:
        def add_reader(self, file: int, callback: Callable[..., None], *arguments: object) -> None:
            self.read = partial(callback, *arguments)

    finishing, loop = Finishing(), Loop()
    heard: list[str] = []
    finishing.listen(loop, heard.append)
    holds = [Hold("a", 32 * "1"), Hold("b", 32 * "2")]
    finishing.note(holds[0])
    loop.read()
    assert heard == [], "in the main process nobody is told"
    if (child := os.fork()) == 0:
        for hold in holds:
            finishing.note(hold)
        os._exit(0)
    os.waitpid(child, 0)
    loop.read()
    assert heard == [hold.token for hold in holds]


def test_settling_a_message_asks_redis_nothing(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(registry, job(), job())
    look(channel), look(channel)

    def dead(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as outage:
        outage.setattr(channel, "conn_or_acquire", dead)
        heard[0].ack()
        heard[1].reject(requeue=True)
    assert hand.holds() == []
    assert channel.qos.can_consume()
    assert registry.client.exists(f"{registry.settings.key_prefix}unacked") == 0


def test_what_is_taken_at_the_moment_in_which_the_worker_stops_goes_back_at_once(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job()
    submit(registry, given)
    stopping = []

    def message_when_the_signal_comes(*arguments: Any) -> object:
        assert hand.holds() == [], "its handler finds nothing to put back"
        stopping.append("now")
        return part_message(*arguments)

    monkeypatch.setattr(transport, "part_message", message_when_the_signal_comes)
    monkeypatch.setattr(transport, "is_stopping", lambda: bool(stopping))
    channel._brpop_start()
    assert (heard, hand.holds()) == ([], [])
    assert registry.status(given.id).state == "queued"
    assert registry.client.zcard(registry.keys.queue(LANE, "")) == 1
    assert not channel._in_poll


def test_where_the_answer_to_a_take_is_lost_the_next_channel_has_the_same_parts(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = job(), job()
    submit(registry, first, second)
    take = channel._registry.take

    def without_answer(*arguments: Any) -> None:
        take(*arguments)
        raise BrokerUnavailable("Redis does not answer.")

    with monkeypatch.context() as outage:
        outage.setattr(channel._registry, "take", without_answer)
        with pytest.raises(channel.connection.connection_errors):
            channel._brpop_start()
    assert hand.holds() == []
    assert look(channel)
    assert parts_of(heard[0]) == [first.id]
    assert look(channel)
    assert parts_of(heard[1]) == [second.id]


def test_what_is_in_hand_stays_there_when_a_channel_ends(channel: Any, hand: Hand, registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    look(channel)
    channel.close()
    assert [hold.part for hold in hand.holds()] == [given.id]
    assert registry.heartbeat(hand.holder, "", hand.holds()).answers == ("yours",)


def test_what_is_never_heard_of_again_goes_back_to_its_place(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry
) -> None:
    jobs = [job() for _ in range(3)]
    submit(registry, *jobs)
    look(channel)
    (hold,) = hand.holds()
    end_lease(registry, hold)
    assert registry.reclaim().requeued == (jobs[0].id,)
    heard[0].ack()
    while look(channel):
        heard[-1].ack()
    assert [parts_of(message) for message in heard] == [[one.id] for one in (jobs[0], *jobs)]


def test_parts_are_taken_and_settled_at_the_memory_limit(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry
) -> None:
    given = job()
    submit(registry, given)
    registry.client.config_set("maxmemory", 1)
    try:
        assert look(channel)
        assert parts_of(heard[0]) == [given.id]
        (hold,) = hand.holds()
        assert registry.begin(hold, "worker@host", "null").verdict == "run"
        assert registry.release(hold, None) == "released"
        heard[0].ack()
        assert look(channel)
    finally:
        registry.client.config_set("maxmemory", 0)


def test_a_message_that_cannot_be_delivered_leaves_room_for_the_next(
    channel: Any, hand: Hand, registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(registry, job())

    def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as fault:
        fault.setattr(channel.connection, "_deliver", fail)
        with pytest.raises(RuntimeError):
            channel._brpop_start()
    assert hand.holds() == []
    assert channel.qos.can_consume()


def test_parts_of_one_kind_travel_in_one_message_where_the_engine_gains_by_it(
    channel: Any, hand: Hand, heard: list[Message], registry: WorkerRegistry
) -> None:
    # two children may have as many each
    jobs = [job() for _ in range(8)]
    submit(registry, *jobs)
    channel.batch_size = lambda _: 4
    assert look(channel)
    assert parts_of(heard[0]) == [one.id for one in jobs[:4]]
    assert len(hand.holds()) == 4
    heard[0].ack()
    assert hand.holds() == []


def test_an_idle_worker_hears_the_bell(channel: Any, registry: WorkerRegistry) -> None:
    channel._brpop_start()
    assert channel._in_poll
    submit(registry, job())
    channel._brpop_read()
    assert channel._in_poll is None
    assert look(channel)


def test_a_socket_that_has_nothing_to_say_does_not_hold_the_event_loop_up(channel: Any) -> None:
    subscriptions = channel.subclient
    subscriptions.psubscribe("anything*")
    assert subscriptions.connection.can_read(timeout=60)
    assert subscriptions.parse_response()[0] == b"psubscribe"
    heard: list[Any] = []
    # a thread of its own, since the call would not end
    thread = threading.Thread(target=lambda: heard.append(channel._receive()), daemon=True)
    thread.start()
    thread.join(60)
    assert heard == [None]


def test_a_number_that_a_closed_socket_has_left_to_another_is_not_listened_at(channel: Any) -> None:
    """Else the event loop would read from the channel's own connection what it was told is to be had from another."""
    made, cycle = channel.connection, channel.connection.cycle
    removed: list[int] = []
    cycle._unregister_from_poll = removed.append
    channel.subclient.psubscribe("anything*")
    channel.client.connection.connect()
    own = {channel.client.connection: "BRPOP", channel.subclient.connection: "LISTEN"}
    for connection, kind in own.items():
        cycle._fd_to_chan = {connection._sock.fileno(): (channel, kind), 9999: (channel, kind)}
        assert not made._is_stale(connection._sock.fileno())
        made.on_readable(9999)
        assert list(cycle._fd_to_chan) == [connection._sock.fileno()]
    assert removed == [9999, 9999]
    cycle._fd_to_chan = {}
