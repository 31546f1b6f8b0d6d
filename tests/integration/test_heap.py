"""What keeps a worker child's memory to what its jobs need: measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="measured by /proc; malloc_trim is of the GNU C library"
)

_RESIDENT = """
import gc, sys
from ocrqueue_worker.limits.heap import collect_cycles_soon, return_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024
"""

_FAILED_JOBS = """
class Node:
    pass

def fail():
    # a cycle with the many small tuples of a traceback's code: they make it grow old, and do not count
    node = Node()
    node.itself, node.code = node, [(number, number) for number in range(4000)]

loaded = [[number] for number in range(300_000)]
gc.collect()
if "helped" in sys.argv:
    collect_cycles_soon()
before = resident()
for _ in range(1000):
    fail()
print(resident() - before)
"""

_LARGE_IMAGES = """
before = resident()
images, between = [], []
for number in range(1000):
    images.append(b"x" * 100_000)
    # too large for the holes that imports left: else nothing stands between the images, and malloc gives them back
    between.append(bytes([number % 256]) * 10_000)
images.clear()
if "helped" in sys.argv:
    return_freed_memory()
print(resident() - before)
"""


@pytest.mark.parametrize("program", [_FAILED_JOBS, _LARGE_IMAGES], ids=["failed jobs", "large images"])
def test_memory_comes_back(program: str) -> None:
    def growth_mib(*arguments: str) -> int:
        command = [sys.executable, "-c", _RESIDENT + program, *arguments]
        return int(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)

    assert growth_mib("helped") < 30
    assert growth_mib() > 50, "without help it does not"
