"""What can be watched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ocrqueue.errors import ErrorInfo
from ocrqueue.submitting.image_input import ImageInput


@dataclass(frozen=True, slots=True)
class Found:
    """A file or an object, as it was seen."""

    name: str
    """Within what is watched."""
    state: str
    """What it is at this moment: it changes with every change of the file."""


class Place(Protocol):
    """A folder, or a prefix of a bucket."""

    @property
    def shown(self) -> str:
        """What it is called."""

    @property
    def settles(self) -> bool:
        """Whether something can be there before it is whole."""

    def found(self) -> Iterator[Found]:
        """What lies there, in no certain order, without what was moved away. Raises OcrQueueError, OSError."""

    def opened(self, found: Found) -> AbstractContextManager[ImageInput]:
        """What is to be submitted for it. Raises OcrQueueError, OSError."""

    def move(self, found: Found, job_id: str, failure: ErrorInfo | None) -> bool:
        """Away to where it belongs once its job has ended; where that failed, with the reason beside it.

        False where it is not what it was any more: it stays. Raises OcrQueueError, OSError.
        """


def idempotency_key(place: Place, found: Found) -> str:
    """The same for the same file in the same state, whoever looks."""
    what = json.dumps([place.shown, found.name, found.state])
    return f"watched-{hashlib.sha256(what.encode(errors='surrogatepass')).hexdigest()}"


def reason(failure: ErrorInfo, job_id: str) -> str:
    """What is written beside a file that was set aside."""
    lines = [f"{failure.code}: {failure.message}", failure.remedy, f"job {job_id}" if job_id else ""]
    return "".join(f"{line}\n" for line in lines if line)
