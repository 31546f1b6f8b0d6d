"""Whether something may be removed from storage: an uploaded image, to which jobs may refer, or what a job has stored.

The answer is a claim: while it holds no job begins to refer to the image, and none of that id takes what is stored for
its own. Who asks removes it within the block, and looks at in_time() before each request that deletes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ocrqueue.core.registry import Registry
from ocrqueue.errors import BrokerUnavailable

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

MOST_AT_ONCE: Final = 100
"""Images and jobs in one claim, so that none holds Redis up for long."""
_SPARE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Removal:
    """What is the caller's to remove."""

    inputs: tuple[str, ...]
    """Names of images: their keys are `inputs/<name>`."""
    job_ids: tuple[str, ...]
    """Jobs that lose all that is stored."""
    with_leftovers: tuple[str, ...]
    """Jobs that lose what their result does not name."""
    _last_request_at: float

    def in_time(self) -> bool:
        """Whether a request that is sent now is answered while the claim holds."""
        return time.monotonic() < self._last_request_at


@contextmanager
def removal(
    registry: Registry,
    inputs: Sequence[tuple[str, str]] = (),
    job_ids: Sequence[str] = (),
    with_leftovers: Sequence[str] = (),
) -> Iterator[Removal]:
    """Claim what nobody refers to, some 100 things at most, for as long as the block lasts.

    `inputs`: names of uploaded images, each with the id of a job whose reference to it ends now, or "".
    `job_ids`: jobs without a record, of which all that is stored is to go. `with_leftovers`: jobs that are known
    to have some. Raises BrokerUnavailable.
    """
    token, request_s = uuid.uuid4().hex, _longest_request_s(registry.settings)
    began = time.monotonic()
    arguments = registry.arguments.claim_removal(token, _SPARE_S + request_s, inputs, job_ids, with_leftovers)
    names = [*(name for name, _ in inputs), *job_ids, *with_leftovers]
    ours = [bool(answer) for answer in registry.run("claim_removal", arguments)]
    claimed = [name for name, is_ours in zip(names, ours, strict=True) if is_ours]
    asked = [*("input" for _ in inputs), *("job" for _ in job_ids), *("leftovers" for _ in with_leftovers)]

    def claimed_as(kind: str) -> tuple[str, ...]:
        return tuple(name for name, of, is_ours in zip(names, asked, ours, strict=True) if is_ours and of == kind)

    try:
        yield Removal(claimed_as("input"), claimed_as("job"), claimed_as("leftovers"), began + _SPARE_S)
    finally:
        if claimed:
            # it ends by itself in a while
            with suppress(BrokerUnavailable):
                registry.run("end_removal", registry.arguments.end_removal(token, claimed))


def needed_results(registry: Registry, job_ids: Sequence[str]) -> set[str]:
    """Those of the jobs that have a record: what they have stored would not be claimed. Asks, and claims nothing."""
    with registry.errors(), registry.client.pipeline(transaction=False) as pipeline:
        for job_id in job_ids:
            pipeline.exists(registry.keys.record(job_id))
        found = pipeline.execute()
    return {job_id for job_id, has_record in zip(job_ids, found, strict=True) if has_record}


def needed_inputs(registry: Registry, names: Sequence[str]) -> set[str]:
    """Those of the images that a job refers to."""
    with registry.errors():
        seconds, _ = registry.client.time()
        with registry.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.zrangebyscore(registry.keys.input(name), f"({seconds * 1000}", "+inf", 0, 1)
            found = pipeline.execute()
    return {name for name, referring in zip(names, found, strict=True) if referring}


def _longest_request_s(settings: ClientSettings) -> float:
    return settings.s3_timeout_s * settings.s3_attempts + _SPARE_S
