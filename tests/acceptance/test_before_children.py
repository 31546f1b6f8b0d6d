"""What a worker's main process does before it forks: a child that is forked later has all that its threads use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ocrqueue import OcrQueue
from ocrqueue.settings import load_worker_settings
from tests.support.pictures import png, text_picture
from tests.support.processes import RedisServer, as_environment, worker

pytest_plugins = ["tests.support.server_fixtures"]

HELLO = png(text_picture("Hello 42"))

# what a thread of the main process imports later, it may import while a child is forked
WATCHED = """
import os
import sys
import threading
from pathlib import Path

MAIN, forked = os.getpid(), threading.Event()
os.register_at_fork(after_in_parent=forked.set)


def note(event, arguments):
    if event == "import" and forked.is_set() and os.getpid() == MAIN:
        with Path(os.environ["IMPORTED"]).open("a") as file:
            file.write(f"{threading.current_thread().name}: {arguments[0]}\\n")


from ocrqueue_worker.app import app

sys.addaudithook(note)
"""


def test_its_threads_import_nothing_later(redis: RedisServer, s3_endpoint: str, s3_bucket: str, tmp_path: Path) -> None:
    (tmp_path / "watched.py").write_text(WATCHED)
    (tmp_path / "imported").touch()
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix="imports:",
        storage=f"s3://{s3_bucket}/imports",
        s3_endpoint=s3_endpoint,
        soft_time_limit_s=100,
        hard_time_limit_s=101,
        metrics_port=0,
    )
    command = ("-m", "celery", "-A", "watched:app", "worker", "-c", "1", "-Q", "ocr.null,ocr.tesseract")
    variables = {"IMPORTED": str(tmp_path / "imported")}
    with worker(as_environment(settings), tmp_path, command=command, variables=variables), OcrQueue(settings) as queue:
        hung, killed = {"null": {"fault": "hang"}}, {"null": {"fault": "kill"}}
        # of both the main process ends the null engine's turn, and stores what the other one has read
        for options, state in ((hung, "succeeded"), (killed, "succeeded")):
            job = queue.submit(HELLO, engine="tesseract", fallback=["null"], options=options, time_limit_s=10)
            assert job.wait(300).state == state
        assert queue.submit(HELLO, engine="null", options=hung["null"], time_limit_s=2).wait(100).state == "failed"
        assert queue.submit(HELLO, engine="tesseract").wait(100).state == "succeeded"
    imported = (tmp_path / "imported").read_text().splitlines()
    # which no child is forked in the middle of: see ocrqueue_worker.fork_gate
    assert [line for line in imported if not line.startswith("access watch: ")] == []


def test_all_models_are_built() -> None:
    program = """
import json
import ocrqueue_worker.app
from ocrqueue.settings import process_settings
from ocrqueue_worker.lifecycle.before_children import models, prepare_for_children

before = [model.__name__ for model in models() if not model.__pydantic_complete__]
prepare_for_children(process_settings())
print(json.dumps([before, [model.__name__ for model in models() if not model.__pydantic_complete__]]))
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    before, after = json.loads(said.stdout)
    assert {"Job", "Document", "InputInfo"} <= set(before)
    assert after == []
