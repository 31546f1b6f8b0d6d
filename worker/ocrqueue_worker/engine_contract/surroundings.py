"""Checks of how an engine gets on with its process: time limits, threads, signals, the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from celery.exceptions import SoftTimeLimitExceeded

from ocrqueue.document import Page
from ocrqueue.errors import EngineTimeout, OcrQueueError
from ocrqueue_worker.engine_contract.findings import Advice, Complaint, Wrong
from ocrqueue_worker.engine_contract.pictures import printed
from ocrqueue_worker.engine_contract.question import Check, Question
from ocrqueue_worker.engine_contract.reading import read
from ocrqueue_worker.engine_contract.stating import broke_off
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.engines.output_checks import check_results
from ocrqueue_worker.pipeline.engine_call import recognise

_WORKERS_SIGNALS: Final = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD),
)
_TOGETHER: Final = 4
_LOOKS: Final = 10
_TIMES: Final = 8
"""Moments of a reading at which the time limit is made to strike."""


def _deadline(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    """A deadline that passes between the worker's look at it and the engine's."""
    page = printed()
    try:
        reading = question.reading(engine, deadline=time.monotonic())
        results = check_results(engine.recognize([page], reading), [page], engine.name)
    except EngineTimeout:
        return
    (result,) = results
    if isinstance(result, OcrQueueError) and not isinstance(result, EngineTimeout):
        yield Wrong(f"a deadline that is over must end in EngineTimeout, but ends in {result.code}: {result}")
    elif isinstance(result, Page):
        yield Advice("recognize() does not look at reading.deadline: past the time limit the child is killed.")


def _soft_limit(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    """Celery raises SoftTimeLimitExceeded wherever the engine is: `except Exception` around a call swallows it."""
    begun = time.monotonic()
    first = read(engine, question, printed())
    if isinstance(first, OcrQueueError) and not isinstance(first, EngineTimeout):
        yield Wrong(f"it cannot be told, since a printed page is not read: {first}")
        return
    took = max(time.monotonic() - begun, 0.001)
    before = signal.signal(signal.SIGALRM, _strike)
    try:
        for moment in range(_TIMES):
            result = _read_within(took * (moment + 0.5) / _TIMES, engine, question)
            if isinstance(result, OcrQueueError) and not isinstance(result, EngineTimeout):
                yield Wrong(f"SoftTimeLimitExceeded is swallowed, and becomes {result.code}: let it pass.")
                return
    finally:
        signal.signal(signal.SIGALRM, before)


def _read_within(seconds: float, engine: Engine[Any], question: Question) -> Page | OcrQueueError | None:
    """None: the limit was raised, and came through."""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return read(engine, question, printed())
        finally:
            # it may strike just here, where the engine is done: that is no fault of its
            signal.setitimer(signal.ITIMER_REAL, 0)
    except SoftTimeLimitExceeded:
        return None


def _strike(_number: int, _frame: object) -> NoReturn:
    raise SoftTimeLimitExceeded


def _signals(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    marks = {number: signal.getsignal(number) for number in _WORKERS_SIGNALS}
    engine.load()
    read(engine, question, printed())
    changed = [number.name for number, handler in marks.items() if signal.getsignal(number) is not handler]
    if changed:
        yield Wrong(f"the handlers of {', '.join(changed)} are changed: the worker ends and limits jobs by them.")


def _threads(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    page = printed()
    alone = read(engine, question, page)
    if engine.pool == "prefork":
        own = len(list(Path("/proc/self/task").iterdir())) - 1 if Path("/proc/self/task").is_dir() else 0
        if own > 1:
            yield Advice(f"the process has {own} threads beside its own: workers start a child for each core.")
        return
    with ThreadPoolExecutor(_TOGETHER) as threads:
        results = list(
            threads.map(lambda _: recognise(engine, [page], question.reading(engine))[0], range(2 * _TOGETHER))
        )
    for result in results:
        if isinstance(result, OcrQueueError):
            yield Wrong(f"one of {_TOGETHER} calls at once: {result}")
            return
        if engine.cacheable and result != alone:
            yield Wrong("the text differs when several threads read at once, as they do with pool = 'threads'.")
            return


def _closing(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    """Twice: a child that ends closes what was closed already."""
    read(engine, question, printed())
    for call in ("close()", "a second close()"):
        try:
            engine.close()
        except Exception as error:
            yield broke_off(call, error)
    if left := _processes_left():
        yield Advice(f"processes of the engine's own run on after close(): {', '.join(left)}.")


def _processes_left() -> list[str]:
    """The names of this process's children that still run; those that were told to end have a second for it."""
    for _ in range(_LOOKS):
        if not (left := list(_children())):
            break
        time.sleep(1 / _LOOKS)
    return left


def _children() -> Iterator[str]:
    """By proc(5), where there is one."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text(errors="replace").partition(" (")[2].rpartition(") ")
            state, parent = rest.split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                yield name


SURROUNDINGS: Final = (
    Check("deadline", "a deadline that is over ends in EngineTimeout", _deadline),
    Check("time limit", "SoftTimeLimitExceeded passes through, whenever it strikes", _soft_limit),
    Check("threads", "one thread where children are forked; several at once where pool is threads", _threads),
    Check("signals", "load() and recognize() leave the worker's signals alone", _signals, before_load=True),
    Check("close", "close() frees the engine without an error", _closing),
)
