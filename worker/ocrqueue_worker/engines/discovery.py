"""Finding engines: by entry point, so that an engine of one's own is a plug-in like those that come along."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ocrqueue.errors import EngineUnavailable, EngineUnknown
from ocrqueue.job.names import AUTO
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.asking import asking, author_remedy, fault
from ocrqueue_worker.engines.declaration import declaration_complaints
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.limits.process_end import MUST_PASS

GROUP = "ocrqueue.engines"


def engine_names() -> list[str]:
    """The engines installed here. None can have the name `auto`."""
    return sorted({point.name for point in _installed()} - {AUTO})


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """To look opens a file of every package in the environment: 10 ms and more, and each job asks."""
    return tuple(entry_points(group=GROUP))


def engine_point(name: str) -> EntryPoint:
    """Where the engine is, which is not imported. Raises EngineUnknown."""
    found = next((point for point in _installed() if point.name == name and name != AUTO), None)
    if found is None:
        raise EngineUnknown(f"No engine {name!r} is installed here; installed: {', '.join(engine_names())}.")
    return found


def engine_class(name: str) -> type[Engine[Any]]:
    """Raises EngineUnknown, or EngineUnavailable where its module cannot be imported."""
    found = engine_point(name)
    try:
        cls = found.load()
    except ImportError as error:
        raise EngineUnavailable(f"Engine {name!r} cannot be imported: {error}.") from error
    except MUST_PASS:
        raise
    except BaseException as error:
        raise EngineUnavailable(
            f"Engine {name!r} cannot be imported: {found.value} raised {fault(error)}.",
            remedy=author_remedy(name),
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Engine)):
        raise EngineUnavailable(f"{found.value} is not an Engine.", remedy=author_remedy(name))
    return cls


def make_engine(name: str, settings: WorkerSettings) -> Engine[Any]:
    """The engine, not yet loaded. Raises EngineUnknown, EngineUnavailable."""
    cls = engine_class(name)
    if (complaint := next(declaration_complaints(cls, name), None)) is not None:
        raise EngineUnavailable(f"Engine {name!r} is not complete: {complaint}", remedy=author_remedy(name))
    with asking(name, f"{cls.__name__}()"):
        return cls(settings)


def load_engine(engine: Engine[Any]) -> None:
    """Raises OcrQueueError."""
    with asking(engine.name, "load()"):
        engine.load()
