"""Fixtures for all tests: an environment without OCRQUEUE_*, one redis-server a session, a database prefix a test."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.gates import PLUGINS, Gates
from tests.support.processes import RedisServer, redis_server


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> None:
    # tests that were started in the background would hand it on as ignored, and nothing they start would end by Ctrl-C
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("OCRQUEUE_") and not name.startswith("OCRQUEUE_TEST_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def settings(redis: RedisServer, tmp_path: Path) -> WorkerSettings:
    """WorkerSettings of an installation of its own, results in a folder."""
    (tmp_path / "storage").mkdir()
    return load_worker_settings(
        redis_url=redis.url,
        key_prefix=f"test-{uuid.uuid4().hex[:8]}:",
        storage=f"file://{tmp_path}/storage",
        worker_heartbeat_s=1,
    )


@pytest.fixture
def gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gates:
    """Workers started from now on know the engine `gated`."""
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "gates").mkdir()
    return Gates(tmp_path / "gates")
