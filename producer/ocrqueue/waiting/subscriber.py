"""The one subscription of a client that blocks: a thread hears the events of all that is waited for, and reads records.

However many threads wait, two connections serve them. The thread is started by the first wait, and ends by itself soon
after the last: its connection is kept for a moment, since who waits once often waits again.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ocrqueue.core.records import JobStatus
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.registry import Registry
from ocrqueue.errors import BrokerUnavailable, ClientClosed
from ocrqueue.waiting.watch import Watch, Watches

if TYPE_CHECKING:
    from redis.client import PubSub

LINGER_S: Final = 0.5


class Subscriber:
    """The subscription of one client. Threads may share it; a forked process makes its own."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._watches = Watches()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._waker: socket.socket | None = None

    def read(self, watch: Watch) -> Iterator[JobStatus]:
        """What was read of the watch's jobs, as it changes, until all have ended. Raises as Watch.next()."""
        if self._pid != os.getpid():
            # no thread comes along into a child process
            self._begin_anew()
        told = threading.Event()
        watch.wake = told.set
        job_ids = list(watch.open)
        self._add(watch)
        try:
            while not watch.done:
                told.clear()
                with self._lock:
                    was_full = watch.is_full
                    status = self._watches.next(watch)
                    if was_full and not watch.is_full:
                        self._wake()
                if status is not None:
                    yield status
                elif not watch.done:
                    told.wait(watch.seconds_left())
        finally:
            with self._lock:
                self._watches.remove(watch, job_ids)

    def close(self) -> None:
        """End the thread. Whoever still waits is told so."""
        with self._lock:
            thread, self._closing = self._thread, True
            self._watches.fail(ClientClosed())
            self._wake()
        if thread is not None and self._pid == os.getpid() and thread is not threading.current_thread():
            thread.join()
        self._closing = False

    def _add(self, watch: Watch) -> None:
        with self._lock:
            self._watches.add(watch)
            if self._thread is None:
                ours, self._waker = socket.socketpair()
                ours.setblocking(False)
                self._waker.setblocking(False)
                self._thread = threading.Thread(target=self._run, args=(ours,), name="ocrqueue-events", daemon=True)
                self._thread.start()
            self._wake()

    def _wake(self) -> None:
        """The lock is held."""
        if self._waker is not None:
            with suppress(OSError):  # it is full: the thread is woken already
                self._waker.send(b"\0")

    def _run(self, woken: socket.socket) -> None:
        try:
            while self._is_wanted():
                try:
                    self._listen(woken)
                except BrokerUnavailable as outage:
                    with self._lock:
                        pause_s = self._watches.bear(outage)
                    time.sleep(pause_s)
        except BaseException as error:
            # whoever waits must not wait for a thread that is gone
            with self._lock:
                self._watches.fail(error)
                self._ended()
            raise
        finally:
            woken.close()

    def _is_wanted(self) -> bool:
        """If not, the thread ends, and the next wait starts another."""
        with self._lock:
            if self._watches and not self._closing:
                return True
            self._ended()
            return False

    def _ended(self) -> None:
        self._thread = None
        if self._waker is not None:
            self._waker.close()
            self._waker = None

    def _listen(self, woken: socket.socket) -> None:
        """Until nobody has waited for a moment."""
        subscribed: set[str] = set()
        idle_since: float | None = None
        with (
            selectors.DefaultSelector() as selector,
            self._registry.client.pubsub() as events,  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        ):
            selector.register(woken, selectors.EVENT_READ)
            connection: socket.socket | None = None
            while True:
                with self._lock:
                    if self._closing:
                        return
                    wanted = self._watches.channels()
                    idle = not self._watches
                if idle:
                    idle_since = idle_since or time.monotonic()
                    if time.monotonic() - idle_since >= LINGER_S:
                        return
                else:
                    idle_since = None
                    self._follow(events, subscribed, wanted)
                    self._read_due()
                with self._lock:
                    seconds = LINGER_S if idle else self._watches.seconds_to_listen()
                with broker_errors():
                    connection = _watched(selector, events, connection)
                    if not self._hear(events, subscribed) and seconds > 0:
                        selector.select(seconds)
                        _drain(woken)

    def _follow(self, events: PubSub, subscribed: set[str], wanted: set[str]) -> None:
        """Subscribe to what is wanted, and wait until Redis has: what happens from then on is heard."""
        with broker_errors():
            if new := wanted - subscribed:
                events.subscribe(*new)
                deadline = time.monotonic() + self._registry.settings.redis_timeout_s
                while not new <= subscribed:
                    if not self._hear(events, subscribed, most=1, timeout=0.1) and time.monotonic() > deadline:
                        raise TimeoutError
            if gone := subscribed - wanted:
                events.unsubscribe(*gone)  # type: ignore[no-untyped-call]  # as above
                subscribed -= gone

    def _hear(self, events: PubSub, subscribed: set[str], most: int = 1000, timeout: float = 0) -> int:
        """Take in what has come. Returns how much."""
        heard = 0
        while heard < most:
            message = events.get_message(timeout=timeout)
            if message is None:
                # or it was the answer to a health check, with others behind it
                if timeout or events.connection is None or not events.connection.can_read(timeout=0):
                    break
                continue
            heard += 1
            with self._lock:
                if message["type"] == "message":
                    self._watches.hear(message["data"])
                elif message["type"] == "subscribe":
                    channel = message["channel"].decode()
                    if channel in subscribed:
                        # redis-py has connected again
                        self._watches.subscribed()
                    subscribed.add(channel)
        return heard

    def _read_due(self) -> None:
        with self._lock:
            taken = self._watches.take_due()
        if taken:
            statuses = dict.fromkeys(job_id for _, job_id in taken)
            found = dict(zip(statuses, self._registry.statuses(list(statuses)), strict=True))
            with self._lock:
                self._watches.settle(taken, (found[job_id] for _, job_id in taken))


def _watched(selector: selectors.BaseSelector, events: PubSub, before: socket.socket | None) -> socket.socket | None:
    """Have the selector look at the connection of the moment, which redis-py replaces where it was lost."""
    now: socket.socket | None = getattr(events.connection, "_sock", None)
    if now is not before:
        if before is not None:
            selector.unregister(before)
        if now is not None:
            selector.register(now, selectors.EVENT_READ)
    return now


def _drain(woken: socket.socket) -> None:
    with suppress(BlockingIOError):
        while woken.recv(4096):
            pass
