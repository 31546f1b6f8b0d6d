"""Celery's book of the messages that were taken and not yet acknowledged, kept when Redis is at its memory limit too.

kombu writes it in transactions, and Redis at `maxmemory` refuses every command within one, deletions as well
(`processCommand` in its server.c). Celery ends the worker over that, so nobody would take from the queues and free
memory. A script may be allowed to exceed the limit: https://redis.io/docs/latest/develop/programmability/eval-intro/.

When a message was taken, and that it has been out for too long, is told by Redis's clock, as all times in records are;
kombu goes by each worker's own.

A message whose child was lost goes back to the front of its queue, where its turn was; kombu puts it behind all.

And a message that cannot be settled, since Redis does not answer, no longer counts as in the worker's hands: Celery
only logs that, and the worker would wait for it for ever instead of taking the next. The message comes back after the
visibility timeout, and finds its job ended.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from kombu.transport import redis, virtual
from redis import exceptions

from ocrqueue.core.scripts import load_script

_PACKAGE: Final = "ocrqueue_worker.broker"


@dataclass
class _Pushed:
    """In place of kombu's pipeline: what would be pushed to which queue."""

    entries: list[tuple[str, str]] = field(default_factory=list)

    def rpush(self, queue: str, message: str) -> None:
        self.entries.append((queue, message))

    lpush = rpush


class QoS(redis.QoS):
    """One step of Redis for each entry."""

    def append(self, message: Any, delivery_tag: str) -> None:
        delivery = message.delivery_info
        entry = json.dumps([message._raw, delivery["exchange"], delivery["routing_key"]])
        with self.channel.conn_or_acquire() as client:
            self._run(client, "take", [delivery_tag, entry])
        virtual.QoS.append(self, message, delivery_tag)  # type: ignore[no-untyped-call]  # kombu has no types

    def ack(self, delivery_tag: str) -> None:
        try:
            with self.channel.conn_or_acquire() as client:
                self._settle(client, delivery_tag, [])
        finally:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]  # kombu has no types

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if not requeue:
            self.ack(delivery_tag)
            return
        try:
            self.restore_by_tag(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]  # kombu has no types

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:
        """Put back messages that have been out for longer than the visibility timeout, at every `interval`th call.

        `num` of them, None for all.
        """
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        # without kombu's lock, which a worker that dies holds for five minutes: what is restored twice goes back once
        with self.channel.conn_or_acquire() as client:
            now_s, _ = client.time()
            latest = now_s - self.visibility_timeout
            part = {} if num is None else {"offset": start, "num": num}
            late = client.zrange(self.unacked_index_key, latest, 0, desc=True, byscore=True, **part)
            for tag in late:
                self.restore_by_tag(tag, client)

    def restore_by_tag(self, tag: str | bytes, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back in front of its queue; `leftmost` has no meaning here."""
        text = tag.decode() if isinstance(tag, bytes) else tag
        with self.channel.conn_or_acquire(client) as connected:
            pushed, entry = _Pushed(), connected.hget(self.unacked_key, text)
            if entry is not None:
                payload, exchange, routing_key = json.loads(entry)
                self.channel._do_restore_message(payload, exchange, routing_key, pushed)
            self._settle(connected, text, pushed.entries)

    def _settle(self, client: Any, tag: str, pushed: list[tuple[str, str]]) -> None:
        prefix = self.channel.global_keyprefix
        entries = [(f"{prefix}{queue}", message) for queue, message in pushed]
        self._run(client, "settle", [tag, json.dumps(entries, ensure_ascii=False)])

    def _run(self, client: Any, script: str, arguments: list[str]) -> None:
        """Twice, if need be: a step that was taken already does nothing more."""
        # of an EVALSHA kombu's client prefixes the first key, and no other
        keys = [self.unacked_index_key, f"{self.channel.global_keyprefix}{self.unacked_key}"]
        step = client.register_script(load_script(script, _PACKAGE))
        try:
            step(keys, arguments)
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            # the connection may have been dead for long, and so may those that wait in the pool
            client.connection_pool.disconnect(inuse_connections=False)
            step(keys, arguments)
