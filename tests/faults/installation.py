"""The system under test: Redis, an S3 server and workers, each where a fault can come between them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from unittest import mock
from urllib.parse import urlsplit

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.faults.services import Supervisor, WorkerService
from tests.support.processes import RedisServer, as_environment, redis_server, wait_until
from tests.support.proxy import Proxy, proxy
from tests.support.servers import s3_environment, s3_server

ENGINES: Final = ("null", "tesseract")

QUICK: Final[dict[str, object]] = {
    # known also while no worker is there
    "engines": ENGINES,
    "worker_heartbeat_s": 1,
    "lost_after_s": 4,
    "retry_limit": 15,
    "retry_backoff_s": 0.2,
    "retry_backoff_max_s": 2,
    # a job's own time, 3 s at most, and the longest stop of its worker, 12 s: what it waits for in outages counts, too
    "soft_time_limit_s": 17,
    "hard_time_limit_s": 20,
    "pdf_page_timeout_s": 5,
    "job_memory_limit_mib": 256,
    "shutdown_grace_s": 3,
    "redis_timeout_s": 2,
    "s3_timeout_s": 1,
    "s3_attempts": 2,
    "upload_threads": 2,
}
"""WorkerSettings in the proportions of the defaults, for things to happen in seconds rather than minutes."""

_ARGUMENTS: Final = (*(part for engine in ENGINES for part in ("--engine", engine)), "--concurrency", "1")
_BUCKET: Final = "faults"


@dataclass(eq=False)
class Installation:
    """Every part and the ways between them."""

    folder: Path
    redis: RedisServer
    s3: Proxy
    """The workers' way to the S3 server."""
    producers_redis: Proxy
    services: list[WorkerService]
    producer: OcrQueue
    """As an app has it: its way to Redis can be cut."""
    observer: OcrQueue
    """Sees Redis and storage directly, whatever happens to the others."""

    def service(self, name: str) -> WorkerService:
        return next(service for service in self.services if service.name == name)

    def service_of(self, node: str) -> str:
        """The name of the service whose worker has this name in the records."""
        return node.partition("@")[0].rpartition("-")[0]

    def running_jobs(self, service: WorkerService) -> list[str]:
        """The jobs that run at the service's worker, as their records tell."""
        client, keys = registry_of(self.observer).client, registry_of(self.observer).keys
        ids = [part.decode() for part in cast("list[bytes]", client.zrange(keys.leases(), 0, -1))]
        found = []
        for job_id in ids:
            state, node = client.hmget(keys.record(job_id), "state", "worker")
            if state == b"running" and node == service.node.encode():
                found.append(job_id)
        return found

    def live(self) -> set[str]:
        """The node names of the workers that have said lately that they are there."""
        return {worker.name for workers in self.observer.engines().values() for worker in workers}

    def wait_until_live(self, seconds: float = 60) -> None:
        wait_until(lambda: {service.node for service in self.services} <= self.live(), seconds, "workers are up")


@contextmanager
def installation(
    folder: Path, *, workers: int = 3, append_only: bool = True, settings: dict[str, object] | None = None
) -> Iterator[Installation]:
    """Start all; end all, whatever state it is in. The last worker reads with Tesseract as a program of its own.

    With `append_only` Redis keeps its data over a restart, else it forgets them.
    """
    with ExitStack() as stack:
        endpoint = stack.enter_context(s3_server())
        stack.enter_context(mock.patch.dict(os.environ, s3_environment(endpoint)))
        (folder / "redis").mkdir(parents=True)
        redis = stack.enter_context(redis_server(folder / "redis", append_only=append_only))
        server = urlsplit(endpoint)
        s3 = stack.enter_context(proxy(server.port or 80, server.hostname or "127.0.0.1"))
        producers_redis = stack.enter_context(proxy(redis.port))
        direct = load_worker_settings(**QUICK | (settings or {}) | _places(redis, redis.port, endpoint))
        services = []
        for number in range(1, workers + 1):
            way = stack.enter_context(proxy(redis.port))
            through = direct.model_copy(update=_places(redis, way.port, f"http://127.0.0.1:{s3.port}"))
            more = {"tesseract_backend": "pytesseract"} if number == workers else {}
            services.append(_service(f"w{number}", through, more, folder, way))
        supervisor = Supervisor(services)
        stack.callback(lambda: [service.kill_all() for service in services])
        stack.callback(supervisor.stop)
        patient = {"s3_timeout_s": 20.0, "s3_attempts": 4}  # the machine may have much else to do
        observer = stack.enter_context(OcrQueue(direct.model_copy(update=patient)))
        observer.storage.ensure()
        through = direct.model_copy(update=_places(redis, producers_redis.port, endpoint))
        producer = stack.enter_context(OcrQueue(through))
        system = Installation(folder, redis, s3, producers_redis, services, producer, observer)
        for service in services:
            service.start()
        supervisor.start()
        system.wait_until_live()
        yield system


def _places(redis: RedisServer, redis_port: int, s3_endpoint: str) -> dict[str, object]:
    settings = WorkerSettings.model_validate(
        {
            "redis_url": f"redis://:{redis.password}@127.0.0.1:{redis_port}/0",
            "storage": f"s3://{_BUCKET}",
            "s3_endpoint": s3_endpoint,
        }
    )
    return {name: getattr(settings, name) for name in ("redis_url", "storage", "s3_endpoint")}


def _service(
    name: str, settings: WorkerSettings, more: Mapping[str, object], folder: Path, way: Proxy
) -> WorkerService:
    return WorkerService(name, as_environment(settings) | more, _ARGUMENTS, folder, way)
