"""Memory and disk that run out: whose error it is, and the limit that makes it an error at all."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
import threading

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from pytesseract.pytesseract import save

from ocrqueue.errors import EngineOutOfMemory, OcrQueueError, StorageUnavailable, WorkerDiskFull
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.null import NullEngine
from ocrqueue_worker.engines.null.faults import FAULTS
from ocrqueue_worker.limits.memory_limit import data_limit, job_memory_limit
from ocrqueue_worker.limits.resource_errors import exhaustion, exhaustion_as_errors
from tests.support.pictures import text_picture


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), EngineOutOfMemory),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), EngineOutOfMemory),
        (RuntimeError("can't start new thread"), EngineOutOfMemory),
        (OSError(errno.ENOSPC, "No space left on device"), WorkerDiskFull),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), WorkerDiskFull),
        (OSError(errno.EFBIG, "File too large"), WorkerDiskFull),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), WorkerDiskFull),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), None),
        (OSError("no number"), None),
        (RuntimeError("Tesseract process timeout"), None),
        (ValueError(), None),
    ],
)
def test_what_ran_out_is_told_by_the_error(error: Exception, expected: type[OcrQueueError] | None) -> None:
    found = exhaustion(error)
    assert (None if found is None else type(found)) == expected


def test_what_led_to_an_error_counts_unless_its_author_says_otherwise() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    caused, met, apart = ValueError(), ValueError(), ValueError()
    caused.__cause__ = met.__context__ = full
    apart.__context__, apart.__suppress_context__ = full, True
    assert isinstance(exhaustion(caused), WorkerDiskFull)
    assert isinstance(exhaustion(met), WorkerDiskFull)
    assert exhaustion(apart) is None
    loop = ValueError()
    loop.__context__ = met
    full.__context__ = None
    met.__context__ = loop
    assert exhaustion(loop) is None


def test_errors_that_have_a_code_keep_it() -> None:
    """Storage in a full folder is the storage's trouble, not the worker's."""
    stored = StorageUnavailable("Full.")
    stored.__context__ = OSError(errno.ENOSPC, "No space left on device")
    for error in (stored, SoftTimeLimitExceeded()):
        with pytest.raises(type(error)), exhaustion_as_errors():
            raise error
    with pytest.raises(KeyError), exhaustion_as_errors():
        raise KeyError
    with pytest.raises(EngineOutOfMemory), exhaustion_as_errors():
        raise MemoryError


def test_a_disk_full_before_the_first_byte_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its file cannot even be made, pytesseract's clean-up fails in turn, and hides why."""

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pytesseract.pytesseract.NamedTemporaryFile", no_space)
    with pytest.raises(WorkerDiskFull), exhaustion_as_errors(), save(text_picture("x")):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(WorkerDiskFull, match="no writable folder"), exhaustion_as_errors(), save(text_picture("x")):
        pass


def test_the_null_engines_full_disk_is_one() -> None:
    with pytest.raises(WorkerDiskFull, match="No space left"), exhaustion_as_errors():
        FAULTS["disk_full"]()


# --- the limit on memory -------------------------------------------------------------------------------------------


def test_memory_beyond_the_limit_is_refused_and_the_limit_goes_again() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    # far more than what this process may have freed and kept, which it may use all the same
    with data_limit(64):
        bytearray(48 << 20)
        with pytest.raises(MemoryError):
            bytearray(1 << 30)
        with pytest.raises(MemoryError):
            FAULTS["exhaust"]()
        with data_limit(2048), pytest.raises(MemoryError):
            bytearray(1 << 30)  # the lower limit stays
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    bytearray(80 << 20)


def test_a_child_process_has_the_limit_to_itself() -> None:
    with data_limit(32):
        inherited, _ = resource.prlimit(os.getpid(), resource.RLIMIT_DATA)
        assert inherited > 32 << 20


def test_a_thread_that_cannot_have_its_stack_is_want_of_memory() -> None:
    size = threading.stack_size(64 << 20)
    try:
        with pytest.raises(EngineOutOfMemory, match="thread"), exhaustion_as_errors(), data_limit(16):
            threading.Thread(target=print).start()
    finally:
        threading.stack_size(size)


def test_the_setting_for_the_engine_by_name_goes_before_the_engines_own() -> None:
    class Hungry(NullEngine):
        job_memory_limit_mib = 9000

    class Free(NullEngine):
        job_memory_limit_mib = 0

    def limits(setting: object) -> list[int]:
        settings = load_worker_settings(job_memory_limit_mib=setting)
        return [engine(settings).memory_limit_mib() for engine in (NullEngine, Hungry, Free)]

    assert limits(512) == [512, 9000, 0]
    assert limits("512,null=700") == [700, 700, 700]
    assert limits("512,null=0") == [0, 0, 0]
    assert limits("0,null=700") == [700, 700, 700]
    assert limits(0) == [0, 0, 0]


def test_where_jobs_share_a_process_there_is_no_limit() -> None:
    settings = load_worker_settings(job_memory_limit_mib=1)
    with job_memory_limit(NullEngine(settings).memory_limit_mib()):
        assert len(bytearray(32 << 20)) == 32 << 20
