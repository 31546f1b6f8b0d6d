"""What every engine on ONNX Runtime wants of it: bounded threads, memory that stays flat, errors that can be told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ocrqueue.errors import EngineOutOfMemory

_OUT_OF_MEMORY: Final = ("failed to allocate", "out of memory", "bad_alloc", "alloc_failed", "available memory")
"""What ONNX Runtime says in a RuntimeException, and OpenCV in its error, which have no kind of their own for it."""


def session_options(onnxruntime: Any, threads: int) -> Any:
    """SessionOptions for a worker child that computes with `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # it would keep a plan, and memory, for each shape that ever came
    options.enable_mem_pattern = False
    # threads that wait take the time of others: containers count it
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # errors are raised; only what ends the process is written
    options.log_severity_level = 4
    return options


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise EngineOutOfMemory in place of an error by which ONNX Runtime or OpenCV says so; all else passes."""
    try:
        yield
    except (MemoryError, EngineOutOfMemory):
        raise
    except Exception as error:  # ONNX Runtime's own have no common class but this
        if any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            raise EngineOutOfMemory from error
        raise
