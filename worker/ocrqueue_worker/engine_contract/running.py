"""Running the checks: in children that are forked of a process without threads, so that a crash or a hang has a name.

Three children: one imports the engine, one asks it before it is loaded, one loads it and reads. Where a check ends its
child, or takes longer than it may, that is its finding, and the next one begins in a child of its own.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import Any, Final

from ocrqueue.errors import EngineUnavailable, OcrQueueError
from ocrqueue_worker.engine_contract.findings import Complaint, Finding, Wrong, finding
from ocrqueue_worker.engine_contract.question import Check, Question
from ocrqueue_worker.engine_contract.reading import READING
from ocrqueue_worker.engine_contract.stating import STATING, broke_off
from ocrqueue_worker.engine_contract.surroundings import SURROUNDINGS
from ocrqueue_worker.engines.declaration import declaration_complaints
from ocrqueue_worker.engines.discovery import engine_class, engine_point, load_engine, make_engine
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.lifecycle.pool_child import set_signals_of_child
from ocrqueue_worker.telemetry.logs import configure_logging

__all__ = ["CHECKS", "Question", "run_checks"]

_DECLARATION: Final = ("class", "the entry point names an Engine with all that it needs")
_CHILDREN: Final = multiprocessing.get_context("fork")
_LOAD: Final = "load()"

CHECKS: Final = tuple(sorted((*STATING, *READING, *SURROUNDINGS), key=lambda check: not check.before_load))
"""In the order in which they run, after `class`."""
NAMES: Final = (_DECLARATION[0], *(check.name for check in CHECKS))


def run_checks(question: Question) -> Iterator[Finding]:
    """A Finding for each check, as it ends. Raises EngineUnknown."""
    engine_point(question.engine)
    complaints, reads_lines = _declaration(question)
    yield (declared := finding(*_DECLARATION, complaints))
    if declared.is_wrong:
        yield from (_left_out(check, "the class is not whole") for check in CHECKS)
        return
    yield from (_left_out(check, "reads_lines is False") for check in CHECKS if check.of_lines and not reads_lines)
    for loaded in (False, True):
        rest = [one for one in CHECKS if one.before_load is not loaded and (reads_lines or not one.of_lines)]
        while rest:
            done = list(findings_of_child(question, rest, loaded=loaded))
            yield from done
            rest = rest[len(done) :]


def _declaration(question: Question) -> tuple[list[Complaint], bool]:
    """What is wrong in the class, and whether it reads lines."""
    with _child(_declare, question) as (child, answers):
        answer = _answer(answers, question.seconds)
        if isinstance(answer, _End):
            return [Wrong(f"its module: {_end_of(child, answer, question)}")], False
        complaints, reads_lines = answer
    return complaints, reads_lines


def findings_of_child(question: Question, checks: Sequence[Check], *, loaded: bool) -> Iterator[Finding]:
    """The findings of those checks that one child could run: at least the first's."""
    with _child(_check, question, checks, loaded) as (child, answers):
        for check in checks:
            # the first one's time is that of load() too
            answer = _answer(answers, question.seconds * (2 if check is checks[0] else 1))
            if isinstance(answer, _End):
                yield finding(check.name, check.about, [Wrong(_end_of(child, answer, question))])
                return
            yield finding(check.name, check.about, answer)


class _End(Enum):
    """Why there is no answer."""

    LATE = auto()
    ENDED = auto()


@contextmanager
def _child(target: Callable[..., None], question: Question, *arguments: Any) -> Iterator[tuple[Any, Connection]]:
    """A process that runs target(question, *arguments, answers), and where its answers come. It is ended in the end,
    with all that it has started."""
    mine, childs = _CHILDREN.Pipe(duplex=False)
    child = _CHILDREN.Process(target=_in_child, args=(target, question, *arguments, childs))
    # what this process has is not for the child to free: libraries would wait there for threads that are here
    gc.freeze()
    child.start()
    gc.unfreeze()
    childs.close()
    try:
        yield child, mine
    finally:
        child.kill()
        with suppress(ProcessLookupError):
            os.killpg(child.pid or 0, signal.SIGKILL)
        child.join()
        mine.close()


def _in_child(target: Callable[..., None], question: Question, *arguments: Any) -> None:
    os.setsid()
    # standard output is for the findings, whatever the engine writes to it
    os.dup2(sys.__stderr__.fileno() if sys.__stderr__ else 2, 1)
    sys.stdout = sys.stderr
    configure_logging(question.settings.model_copy(update={"log_format": "console"}))
    target(question, *arguments)


def _answer(answers: Connection, seconds: float) -> Any:
    if not answers.poll(seconds):
        return _End.LATE
    try:
        return answers.recv()
    except EOFError:
        return _End.ENDED


def _end_of(child: Any, end: _End, question: Question) -> str:
    # what it has started may hold its end of the pipe
    child.join(None if end is _End.ENDED else 0)
    code: int | None = child.exitcode
    if code is None:
        return f"it takes longer than {question.seconds:g} s, and the process was ended."
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}."
    return f"the process ended itself with status {code}."


def _declare(question: Question, answers: Connection) -> None:
    complaints: list[Complaint] = []
    reads_lines = False
    try:
        cls = engine_class(question.engine)
        complaints += [Wrong(told) for told in declaration_complaints(cls, question.engine)]
        if not complaints:
            make_engine(question.engine, question.settings)
            reads_lines = cls.reads_lines
    except EngineUnavailable as error:
        complaints.append(Wrong(error.info.message))
    answers.send((complaints, reads_lines))


def _check(question: Question, checks: Sequence[Check], loaded: bool, answers: Connection) -> None:
    set_signals_of_child()
    try:
        engine = make_engine(question.engine, question.settings)
        if loaded:
            load_engine(engine)
    except OcrQueueError as error:
        for _ in checks:
            answers.send([Wrong(f"{_LOAD}: {error.info.message}")])
        return
    for check in checks:
        answers.send(_complaints(check, engine, question))


def _complaints(check: Check, engine: Engine[Any], question: Question) -> list[Complaint]:
    found: list[Complaint] = []
    try:
        found += check.run(engine, question)
    except OcrQueueError as error:
        found.append(Wrong(error.info.message))
    except BaseException as error:
        found.append(broke_off("the engine", error))
    return found


def _left_out(check: Check, why: str) -> Finding:
    return Finding(check.name, check.about, "left out", (why,))
