"""Whether an engine reads the languages of a job, as far as that can be told before a worker has it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from ocrqueue.errors import LanguageUnsupported, SettingsInvalid
from ocrqueue.job import Job
from ocrqueue.job.names import ENGINE_NAME
from ocrqueue.routing.engine_status import EnginesNow

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

_SHOWN: Final = 6
_ENGINE: Final = re.compile(ENGINE_NAME)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine makes of a job's languages.

    "yes" where nothing is known against it; "not now": its live workers lack a language that others may have; "never".
    """

    reads: Literal["yes", "not now", "never"]
    languages: tuple[str, ...] = ()
    """That it reads, where it does not read all of the job's."""
    missing: str = ""
    """The first language of the job that it does not read."""
    announced: bool = True
    """Whether live workers say so, or the setting engine_languages."""

    def __str__(self) -> str:
        return f"reads {shortened(self.languages)} only"


def abilities(engine: str, languages: Sequence[str], installation: EnginesNow, settings: ClientSettings) -> Abilities:
    """By what the engine's live workers announce; without any, by the setting engine_languages.

    Raises SettingsInvalid.
    """
    stated = stated_languages(settings.engine_languages)
    offers = installation[engine].offers if engine in installation else ()
    if not offers:
        known = stated.get(engine, ())
        missing = _missing(languages, known)
        return Abilities("never", known, missing, announced=False) if known and missing else Abilities("yes")
    if any(not offer.languages or not _missing(languages, offer.languages) for offer in offers):
        return Abilities("yes")
    known = tuple(dict.fromkeys(language for offer in offers for language in offer.languages))
    # what is missing at each of several workers need not be missing at all of them
    missing = _missing(languages, known) or languages[0]
    return Abilities("never" if any(offer.fixed_languages for offer in offers) else "not now", known, missing)


def check_languages(job: Job, installation: EnginesNow, settings: ClientSettings) -> None:
    """Raises LanguageUnsupported where the job's engine can never read all of its languages, SettingsInvalid."""
    found = abilities(job.engine, job.languages, installation, settings)
    if found.reads == "never":
        raise unsupported(job.engine, found)


def unsupported(engine: str, found: Abilities) -> LanguageUnsupported:
    """For an engine that the job names."""
    source = "" if found.announced else " by OCRQUEUE_ENGINE_LANGUAGES, as no worker of it is up to ask"
    meant = next((name for name in found.languages if name.casefold() == found.missing.casefold()), None)
    return LanguageUnsupported(
        f"{engine} reads {shortened(found.languages)}{source}, and not {found.missing[:40]!r}.",
        remedy=f"Name the language {meant!r}." if meant else None,
        engine=engine,
        languages=list(found.languages),
    )


@lru_cache(maxsize=8)
def stated_languages(setting: str) -> Mapping[str, tuple[str, ...]]:
    """The setting engine_languages, `keras=eng,other=eng+kor`, by engine. Raises SettingsInvalid."""
    stated: dict[str, tuple[str, ...]] = {}
    for part in filter(None, map(str.strip, setting.split(","))):
        engine, _, languages = (text.strip() for text in part.partition("="))
        named = tuple(filter(None, map(str.strip, languages.split("+"))))
        if not _ENGINE.fullmatch(engine) or not named:
            raise SettingsInvalid(f"engine_languages: {part[:40]!r} is not of the form keras=eng or other=eng+kor.")
        stated[engine] = named
    return stated


def shortened(languages: Sequence[str]) -> str:
    """`eng, kor and 97 more`."""
    shown = [language[:40] for language in languages[:_SHOWN]]
    more = len(languages) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _missing(languages: Sequence[str], known: Sequence[str]) -> str:
    """The first that is not known; empty if all are."""
    return next((language for language in languages if language not in known), "")
