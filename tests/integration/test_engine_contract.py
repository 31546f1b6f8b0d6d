"""The checks of the engine interface name the fault of an engine that has one, and find none in one that has none."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from click.testing import CliRunner

from ocrqueue import OcrQueue
from ocrqueue.errors import EngineTimeout, EngineUnavailable
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.cli.program import main
from ocrqueue_worker.engine_contract import surroundings
from ocrqueue_worker.engine_contract.findings import Finding
from ocrqueue_worker.engine_contract.running import CHECKS, NAMES, Question, findings_of_child, run_checks
from ocrqueue_worker.engines import discovery
from ocrqueue_worker.engines.discovery import make_engine
from tests.integration.conftest import Installation
from tests.support.processes import as_environment, unmeasured, wait_until, worker

SAMPLE = Path(__file__).parents[2] / "samples" / "street-sign.jpg"
BROKEN = Path(__file__).parents[1] / "support" / "broken_engines"

pytest_plugins = ["pytester", "tests.support.server_fixtures"]


@pytest.fixture(autouse=True)
def broken_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The broken engines are installed."""
    monkeypatch.syspath_prepend(str(BROKEN))
    discovery._installed.cache_clear()
    yield
    discovery._installed.cache_clear()


def found(engine: str, name: str, seconds: float = 60.0) -> Finding:
    """What one check finds."""
    question = Question(engine, load_worker_settings(), seconds=seconds)
    check = next(check for check in CHECKS if check.name == name)
    (finding,) = findings_of_child(question, [check], loaded=not check.before_load)
    return finding


def test_a_time_limit_that_strikes_when_the_engine_is_done_is_no_fault_of_its(monkeypatch: pytest.MonkeyPatch) -> None:
    def strikes_when_it_is_ended(_: int, seconds: float) -> None:
        if seconds == 0:
            raise SoftTimeLimitExceeded

    monkeypatch.setattr(surroundings, "read", lambda *_: EngineTimeout())
    monkeypatch.setattr(surroundings.signal, "setitimer", strikes_when_it_is_ended)
    (check,) = (check for check in surroundings.SURROUNDINGS if check.name == "time limit")
    question = Question("whole", load_worker_settings())
    assert list(check.run(make_engine("whole", question.settings), question)) == []


def test_an_engine_that_keeps_its_promises_is_right() -> None:
    """In a process of its own: of one that has loaded other engines, libraries start threads anew after a fork.

    Without coverage: under it, one of the children that this process forks may stand still.
    """
    path = unmeasured()
    path["PYTHONPATH"] = f"{BROKEN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-m", "ocrqueue_worker", "engine", "check", "whole", "--json"]
    done = subprocess.run(command, check=False, env=path, capture_output=True, text=True, timeout=300)
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [finding["check"] for finding in findings] == list(NAMES), done.stderr
    assert [finding for finding in findings if finding["verdict"] != "right"] == []
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("nameless", "Nameless has no `name`, and its entry point is 'nameless'."),
        ("unfinished", "Unfinished has no method languages()."),
        ("vanishing", "Engine 'vanishing' cannot be imported: vanishing_engine:Vanishing raised SystemExit."),
    ],
)
def test_a_class_that_is_not_whole_is_told_and_nothing_else_asked(engine: str, told: str) -> None:
    first, *others = run_checks(Question(engine, load_worker_settings()))
    assert first.told == (told,)
    assert {finding.verdict for finding in others} == {"left out"}
    with pytest.raises(EngineUnavailable, match=r"is not complete|cannot be imported") as raised:
        discovery.make_engine(engine, load_worker_settings())
    assert f"engine check {engine}" in raised.value.info.remedy


@pytest.mark.parametrize(
    ("engine", "check", "told"),
    [
        ("loose", "options", "accepts an unknown option"),
        ("forgetful", "info", "ValidationError of EngineInfo (version is missing)"),
        ("polyglot", "languages", "accepts a language that languages() does not name"),
        ("percent", "printed page", "at most 1"),
        ("boxless", "printed page", "ValidationError of Word (bbox is missing)"),
        ("scaled", "printed page", "words lie where nothing is printed"),
        ("tiny", "odd pages", "a page of 1 x 1 pixel: engine.failed: tiny raised ZeroDivisionError."),
        ("first", "several pages", "1 results for 3 pages"),
        ("changing", "the same again", "cacheable = False"),
        ("swallowing", "time limit", "SoftTimeLimitExceeded is swallowed"),
        ("deaf", "signals", "the handlers of SIGTERM are changed"),
        ("crashing", "printed page", "ended by SIGKILL"),
        ("unloadable", "printed page", "load() raised KeyError"),
        ("panicking", "printed page", "load() raised PanicException"),
        ("quitting", "printed page", "quitting raised SystemExit"),
        ("endless", "batches", "longest_side() returned 'far'"),
        ("choosy", "batches", "may_prepare() raised KeyError"),
        ("boxless", "time limit", "it cannot be told, since a printed page is not read"),
    ],
)
def test_the_fault_is_named(engine: str, check: str, told: str) -> None:
    finding = found(engine, check)
    assert finding.verdict == "wrong"
    assert told in " ".join(finding.told)


class WaitsToBeFreed:
    """As an object of a library whose threads are in another process does."""

    def __init__(self) -> None:
        self.itself, self.process = self, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.process:
            time.sleep(3600)


def test_what_the_program_has_is_not_freed_in_a_child() -> None:
    gc.disable()
    try:
        WaitsToBeFreed()  # a cycle
        assert found("tidy", "printed page", seconds=100).verdict == "right"
    finally:
        gc.enable()
        gc.collect()


def test_a_check_that_does_not_end_is_ended() -> None:
    assert "takes longer than 0.5 s" in found("hanging", "printed page", seconds=0.5).told[0]


def test_a_process_of_its_own_inherits_that_a_child_ignores_sigterm() -> None:
    assert "takes longer than 5 s" in found("polite", "close", seconds=5).told[0]


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(") ")[2][0] != "Z"


def test_a_process_that_an_engine_leaves_behind_is_named_and_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    monkeypatch.setenv("LEFT_BEHIND", str(left))
    finding = found("leaving", "close")
    assert (finding.verdict, finding.told) == (
        "advice",
        ("processes of the engine's own run on after close(): sleep.",),
    )
    wait_until(lambda: not is_running(int(left.read_text())), 60, "it has ended")


def test_what_an_engine_writes_to_standard_output_is_not_among_the_findings() -> None:
    path = {**unmeasured(), "PYTHONPATH": f"{BROKEN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "ocrqueue_worker", "engine", "check", "chatty", "--json"]
    done = subprocess.run(command, check=False, env=path, capture_output=True, text=True, timeout=300)
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [finding["check"] for finding in findings] == list(NAMES), done.stderr
    assert "{10 %" in done.stderr


def test_the_command_says_what_is_wrong_and_its_status_does() -> None:
    done = CliRunner().invoke(main, ["engine", "check", "nameless"])
    assert done.exit_code == 1
    assert "class: Nameless has no `name`" in done.output
    done = CliRunner().invoke(main, ["engine", "check", "nameless", "--json"])
    assert json.loads(done.output.splitlines()[0])["verdict"] == "wrong"
    assert CliRunner().invoke(main, ["engine", "check", "no-such-engine"]).exit_code == 2


def test_the_pytest_plugin_has_a_test_for_each_check(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where the wheel is installed, its entry point names the plugin, too
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("def test_promises(engine_check):\n    engine_check()\n")
    pytester.makeini("[pytest]\nocrqueue_engine = forgetful\n")
    plugin = ("-p", "ocrqueue_worker.engine_contract.pytest_plugin", "-p", "no:cacheprovider")
    done = pytester.runpytest_inprocess(*plugin)
    outcomes = done.parseoutcomes()
    assert outcomes["failed"] + outcomes["passed"] + outcomes.get("skipped", 0) == len(NAMES)
    assert outcomes["passed"]
    done.stdout.fnmatch_lines(["*EngineInfo (version is missing)*"])


def test_a_worker_outlives_an_engines_mistakes_and_its_author_hears_of_them(
    installation: Installation, tmp_path: Path
) -> None:
    engines = ("null", "forgetful", "boxless", "quitting", "endless", "choosy")
    settings = {**as_environment(installation.settings), "key_prefix": f"broken-{uuid.uuid4().hex[:8]}:"}
    path = {"PYTHONPATH": f"{BROKEN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    arguments = ("--concurrency", "1", *(f"--engine={name}" for name in engines))
    with (
        worker({**settings, "engines": ",".join(engines)}, tmp_path, *arguments, variables=path) as running,
        OcrQueue(load_worker_settings(**settings, engines=",".join(engines))) as queue,
    ):
        status = queue.submit(SAMPLE, engine="boxless", cache=False).wait(100)
        assert status.error is not None
        assert status.error.code == "engine.failed"
        assert "ValidationError of Word (bbox is missing)" in status.error.message
        for engine, code, told in (
            ("quitting", "engine.failed", "quitting raised SystemExit"),
            ("endless", "engine.unavailable", "longest_side() returned 'far'"),
            ("choosy", "engine.unavailable", "may_prepare() raised KeyError"),
        ):
            status = queue.submit(SAMPLE, engine=engine, cache=False).wait(100)
            assert status.error is not None
            assert (status.error.code, status.attempts) == (code, 1)
            assert told in status.error.message
        assert queue.submit(SAMPLE, engine="null", cache=False).result(timeout=100).pages
        wait_until(lambda: "EngineInfo (version is missing)" in running.log.read_text(), 100, "the log names it")
        assert running.alive()


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("nameless", "Engine 'nameless' is not complete: Nameless has no `name`"),
        ("vanishing", "Engine 'vanishing' cannot be imported: vanishing_engine:Vanishing raised SystemExit"),
    ],
)
def test_a_worker_says_what_its_engine_lacks_and_does_not_start(engine: str, told: str) -> None:
    done = CliRunner().invoke(main, ["--engine", engine])
    assert done.exit_code == 2
    assert told in done.output
