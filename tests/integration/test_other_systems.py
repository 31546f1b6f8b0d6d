"""The client and its command need nothing that POSIX systems alone have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ocrqueue.settings import WorkerSettings
from tests.support.processes import as_environment, environment

BLOCKED = """
import asyncio, os, sys
import celery.app.base  # which has ways of its own for each system

for name in ("fcntl", "termios", "tty", "resource", "pwd", "grp", "syslog"):
    sys.modules[name] = None
"""
SUBMITS = """
import tempfile
for name in ("O_CLOEXEC", "O_DIRECTORY", "fork", "getuid", "killpg"):
    delattr(os, name)
from ocrqueue import AsyncOcrQueue, OcrQueue

async def submit():
    async with AsyncOcrQueue() as queue:
        return await (await queue.submit(b"GIF8 a")).status()

with OcrQueue() as queue:
    job = queue.submit(b"GIF8 b")
    queue.storage.put(f"results/{job.id}/result.json", b"{}", "application/json")
    print(queue.cancel_many(all_jobs=True).jobs, job.status().state, asyncio.run(submit()).state)
"""
COMMAND = """
from ocrqueue.cli import main
sys.argv = ["ocrqueue", *sys.argv[1:]]
main()
"""


def run(settings: WorkerSettings, script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + script, *arguments],
        env=environment(as_environment(settings)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_clients_submit(settings: WorkerSettings) -> None:
    assert run(settings, SUBMITS).split() == ["1", "cancelled", "queued"]


@pytest.mark.parametrize("arguments", [("--help",), ("submit", "s3://b/a.png"), ("queues",), ("config",)])
def test_the_command_runs(settings: WorkerSettings, arguments: tuple[str, ...]) -> None:
    assert run(settings, COMMAND, *arguments)
