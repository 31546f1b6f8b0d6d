"""The process that takes over a PDF's pages: `python -m ocrqueue.document.formats.isolated_pdf_child READ WRITTEN`.

READ and WRITTEN are descriptors of the source and of the PDF that is to be made. Lines of JSON come by standard input,
and go by standard output: `isolated_pdf` has the other end.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from ocrqueue.document.formats.pdf_grafted import GraftedPdf
from ocrqueue.document.page import Page
from ocrqueue.errors import OcrQueueError, PdfDamaged, PdfOutputFailed
from ocrqueue.isolation.limits import limit_own

_PR_SET_PDEATHSIG: Final = 1
_OVER_FILE: Final = 1 << 30
"""Bytes that what is made may have beyond twice the source: the words."""
_OF_DAMAGED: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError)
"""What is raised of objects that are of other kinds than a PDF's must be."""


def main() -> None:
    read, written = map(int, sys.argv[1:])
    _end_with_parent()
    try:
        _work(read, written)
    except OcrQueueError as error:
        _say({"error": error.info.model_dump(mode="json")})
    except MemoryError:
        _say({"ran_out": "memory"})
    except OSError as error:
        if error.errno == errno.ENOMEM:
            _say({"ran_out": "memory"})
        elif error.errno == errno.EFBIG:
            _say({"error": PdfOutputFailed("The PDF becomes larger than is allowed.").info.model_dump(mode="json")})
        else:
            _say({"ran_out": error.errno or errno.EIO})
    except _OF_DAMAGED as error:
        _say_damaged(error)
    except Exception as error:  # pikepdf's own, which may not be imported here
        if type(error).__module__.split(".")[0] != "pikepdf":
            raise
        _say_damaged(error)


def _work(read: int, written: int) -> None:
    asked = _heard()
    grafted = GraftedPdf(annotated=bool(asked["annotated"]))
    with os.fdopen(read, "rb") as source, os.fdopen(written, "wb") as target:
        source.seek(0)
        _limit(int(asked["memory_mib"]), int(asked["cpu_s"]), os.fstat(read).st_size)
        _graft(grafted, source, target, asked)
    _say({"said": "end"})


def _graft(grafted: GraftedPdf, source: BinaryIO, target: BinaryIO, asked: dict[str, Any]) -> None:
    with grafted.open(source, _password) as opened:
        _say({"said": "open"})
        grafted.add(asked["pages"], _pages(), opened, lambda: _say({"said": "page"}))
        grafted.save(target, tuple(asked["languages"]))


def _pages() -> Iterator[Page]:
    """As they come, one by one."""
    while (page := _line()) != b"{}\n":
        yield Page.model_validate_json(page)


def _password() -> str | None:
    _say({"said": "password"})
    given: str | None = _heard()["password"]
    return given


def _limit(memory_mib: int, cpu_s: int, source_bytes: int) -> None:
    if memory_mib:
        # qpdf may map the source
        memory = _own_bytes() + source_bytes + (memory_mib << 20)
        limit_own(resource.RLIMIT_AS, memory)
    limit_own(resource.RLIMIT_CPU, cpu_s, over=5)
    limit_own(resource.RLIMIT_FSIZE, _OVER_FILE + 2 * source_bytes)
    limit_own(resource.RLIMIT_CORE, 0)


def _own_bytes() -> int:
    """Addresses in use: of the program. statm(5)."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _end_with_parent() -> None:
    """Also in the midst of C code; elsewhere than on Linux, when its pipes are closed.

    Who stops a worker by signals to all processes lets it end what it has begun.
    """
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(stop, signal.SIG_IGN)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _say_damaged(error: Exception) -> None:
    damaged = PdfDamaged(f"The PDF's pages cannot be taken over: {type(error).__name__}: {error}"[:300])
    _say({"error": damaged.info.model_dump(mode="json")})


def _say(said: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
    sys.stdout.buffer.flush()


def _heard() -> dict[str, Any]:
    heard: dict[str, Any] = json.loads(_line())
    return heard


def _line() -> bytes:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        # nobody is there any more
        sys.exit(1)
    return line


if __name__ == "__main__":
    main()
