"""What is asked of an engine, and one that is there to be asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engine_contract.findings import Complaint
from ocrqueue_worker.engines.engine import Engine, Reading


@dataclass(frozen=True)
class Question:
    """`options` are those that the engine cannot do without; `languages` empty: one that it says it reads, or eng."""

    engine: str
    settings: WorkerSettings
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    seconds: float = 120.0
    """That one check may take."""
    imported: frozenset[str] = field(default_factory=lambda: frozenset(sys.modules))
    """Modules that were there before the engine was looked at."""

    def languages_of(self, engine: Engine[Any]) -> tuple[str, ...]:
        known = engine.languages()
        return self.languages or (("eng",) if "eng" in known or not known else known[:1])

    def reading(self, engine: Engine[Any], deadline: float = float("inf")) -> Reading[Any]:
        return Reading(self.languages_of(engine), engine.parse_options(self.options), deadline)


@dataclass(frozen=True)
class Check:
    """`run` is given the engine, loaded unless `before_load`, in a process of its own."""

    name: str
    about: str
    run: Callable[[Engine[Any], Question], Iterator[Complaint]]
    before_load: bool = False
    of_lines: bool = False
    """Only of engines that read single lines."""
