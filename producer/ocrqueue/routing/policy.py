"""The route of a job: with `auto` by the setting auto_policy, else as the job asks. Pure, over values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

from ocrqueue.errors import EngineUnknown, LanguageUnsupported, SettingsInvalid
from ocrqueue.job import Job
from ocrqueue.job.names import AUTO, ENGINE_NAME
from ocrqueue.job.route import MOST_ENGINES, Route
from ocrqueue.routing.engine_status import EnginesNow, EngineStatus
from ocrqueue.routing.languages import abilities, unsupported

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

_LONGEST_REASON: Final = 1000
_ENGINE: Final = re.compile(ENGINE_NAME)


def make_route(job: Job, settings: ClientSettings, installation: EnginesNow) -> Job:
    """The job with its `route`, and `engine` the first of it; unchanged where it does not want one.

    auto: of the engines in auto_engines those that read all the languages, less those that are paused or without a live
    worker if another is not; auto_policy says which is first, and those after it in auto_engines follow, or the job's
    `fallback`.
    fallback: as asked, less those after the first that cannot read the languages. compare: as asked.

    Raises LanguageUnsupported, EngineUnknown for a name that no setting and no live worker knows, SettingsInvalid.
    """
    if not job.wants_route:
        return job
    if job.compare:
        route = _comparison(job, settings, installation)
    elif job.engine == AUTO:
        route = _choice(job, settings, installation)
    else:
        route = _chain(job, settings, installation)
    return job.model_copy(update={"engine": route.engine, "route": route})


def check_known(engine: str, settings: ClientSettings, installation: EnginesNow) -> None:
    """Raises EngineUnknown where neither a setting nor a live worker names it."""
    if not _is_known(engine, settings, installation):
        known = {*settings.engines, *(name for name, status in installation.items() if status.workers)}
        raise unknown_engine(engine, known)


def unknown_engine(engine: str, known: Iterable[str]) -> EngineUnknown:
    """The error for an engine that is none of those that are known."""
    return EngineUnknown(f"No engine {engine!r}; known: {', '.join(sorted({*known} - {AUTO}))}.")


def _is_known(engine: str, settings: ClientSettings, installation: EnginesNow) -> bool:
    return engine in settings.engines or bool(_status(engine, installation).workers)


def _status(engine: str, installation: EnginesNow) -> EngineStatus:
    return installation.get(engine) or EngineStatus(name=engine)


@dataclass
class _Candidates:
    """Engines in question, and why others are not."""

    able: list[str]
    left_out: dict[str, str] = field(default_factory=dict)

    def leave_out(self, engine: str, reason: str) -> None:
        self.able.remove(engine)
        self.left_out[engine] = reason

    def reason(self, chosen: str) -> str:
        parts = [chosen, *(f"{engine} left out: {why}" for engine, why in self.left_out.items())]
        return "; ".join(parts)[:_LONGEST_REASON]


def _comparison(job: Job, settings: ClientSettings, installation: EnginesNow) -> Route:
    for engine in job.compare:
        check_known(engine, settings, installation)
        found = abilities(engine, job.languages, installation, settings)
        if found.reads == "never":
            raise unsupported(engine, found)
    reason = f"{', '.join(job.compare[:-1])} and {job.compare[-1]}, as asked"
    return Route(asked=job.engine, mode="compare", engines=job.compare, reason=reason)


def _chain(job: Job, settings: ClientSettings, installation: EnginesNow) -> Route:
    check_known(job.engine, settings, installation)
    first = abilities(job.engine, job.languages, installation, settings)
    if first.reads == "never":
        raise unsupported(job.engine, first)
    rest = _readers(job.fallback, job, settings, installation)
    engines = (job.engine, *rest.able)
    return Route(asked=job.engine, engines=engines, reason=rest.reason(f"{', then '.join(engines)}, as asked"))


def _readers(engines: Sequence[str], job: Job, settings: ClientSettings, installation: EnginesNow) -> _Candidates:
    """Of the fallback that the job asks for."""
    found = _Candidates(list(engines))
    for engine in engines:
        check_known(engine, settings, installation)
        ability = abilities(engine, job.languages, installation, settings)
        if ability.reads == "never":
            found.leave_out(engine, str(ability))
    return found


def _choice(job: Job, settings: ClientSettings, installation: EnginesNow) -> Route:
    candidates = _candidates(job, settings, installation)
    first, why = _first(candidates.able, job, settings, installation)
    following = candidates.able[candidates.able.index(first) + 1 :]
    if job.fallback:
        asked = _readers([engine for engine in job.fallback if engine != first], job, settings, installation)
        following = asked.able
        candidates.left_out |= asked.left_out
        why += f"; {', then '.join(following) or 'none'} after it, as asked"
    engines = (first, *following)[:MOST_ENGINES]
    return Route(asked=AUTO, engines=engines, reason=candidates.reason(why))


def _candidates(job: Job, settings: ClientSettings, installation: EnginesNow) -> _Candidates:
    """Those of auto_engines that can have the job, in this order; one at least. Raises LanguageUnsupported."""
    found = _Candidates(_auto_engines(settings))
    abilities_of = {
        engine: abilities(engine, job.languages, installation, settings) for engine in settings.auto_engines
    }
    for engine in found.able.copy():
        if not _is_known(engine, settings, installation):
            found.leave_out(engine, "not known here")
        elif abilities_of[engine].reads == "never":
            found.leave_out(engine, str(abilities_of[engine]))
    if not found.able:
        raise LanguageUnsupported(
            f"No engine of auto can read {'+'.join(job.languages)[:80]}: "
            f"{'; '.join(f'{engine} {why}' for engine, why in found.left_out.items())[:_LONGEST_REASON]}.",
            remedy="Add an engine that reads them to OCRQUEUE_AUTO_ENGINES; `ocrqueue engines` lists their languages.",
        )
    lacking = {engine: str(abilities_of[engine]) for engine in found.able if abilities_of[engine].reads == "not now"}
    on_demand = settings.engines_on_demand
    alive = {engine for engine in found.able if _status(engine, installation).takes_jobs or engine in on_demand}
    if alive - set(lacking):
        for engine, why in lacking.items():
            found.leave_out(engine, why)
    if alive:
        for engine in [engine for engine in found.able if engine not in alive]:
            found.leave_out(engine, "no live worker")
    _leave_out_paused(found, installation)
    return found


def _leave_out_paused(found: _Candidates, installation: EnginesNow) -> None:
    """Unless all are."""
    paused = [engine for engine in found.able if _status(engine, installation).paused]
    if len(paused) < len(found.able):
        for engine in paused:
            found.leave_out(engine, "paused")


def _auto_engines(settings: ClientSettings) -> list[str]:
    engines = settings.auto_engines
    if not engines or len(set(engines)) != len(engines):
        raise SettingsInvalid("auto_engines must name at least one engine, and each only once.")
    for engine in engines:
        if engine == AUTO or not _ENGINE.fullmatch(engine):
            raise SettingsInvalid(f"auto_engines: {engine[:40]!r} is not an engine's name.")
    return list(engines)


def _first(able: list[str], job: Job, settings: ClientSettings, installation: EnginesNow) -> tuple[str, str]:
    """The one that is asked first, and why. Where the policy makes no difference, the order does."""
    languages = "+".join(job.languages)[:80]
    if len(able) == 1:
        return able[0], f"{able[0]}: the only one{' left' if len(settings.auto_engines) > 1 else ''} of auto's engines"
    match settings.auto_policy:
        case "shortest":
            seconds = {engine: _seconds_before(_status(engine, installation), job) for engine in able}
            first = min(able, key=lambda engine: (*seconds[engine], able.index(engine)))
            told = ", ".join(f"{engine} {_wait(*seconds[engine])}" for engine in able)
            return first, f"{first} first: the shortest queue of those that read {languages} ({told})"
        case "cheapest":
            cost = settings.engine_page_cost
            first = min(able, key=lambda engine: (cost.of(engine), able.index(engine)))
            told = ", ".join(f"{engine} {cost.of(engine) / 100:.2f}" for engine in able)
            return first, f"{first} first: the cheapest of those that read {languages} (1,000 pages: {told})"
        case "order":
            return able[0], f"{able[0]} first: the first of {', '.join(able)} that reads {languages}"


def _seconds_before(status: EngineStatus, job: Job) -> tuple[float, int]:
    """Until the jobs ahead of this one should have ended, and how many these are."""
    ahead = status.waiting_before(job.priority)
    if not ahead:
        return 0.0, 0
    return ahead / status.jobs_per_minute * 60 if status.jobs_per_minute else inf, ahead


def _wait(seconds: float, jobs: int) -> str:
    return f"{jobs} ahead" if seconds in (0.0, inf) else f"{jobs} ahead, {seconds:.0f} s"
