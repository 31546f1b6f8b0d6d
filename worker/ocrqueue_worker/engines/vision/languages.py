"""The languages that Google Cloud Vision reads, by their names here and as its `languageHints`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ocrqueue.errors import LanguageUnsupported
from ocrqueue.job.language_tags import TAGS, name_of

__all__ = ["HINTS", "check_languages", "hints_for", "name_of"]

HINTS: Final = TAGS
"""Name here -> BCP-47."""


def check_languages(languages: Iterable[str]) -> None:
    """Raises LanguageUnsupported for the first that Google does not read."""
    for language in languages:
        if language not in HINTS:
            raise LanguageUnsupported(
                f"Google Cloud Vision does not read {language[:40]!r}.",
                remedy="Name a language of the list in docs/engines.md, such as eng, kor or chi_sim.",
            )


def hints_for(languages: Iterable[str]) -> list[str]:
    """BCP-47 codes. Raises KeyError for what check_languages() refuses."""
    return [HINTS[language] for language in languages]
