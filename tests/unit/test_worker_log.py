"""What a worker logs when it starts."""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from celery import platforms

from ocrqueue.errors import StorageCredentials
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.access.troubles import Troubles
from ocrqueue_worker.lifecycle import celery_worker
from ocrqueue_worker.lifecycle.celery_worker import CeleryWorker
from ocrqueue_worker.telemetry.logs import configure_logging, without_body


@pytest.mark.parametrize("works", [True, False])
def test_a_worker_that_takes_no_jobs_does_not_say_that_it_is_ready(
    monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    troubles = Troubles()
    troubles.note("storage", None if works else StorageCredentials())
    monkeypatch.setattr(celery_worker, "TROUBLES", troubles)
    monkeypatch.setattr(celery_worker, "signals", SimpleNamespace(worker_ready=SimpleNamespace(send=lambda **_: None)))
    with structlog.testing.capture_logs() as lines:
        CeleryWorker.on_consumer_ready(cast("Any", None), None)
    (line,) = lines
    assert ("takes no jobs" in line["event"]) != works
    assert ("ready" in line["event"]) == works


def test_the_transport_is_called_by_no_name_of_a_class() -> None:
    text, place = "Connected to %s", "ocrqueue_worker.broker.transport:Transport://"
    record = logging.LogRecord("celery.worker.consumer.connection", logging.INFO, "", 1, text, (place,), None)
    assert without_body(record)
    assert record.getMessage() == "Connected to Redis."


def test_the_warning_of_root_names_no_option_that_the_program_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        monkeypatch.setattr(os, name, lambda: 0)
    with pytest.warns(platforms.SecurityWarning) as warned:
        platforms.check_privileges(["json"])
    (warning,) = warned
    assert "--uid" not in str(warning.message)
    assert "run it as a user of its own" in str(warning.message)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_tells_no_local_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    """They hold references and settings."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    level = root.level
    noisy = {
        name: logging.getLogger(name).level for name in ("httpx", "httpcore", "botocore", "boto3", "urllib3", "PIL")
    }
    try:
        configure_logging(load_worker_settings(log_format=log_format))
        secret = "X-Amz-" + "Signature"
        try:
            raise KeyError(len(secret))
        except KeyError:
            structlog.get_logger("of a test").exception("it broke")
    finally:
        structlog.reset_defaults()
        root.setLevel(level)
        for name, before in noisy.items():
            logging.getLogger(name).setLevel(before)
    written = capsys.readouterr().err
    assert "KeyError" in written
    assert "X-Amz-Signature" not in written
