"""What is asked of Redis in several steps, the same for the blocking and the asyncio client.

A generator yields requests and is sent their answers; each client has a loop of its own that answers them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ocrqueue.core.registry import Registry
from ocrqueue.core.script_arguments import Arguments


@dataclass(frozen=True, slots=True)
class Move:
    """One of the scripts."""

    name: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Commands:
    """Plain commands in one round trip; the answer is a list of theirs."""

    commands: Sequence[tuple[str | bytes | int | float, ...]]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let others have their turn for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """What blocks and is no business of Redis, such as a question to storage; the answer is what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Await:
    """What a callback of an app has returned to be awaited: with asyncio alone."""

    awaitable: Awaitable[None]


Request = Move | Commands | Sleep | Call | Await
Result = TypeVar("Result")
Steps = Generator[Request, Any, Result]


def run_steps(registry: Registry, steps: Steps[Result]) -> Result:
    """Answer the requests until the generator returns. What fails is raised in it, and from here."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            request = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # it is what the generator returns
        try:
            answer, error = _answer(registry, request), None
        except BaseException as raised:
            error = raised


def _answer(registry: Registry, request: Request) -> Any:
    match request:
        case Move(name, arguments):
            return registry.run(name, arguments)
        case Commands(commands):
            with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
                return pipeline.execute()
        case Sleep(seconds):
            time.sleep(seconds)
            return None
        case Call(function):
            return function()
        case Await():
            raise TypeError("on_progress is awaited by AsyncOcrQueue alone")
