"""How a result is to be shown, kept in its id: whoever asks for it later need not say it again, and nothing is stored.

The id of a result is its job's, a UUID of version 7. In the place of the digit that says so stands a number for what
the request asked for beside the job; 7 stands for what Azure does where nothing is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Final, get_args

from ocrqueue_gateway.clouds.azure_read.models import ContentFormat, StringIndexType

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PLACE: Final = 14
_VERSION: Final = 7
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Presentation:
    string_index_type: StringIndexType = "textElements"
    content_format: ContentFormat = "text"
    with_languages: bool = False


_ALL: Final = tuple(
    Presentation(kind, content_format, with_languages)
    for kind, content_format, with_languages in product(
        get_args(StringIndexType), get_args(ContentFormat), (False, True)
    )
)


def result_id(job_id: str, shown: Presentation) -> str:
    """`job_id` as ocrqueue.job.new_job_id makes it."""
    digit = (_VERSION + _ALL.index(shown)) % _DIGITS
    return f"{job_id[:_PLACE]}{digit:x}{job_id[_PLACE + 1 :]}"


def job_of(result: str) -> tuple[str, Presentation] | None:
    """The job's id; None for what is no id of a result."""
    result = result.lower()
    if not _UUID.fullmatch(result):
        return None
    number = (int(result[_PLACE], _DIGITS) - _VERSION) % _DIGITS
    if number >= len(_ALL):
        return None
    return f"{result[:_PLACE]}{_VERSION:x}{result[_PLACE + 1 :]}", _ALL[number]
