"""The guard of the local system, and what becomes of processes that do not end when they are asked to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.errors import LocalSystemFailed
from ocrqueue.local import LocalSystem, parent_watchdog
from ocrqueue.local.child_process import Child, log_tail, start_child
from ocrqueue.settings import load_worker_settings
from tests.support.pictures import png, text_picture
from tests.support.processes import need_program, wait_until

OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def children(tmp_path: Path) -> Iterator[dict[str, Child]]:
    """One process that ends at SIGTERM and one that does not, both up."""
    started = {}
    for name, program in {"obedient": OBEDIENT, "deaf": DEAF}.items():
        started[name] = start_child(name, [sys.executable, "-c", program], tmp_path / name, {}, tmp_path)
    for child in started.values():
        while not log_tail(child.log, 1):
            time.sleep(0.01)
    yield started
    for child in started.values():
        child.kill()


def reap(children: dict[str, Child]) -> None:
    """As init does for the guard: what has ended is to be gone, not a zombie of this process."""
    for child in children.values():
        threading.Thread(target=child.process.wait, daemon=True).start()


def test_the_guard_ends_what_is_left_when_its_input_ends(children: dict[str, Child]) -> None:
    reap(children)
    parent_watchdog.main([f"{children['obedient'].pid}\n", f"{children['deaf'].pid}\n"], 1)
    assert children["deaf"].process.wait(60) == -9
    assert children["obedient"].process.wait(60) == -15


def test_the_guard_leaves_all_alone_when_it_is_done(children: dict[str, Child]) -> None:
    parent_watchdog.main([f"{children['obedient'].pid}\n", parent_watchdog.DONE], 0.3)
    assert children["obedient"].process.poll() is None


def test_the_guard_leaves_an_id_alone_whose_process_has_ended(children: dict[str, Child]) -> None:
    reap(children)
    lines = [f"{child.pid}\n" for child in children.values()]
    parent_watchdog.main([*lines, f"-{lines[0]}"], 0.5)
    assert children["deaf"].process.wait(60) == -9
    assert children["obedient"].process.poll() is None, "another one could have its id by now"


def test_a_drained_worker_ends_alone_and_the_last_one_ends_all(tmp_path: Path) -> None:
    need_program("redis-server")
    command = ["ocrqueue", "local", "-e", "null", "-e", "tesseract", "-c", "1", "-d", str(tmp_path / "data")]
    log = tmp_path / "log"
    given = {**os.environ, "OCRQUEUE_WORKER_HEARTBEAT_S": "0.5"}
    with log.open("w") as output, subprocess.Popen(command, stderr=output, stdout=output, env=given) as running:
        try:
            wait_until(lambda: "ready: " in log.read_text(), 120, "it is ready")
            variables = dict(line.split()[1].split("=", 1) for line in (tmp_path / "data/env").read_text().splitlines())
            settings = load_worker_settings(
                redis_url=variables["OCRQUEUE_REDIS_URL"].strip("'"), storage=variables["OCRQUEUE_STORAGE"].strip("'")
            )
            with OcrQueue(settings) as queue:
                (first,) = (worker.name for worker in queue.workers() if "null" in worker.name)
                queue.drain(first)
                wait_until(lambda: "the null worker has ended" in log.read_text(), 60, "it has ended")
                image = png(text_picture("go on"))
                assert queue.submit(image, engine="tesseract").wait(60).state == "succeeded"
                queue.drain(*(worker.name for worker in queue.workers()))
            assert running.wait(60) == 0
        finally:
            running.terminate()
    assert "no worker is left" in log.read_text()


def test_the_guard_does_not_mind_processes_that_have_gone() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    gone.wait()
    parent_watchdog.main([f"{gone.pid}\n"] * 2, 0.3)


def test_a_child_that_is_deaf_is_killed_when_its_time_is_up(children: dict[str, Child]) -> None:
    for name, grace_s, status in (("obedient", 60, -15), ("deaf", 0.3, -9)):
        children[name].ask_to_end()
        children[name].wait_or_kill(grace_s)
        assert children[name].process.returncode == status


def test_a_child_that_ended_is_reported_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    program = "print('first'); print('the reason'); print(); raise SystemExit(3)"
    child = start_child("The worker", [sys.executable, "-c", program], tmp_path / "log", {})
    child.process.wait()
    with pytest.raises(LocalSystemFailed, match="The worker ended by itself with status 3: the reason") as caught:
        child.check()
    assert caught.value.info.details == {"log": str(tmp_path / "log")}


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LocalSystemFailed, match="Cannot start x: No such file"):
        start_child("x", [str(tmp_path / "missing")], tmp_path / "log", {})
    assert log_tail(tmp_path / "no such log", 3) == []


def test_a_system_that_does_not_run_has_no_variables_and_a_bad_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    system = LocalSystem(tmp_path / "file" / "data")
    with pytest.raises(LocalSystemFailed, match="not running"):
        _ = system.variables
    with pytest.raises(LocalSystemFailed, match="Cannot use the folder"):
        system.__enter__()
