"""Groups: several jobs that travel in one message, so that their pages go through the engine together.

A group is a way of transport, for the first delivery only. Each job has its record, and an end of its own; whatever
delivers it again, or tries it again, does so with a message of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from ocrqueue.errors import JobMalformed
from ocrqueue.job import Job

MOST_JOBS: Final = 64
"""In one group."""
_IN_COMMON: Final = ("engine", "priority", "languages", "options", "time_limit_s")
_MOST_BYTES: Final = 256 * 1024
"""Of a group's jobs as JSON: with the quoting in an envelope, at most half of what workers take as a message."""


def check_group_size(size: int) -> None:
    """Raises JobMalformed."""
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST_JOBS:
        raise JobMalformed(f"A group has 1 to {MOST_JOBS} jobs.")


def same_kind(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether jobs can be in one group, as their messages tell: with any of this different they could not be read
    together."""
    return all(one.get(field) == other.get(field) for field in _IN_COMMON)


def _kind(job: Job) -> str:
    message = job.to_message()
    return json.dumps([message.get(field) for field in _IN_COMMON], sort_keys=True)


def group_numbers(jobs: Sequence[Job], sizes_bytes: Sequence[int], size: int) -> list[int]:
    """For each job the number of its group, from 1 in the order of their first jobs; 0 for all where `size` is 1.

    So it is for a job with a route, which may have to go on to another engine than its neighbours. `sizes_bytes` are
    those of the jobs' JSON. A group has at most `size` jobs of one kind; between them there may be
    jobs of other kinds.
    """
    if size == 1:
        return [0] * len(jobs)
    groups: list[list[int]] = []
    open_groups: dict[str, list[int]] = {}
    for position, job in enumerate(jobs):
        if job.options_by_engine:
            continue
        of_kind = _kind(job)
        members = open_groups.get(of_kind, [])
        if not members or len(members) == size or _bytes(members, sizes_bytes) + sizes_bytes[position] > _MOST_BYTES:
            members = open_groups[of_kind] = []
            groups.append(members)
        members.append(position)
    numbers = [0] * len(jobs)
    for number, members in enumerate(groups, 1):
        for position in members:
            numbers[position] = number
    return numbers


def _bytes(members: Sequence[int], sizes_bytes: Sequence[int]) -> int:
    return sum(sizes_bytes[position] for position in members)
