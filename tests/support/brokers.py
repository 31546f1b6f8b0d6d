"""The broker as an outsider meets it: another program's Celery app, and the messages in a queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from celery import Celery

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core.celery_messages import TASK
from ocrqueue.settings import WorkerSettings
from tests.support.processes import wait_until


@contextmanager
def celery_app(settings: WorkerSettings) -> Iterator[Celery]:
    """One that knows nothing of ocrqueue but what docs/celery.md says."""
    redis_url = settings.redis_url.get_secret_value()
    prefix = {"global_keyprefix": settings.key_prefix}
    with Celery("theirs", broker=redis_url, backend=redis_url, set_as_current=False) as app:
        app.conf.broker_transport_options = prefix
        app.conf.result_backend_transport_options = prefix
        yield app


def wait_for_remote_control(app: Celery) -> None:
    """A broadcast is published once: who has not subscribed yet never hears it, and a worker does so a moment later."""
    wait_until(lambda: app.control.ping(timeout=2), 100, "the worker hears remote control")


class Messages:
    """What other programs have pushed to the list of that name, and nobody has taken in yet."""

    def __init__(self, queue: OcrQueue, name: str) -> None:
        self._settings = queue.settings
        self._client = registry_of(queue).client
        self._name = name
        self._key = registry_of(queue).keys.foreign(name)

    def count(self) -> int:
        return int(self._client.llen(self._key))

    def all(self) -> list[bytes]:
        """The newest first."""
        return cast("list[bytes]", self._client.lrange(self._key, 0, -1))

    def put(self, message: str | bytes) -> None:
        """One behind the others."""
        self._client.lpush(self._key, message)

    def send(self, job: object, **options: Any) -> str:
        """A job by a real Celery app, as `docs/celery.md` says; returns its id. `options`: of `send_task`."""
        with celery_app(self._settings) as app:
            return str(app.send_task(TASK, kwargs={"job": job}, queue=self._name, **options).id)
