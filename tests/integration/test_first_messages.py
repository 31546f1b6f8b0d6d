"""Celery is imported at the first message, by whichever thread makes it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, threading, time

def while_celery_is_imported(event, given):
    if event == "import" and given[0] == "celery.local":
        importing.set()
        time.sleep(0.5)

importing = threading.Event()
sys.addaudithook(while_celery_is_imported)
from ocrqueue.core.celery_messages import call_message

assert "celery" not in sys.modules
made = []
threads = [threading.Thread(target=lambda: made.append(call_message("task", "id", "queue"))) for _ in range(8)]
threads[0].start()
assert importing.wait(60)
for thread in threads[1:]:
    thread.start()
for thread in threads:
    thread.join()
assert len(made) == 8, made
assert all(each["headers"]["task"] == "task" for each in made)
"""


def test_the_first_messages_can_be_made_by_several_threads() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
