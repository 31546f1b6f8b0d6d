"""What a child must not inherit half done from the threads of the process that forks it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from ocrqueue_worker.task.celery_task import _ending_a_stuck_process

STARTED_WORKER = """
import sys
from celery.signals import celeryd_init
from ocrqueue.errors import StorageUnavailable
from ocrqueue.settings import process_settings
from ocrqueue.storage import open_storage
from ocrqueue_worker.app import app

celeryd_init.send(sender="worker@host", instance=None, conf=app.conf, options={})
before = set(sys.modules)
storage = open_storage(process_settings())
for ask in (
    lambda: storage.get("a"),
    lambda: storage.put("a", b"", "text/plain"),
    lambda: list(storage.list("a")),
    lambda: storage.delete(["a"]),
):
    try:
        ask()
    except StorageUnavailable:
        pass
print(*sorted(name for name in set(sys.modules) - before if name.startswith(("boto", "ocrqueue", "s3transfer"))))
"""


def test_threads_of_a_worker_import_nothing_for_storage() -> None:
    variables = {
        "OCRQUEUE_STORAGE": "s3://bucket",
        "OCRQUEUE_S3_ENDPOINT": "http://127.0.0.1:9",
        "OCRQUEUE_S3_ATTEMPTS": "1",
        "OCRQUEUE_LOG_LEVEL": "error",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    said = subprocess.run(
        [sys.executable, "-c", STARTED_WORKER], env={**os.environ, **variables}, capture_output=True, check=True
    )
    assert said.stdout.decode().splitlines()[-1] == ""


def test_a_child_that_cannot_begin_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with _ending_a_stuck_process():
        pass
    assert ended == []
    with _ending_a_stuck_process():
        raise SoftTimeLimitExceeded
    assert ended == [1]
    with pytest.raises(KeyError), _ending_a_stuck_process():
        raise KeyError
