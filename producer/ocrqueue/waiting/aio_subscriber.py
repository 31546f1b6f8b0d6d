"""The one subscription of an asyncio client: a task hears the events of all that is waited for, and reads records.

However many tasks wait, two connections serve them. See ocrqueue.waiting.subscriber, which is the same for threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import redis.asyncio
from redis.asyncio.client import PubSub

from ocrqueue.core.records import JobStatus
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import BrokerUnavailable, ClientClosed
from ocrqueue.settings import ClientSettings
from ocrqueue.waiting.subscriber import LINGER_S
from ocrqueue.waiting.watch import Watch, Watches

Statuses = Callable[[list[str]], Awaitable[list[JobStatus | None]]]


class AsyncSubscriber:
    """The subscription of one client, in one event loop."""

    def __init__(self, settings: ClientSettings, client: redis.asyncio.Redis, statuses: Statuses) -> None:
        self._settings = settings
        self._client = client
        self._statuses = statuses
        self._watches = Watches()
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()

    async def read(self, watch: Watch) -> AsyncGenerator[JobStatus]:
        """What was read of the watch's jobs, as it changes, until all have ended. Raises as Watch.next()."""
        told = asyncio.Event()
        watch.wake = told.set
        job_ids = list(watch.open)
        self._add(watch)
        try:
            while not watch.done:
                told.clear()
                was_full = watch.is_full
                status = self._watches.next(watch)
                if was_full and not watch.is_full:
                    self._woken.set()
                if status is not None:
                    yield status
                elif not watch.done:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(watch.seconds_left()):
                            await told.wait()
        finally:
            self._watches.remove(watch, job_ids)

    async def close(self) -> None:
        """End the task. Whoever still waits is told so."""
        self._watches.fail(ClientClosed())
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            task.cancel()
            await asyncio.wait([task])

    def _add(self, watch: Watch) -> None:
        self._watches.add(watch)
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._woken = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="ocrqueue-events")
        self._woken.set()

    async def _run(self) -> None:
        try:
            while self._watches:
                try:
                    await self._listen()
                except BrokerUnavailable as outage:
                    await asyncio.sleep(self._watches.bear(outage))
        except asyncio.CancelledError:
            self._watches.fail(ClientClosed())
            raise
        except BaseException as error:
            # whoever waits must not wait for a task that is gone
            self._watches.fail(error)

    async def _listen(self) -> None:
        """Until nobody has waited for a moment."""
        subscribed: set[str] = set()
        idle_since: float | None = None
        async with self._client.pubsub() as events:
            while True:
                self._woken.clear()
                if self._watches:
                    idle_since = None
                    await self._follow(events, subscribed, self._watches.channels())
                    await self._read_due()
                    seconds = self._watches.seconds_to_listen() if self._watches else LINGER_S
                else:
                    idle_since = idle_since or time.monotonic()
                    if time.monotonic() - idle_since >= LINGER_S:
                        return
                    seconds = LINGER_S
                with broker_errors():
                    await self._hear(events, subscribed, max(0.0, seconds))

    async def _follow(self, events: PubSub, subscribed: set[str], wanted: set[str]) -> None:
        """Subscribe to what is wanted, and wait until Redis has: what happens from then on is heard."""
        with broker_errors():
            if new := wanted - subscribed:
                await events.subscribe(*new)
                deadline = time.monotonic() + self._settings.redis_timeout_s
                while not new <= subscribed:
                    message = await events.get_message(timeout=0.1)
                    if message is not None:
                        self._take_in(message, subscribed)
                    elif time.monotonic() > deadline:
                        raise TimeoutError
            if gone := subscribed - wanted:
                await events.unsubscribe(*gone)
                subscribed -= gone

    async def _hear(self, events: PubSub, subscribed: set[str], seconds: float) -> None:
        """Take in what comes, for so long, or until this is woken; then all that is there already."""
        if (message := await self._first(events, seconds)) is None:
            return
        while message is not None:
            self._take_in(message, subscribed)
            message = await events.get_message(timeout=0)

    async def _first(self, events: PubSub, seconds: float) -> Any:
        if not events.subscribed or self._woken.is_set():
            return await events.get_message(timeout=0) if events.subscribed else await asyncio.sleep(seconds)
        reading = asyncio.ensure_future(events.get_message(timeout=seconds))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait([reading, woken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # to be cut short is the same to redis-py as to be out of time: what has come in part is kept
            for each in (reading, woken):
                each.cancel()
            await asyncio.wait([reading, woken])
        return None if reading.cancelled() else reading.result()

    def _take_in(self, message: dict[str, Any], subscribed: set[str]) -> None:
        if message["type"] == "message":
            self._watches.hear(message["data"])
        elif message["type"] == "subscribe":
            channel = message["channel"].decode()
            if channel in subscribed:
                # redis-py has connected again
                self._watches.subscribed()
            subscribed.add(channel)

    async def _read_due(self) -> None:
        if taken := self._watches.take_due():
            job_ids = list(dict.fromkeys(job_id for _, job_id in taken))
            found = dict(zip(job_ids, await self._statuses(job_ids), strict=True))
            self._watches.settle(taken, [found[job_id] for _, job_id in taken])
