"""The broker as an outsider meets it: another program's Celery app, and the messages in a queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from celery import Celery

from ocrqueue import OcrQueue
from ocrqueue.settings import Settings


@contextmanager
def celery_app(settings: Settings) -> Iterator[Celery]:
    """One that knows nothing of ocrqueue but what docs/celery.md says."""
    redis_url = settings.redis_url.get_secret_value()
    prefix = {"global_keyprefix": settings.key_prefix}
    with Celery("theirs", broker=redis_url, backend=redis_url, set_as_current=False) as app:
        app.conf.broker_transport_options = prefix
        app.conf.result_backend_transport_options = prefix
        yield app


class Messages:
    """Those that wait in the installation's queue of that name."""

    def __init__(self, queue: OcrQueue, name: str) -> None:
        self._client = queue.registry.client
        self._key = queue.registry.keys.queue(name)

    def count(self) -> int:
        return int(self._client.llen(self._key))

    def lose(self) -> bool:
        """The next, as a broker does that is not to be relied on; false where there is none."""
        return bool(self._client.rpop(self._key))

    def put(self, message: str) -> None:
        """One as `ocrqueue.core.celery_messages` makes it, behind the others."""
        self._client.lpush(self._key, message)

    def repeat(self) -> None:
        """Once more what is there alone."""
        (message,) = cast("list[bytes]", self._client.lrange(self._key, 0, -1))
        self.put(message.decode())
