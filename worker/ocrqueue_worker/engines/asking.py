"""Asking an engine, which may be anybody's: what it raises by mistake becomes an error that its author can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import structlog
from pydantic import ValidationError

from ocrqueue.document import EngineInfo
from ocrqueue.errors import EngineUnavailable, OcrQueueError
from ocrqueue.job import Job, describe_validation_error
from ocrqueue_worker.engines.engine import Engine
from ocrqueue_worker.limits.process_end import MUST_PASS
from ocrqueue_worker.limits.resource_errors import exhaustion

_log = structlog.get_logger(__name__)

_OF_CODE: Final = (AttributeError, ImportError, NameError, NotImplementedError)
"""What these say is of the program alone, and of no image."""
_MOST: Final = 200


def fault(error: BaseException) -> str:
    """The kind of an exception, with what it says where that cannot hold anything of an image."""
    kind = type(error).__name__
    if isinstance(error, ValidationError):
        return f"{kind} of {error.title[:40]} ({describe_validation_error(error).removesuffix('.')})"
    said = " ".join(str(error).split())[:_MOST] if isinstance(error, _OF_CODE) else ""
    return f"{kind} ({said})" if said else kind


@contextmanager
def asking(engine: str, call: str) -> Iterator[None]:
    """Around a call that says what an engine is or can: raises EngineUnavailable in place of what is unexpected."""
    try:
        yield
    except (OcrQueueError, *MUST_PASS):
        raise
    except BaseException as error:
        if (ran_out := exhaustion(error)) is not None:
            raise ran_out from error
        _log.exception("engine raised an exception", engine=engine, call=call)
        raise EngineUnavailable(f"{engine}: {call} raised {fault(error)}.", remedy=author_remedy(engine)) from error


def parsed_options(engine: Engine[Any], job: Job) -> Any:
    """Raises OptionUnknown, OptionInvalid, EngineUnavailable."""
    with asking(engine.name, "parse_options()"):
        return engine.parse_options(job.engine_options)


def accepted_options(engine: Engine[Any], job: Job) -> Any:
    """Those of a job that the engine can read. Raises as parsed_options(), LanguageMissing and LanguageUnsupported."""
    options = parsed_options(engine, job)
    with asking(engine.name, "check_languages()"):
        engine.check_languages(job.languages)
    return options


def may_prepare(engine: Engine[Any], options: Any) -> bool:
    """Raises EngineUnavailable."""
    with asking(engine.name, "may_prepare()"):
        return bool(engine.may_prepare(options))


def longest_side(engine: Engine[Any], options: Any) -> int | None:
    """Raises EngineUnavailable."""
    with asking(engine.name, "longest_side()"):
        return _count(engine.name, "longest_side()", engine.longest_side(options))


def concurrency(engine: Engine[Any]) -> int | None:
    """Raises EngineUnavailable."""
    with asking(engine.name, "concurrency()"):
        return _count(engine.name, "concurrency()", engine.concurrency())


def _count(engine: str, call: str, stated: object) -> int | None:
    if stated is None or (isinstance(stated, int) and not isinstance(stated, bool) and stated >= 1):
        return stated
    raise EngineUnavailable(
        f"{engine}: {call} returned {repr(stated)[:40]}, and neither None nor a whole number from 1 on.",
        remedy=author_remedy(engine),
    )


def author_remedy(engine: str) -> str:
    return f"The engine's author must correct it: `ocrqueue-worker engine check {engine}` says what is wrong."


def info_of(engine: Engine[Any], languages: Sequence[str]) -> EngineInfo:
    """Raises EngineUnavailable, and what info() raises on purpose."""
    with asking(engine.name, "info()"):
        info = engine.info(languages)
    if not isinstance(info, EngineInfo) or info.name != engine.name:
        returned = f"the name {info.name[:40]!r}" if isinstance(info, EngineInfo) else f"a {type(info).__name__[:40]}"
        raise EngineUnavailable(f"{engine.name}: info() returned {returned}.", remedy=author_remedy(engine.name))
    return info
