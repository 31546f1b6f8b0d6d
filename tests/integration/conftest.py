"""One installation for the end-to-end tests: Redis, an S3 server, and one worker for Tesseract and the null engine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.processes import RedisServer, Worker, as_environment, worker


@dataclass(frozen=True)
class Installation:
    settings: WorkerSettings
    worker: Worker
    queue: OcrQueue
    file_root: Path
    """A folder that file:// references may name."""


@pytest.fixture(scope="session")
def installation(
    redis: RedisServer, s3_endpoint: str, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder, root = tmp_path_factory.mktemp("installation"), tmp_path_factory.mktemp("scans")
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"s3://{s3_bucket}/{uuid.uuid4().hex[:8]}",
        s3_endpoint=s3_endpoint,
        # a busy machine keeps a worker from beating for seconds: it is to stay live
        worker_heartbeat_s=3,
        source_allowed_networks="127.0.0.1/32",
        source_file_roots=str(root),
        source_max_bytes=2_000_000,
        source_timeout_s=3,
        source_connect_timeout_s=1,
        retry_limit=1,
        retry_backoff_s=0.1,
    )
    arguments = ("--engine", "tesseract", "--engine", "null", "--concurrency", "1")
    with worker(as_environment(settings), folder, *arguments) as started, OcrQueue(settings) as queue:
        yield Installation(settings, started, queue, root)


@pytest.fixture
def queue(installation: Installation) -> OcrQueue:
    return installation.queue


@pytest.fixture
def registry(settings: WorkerSettings) -> Iterator[WorkerRegistry]:
    """Of an installation of its own, whose keys agree with each other at the end."""
    made = WorkerRegistry(settings)
    yield made
    assert check(made) == []
    made.close()
