"""The clock by which tests tell a late answer from a busy machine."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = '''
import os, signal, subprocess, sys, time
from tests.support.standstill import time_lost

wake = f"""
import os, signal, time
while open("/proc/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "T":
    time.sleep(0.01)
time.sleep(1)
os.kill({os.getpid()}, signal.SIGCONT)
"""
with time_lost() as lost_s:
    subprocess.Popen([sys.executable, "-c", wake])
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.1)
    print(lost_s())
'''


def test_a_process_that_was_stopped_knows_for_how_long() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=60)
    assert float(told.stdout) > 0.9
