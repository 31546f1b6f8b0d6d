"""A unit test starts no process, opens no connection and does not sleep: what does is in tests/integration."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# how long examples take to make says how busy the machine is
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

FORBIDDEN = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "socket.bind", "socket.connect"}
    | {"subprocess.Popen", "time.sleep"}
)
"""Events that Python reports: https://docs.python.org/3/library/audit_events.html"""


UNIT = Path(__file__).parent


class Guard:
    """Refuses what is forbidden, in the main thread and while a unit test runs."""

    running = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        # an audit hook stays until the process ends, and sees other tests too where all run in one
        if event == "time.sleep" and arguments == (0,):
            return  # Python 3.13 reports it, 3.11 does not
        if self.running and event in FORBIDDEN and threading.current_thread() is threading.main_thread():
            raise AssertionError(f"{event} in a unit test: such a test belongs in tests/integration")


guard = Guard()
sys.addaudithook(guard)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    # not around the end of fixtures: those of a whole session end with whichever test is the last
    guard.running = UNIT in item.path.parents
    try:
        return (yield)
    finally:
        guard.running = False
