"""What an import brings into memory: each is looked at in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from ocrqueue.settings import WorkerSettings
from tests.support.processes import as_environment, environment


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, ocrqueue; print(sorted({'redis', 'celery', 'pydantic', 'boto3', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"


def test_the_client_is_imported_without_what_its_first_use_needs() -> None:
    """redis-py and asyncio alone take longer to import than all of ocrqueue."""
    code = (
        "import sys; from ocrqueue import OcrQueue;"
        "print(sorted({'redis', 'asyncio', 'pydantic_settings', 'opentelemetry', 'boto3', 'celery', 'kombu', 'PIL',"
        "'rich', 'ocrqueue.aio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"


def test_the_client_of_asyncio_is_made_without_an_import() -> None:
    """It is often made in the event loop, which an import holds up."""
    code = """
import asyncio, sys
from ocrqueue import AsyncOcrQueue
async def make():
    known = set(sys.modules)
    async with AsyncOcrQueue(redis_url="redis://127.0.0.1:1/0"):
        new = {name.partition(".")[0] for name in set(sys.modules) - known}
        print(new & {"redis", "pydantic_settings", "ocrqueue"})
asyncio.run(make())
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_threads_that_make_the_first_clients_at_once_get_whole_ones() -> None:
    code = """
import sys, threading
sys.setswitchinterval(1e-6)
from ocrqueue import OcrQueue
from ocrqueue.errors import BrokerUnavailable
start, told = threading.Barrier(12), []
def ask():
    start.wait()
    with OcrQueue(redis_url="redis://127.0.0.1:1/0") as queue:
        try:
            queue.status("k")
        except BrokerUnavailable:
            told.append(queue)
threads = [threading.Thread(target=ask) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(told))
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "12\n"


def test_submitting_and_reading_a_status_need_no_celery(settings: WorkerSettings) -> None:
    code = (
        "import sys; from ocrqueue import OcrQueue; queue = OcrQueue(); print(queue.submit(b'GIF8').status().state);"
        "print(sorted({'celery', 'kombu', 'boto3', 'PIL', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=environment(as_environment(settings))
    )
    assert done.stdout == b"queued\n[]\n"


def test_the_help_of_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import ocrqueue; known = set(sys.modules);"
        "from ocrqueue.cli.program import program;"
        "program(['--help'], prog_name='ocrqueue', standalone_mode=False);"
        "sys.stderr.write(' '.join({name.partition('.')[0] for name in set(sys.modules) - known}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert not loaded & {"rich", "boto3", "botocore", "PIL", "celery", "kombu", "redis", "pydantic"}


def test_what_monitors_is_not_imported_unless_it_is_asked_for() -> None:
    """redis-py imports OpenTelemetry's metrics where they are installed."""
    code = """
import sys
from ocrqueue import OcrQueue
from ocrqueue.job import Job
from ocrqueue.core.celery_messages import TASK, call_message
import ocrqueue_worker.app
call_message(TASK, Job(image="s3://b/k").id, "ocr.null")
print({"opentelemetry.sdk.trace", "opentelemetry.exporter", "prometheus_client"} & set(sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_looking_for_a_model_of_keras_imports_nothing_heavy() -> None:
    code = """
import sys
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.keras.models import find_model
try:
    find_model(load_worker_settings(keras_model="stock"))
except Exception:
    pass
print({name.partition(".")[0] for name in sys.modules} & {"numpy", "cv2", "tensorflow", "keras_ocr", "onnxruntime"})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "set()\n"


def test_importing_the_engine_rapid_imports_no_library_of_it() -> None:
    program = """
import sys
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.rapid import RapidEngine
RapidEngine(load_worker_settings()).check()
print({"rapidocr", "onnxruntime", "cv2", "numpy"} & set(sys.modules))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


def test_the_engine_vision_is_light_until_it_is_loaded() -> None:
    """The parent of prefork children imports it, and `ocrqueue config` on machines without Google's library."""
    code = (
        "import sys; from ocrqueue.settings import load_worker_settings;"
        "from ocrqueue_worker.engines.vision import VisionEngine;"
        "engine = VisionEngine(load_worker_settings()); engine.languages(); engine.info(()); engine.parse_options({});"
        "sys.exit(any(name == 'google' or name.startswith(('google.', 'grpc', 'numpy')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_models_are_built_by_whoever_is_first_to_use_them() -> None:
    """Threads that are first together get whole ones."""
    code = """
import sys, threading
sys.setswitchinterval(1e-6)
from pydantic import BaseModel
from ocrqueue import Document, OcrQueue
from ocrqueue.core.records import JobStatus
from ocrqueue.settings import WorkerSettings
def models(above):
    return [above, *(each for model in above.__subclasses__() for each in models(model))]
ours = [model for model in models(BaseModel) if model.__module__.startswith("ocrqueue")]
assert len(ours) > 20 and not [model for model in ours if model.__pydantic_complete__], "an import builds them"
start, built = threading.Barrier(12), []
def build(model):
    start.wait()
    model.model_json_schema()
    built.append(model)
threads = [threading.Thread(target=build, args=(model,)) for model in (Document, WorkerSettings, JobStatus) * 4]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(built))
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "12\n"
