"""What a worker's engines offer at this moment: language packs come and go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ocrqueue.core import EngineOffer
from ocrqueue.errors import LanguageMissing, OcrQueueError
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.access.troubles import Troubles
from ocrqueue_worker.engines.asking import asking, info_of
from ocrqueue_worker.engines.engine import Engine

MakeEngine = Callable[[str], Engine[Any]]
"""An engine that is not loaded. Raises EngineUnavailable."""


class Offers:
    """The offers of one worker."""

    def __init__(self, names: Sequence[str], make: MakeEngine, settings: WorkerSettings) -> None:
        self._names = names
        self._make = make
        self._settings = settings
        self._engines: dict[str, Engine[Any]] = {}
        self._known: dict[str, EngineOffer] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the engines that the worker was started for."""
        return tuple(self._names)

    def now(self) -> tuple[EngineOffer, ...]:
        """As they were when they were last looked at."""
        return tuple(self._known.values())

    def look(self, troubles: Troubles) -> None:
        """Look at the engines, and note those that cannot read."""
        for name in self._names:
            try:
                engine = self._engines.get(name) or self._make(name)
            except OcrQueueError as error:
                troubles.note(_about(name), error, engine=name)
                continue
            self._engines[name] = engine
            try:
                self._look_at(engine)
            except OcrQueueError as error:
                troubles.note(_about(name), error, engine=name)
                continue
            self._look_at_languages(engine, troubles)

    def _look_at(self, engine: Engine[Any]) -> None:
        with asking(engine.name, "languages()"):
            languages = engine.languages()
        if engine.name not in self._known or self._known[engine.name].languages != languages:
            with asking(engine.name, "info()"):
                self._known[engine.name] = _offer(engine, languages)

    def _look_at_languages(self, engine: Engine[Any], troubles: Troubles) -> None:
        try:
            with asking(engine.name, "check_any_language()"):
                engine.check_any_language()
        except OcrQueueError as error:
            troubles.note(_about(engine.name), error, engine=engine.name)
            return
        try:
            with asking(engine.name, "check_languages()"):
                engine.check_languages(self._settings.default_languages)
        except LanguageMissing as error:
            # others are read all the same
            troubles.note(_about(engine.name), error, engine=engine.name, stops=False)
            return
        except OcrQueueError:
            pass
        troubles.note(_about(engine.name), None)


def _about(engine: str) -> str:
    return f"languages of {engine}"


def _offer(engine: Engine[Any], languages: tuple[str, ...]) -> EngineOffer:
    return EngineOffer(
        languages=languages,
        fixed_languages=engine.fixed_languages,
        reads_lines=engine.reads_lines,
        **info_of(engine, languages).model_dump(),
    )
