"""Locales as Azure has them, by BCP 47, and the names that languages have here."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from ocrqueue.job.language_tags import TAGS, asked_name_of, tag_of

_AZURES: Final = MappingProxyType({"iw": "he"})
"""Where the other tag is Google's own."""


def locale_of(language: str) -> str:
    """Of a name here; `und` where there is none."""
    tag = tag_of(language)
    return _AZURES.get(tag, tag)


def language_of(locale: str) -> str | None:
    """The name here of `en` or `en-US`; None where there is none."""
    name = asked_name_of(locale.replace("_", "-"))
    return name if name in TAGS else None
