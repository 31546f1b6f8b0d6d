"""Whether Celery's pool replaces this child after its job, for the memory that it has had."""

from __future__ import annotations

import resource
from typing import Final

from billiard import current_process


class ChildMemory:
    """The limit of the pool: Celery's `worker_max_memory_per_child`."""

    def __init__(self) -> None:
        self.most_kib = 0
        """0: no limit. Set before children are forked."""

    def is_exceeded(self) -> bool:
        """The pool looks at the same number after the job: the most that the child has had resident at a time."""
        if not self.most_kib or not current_process().daemon:
            return False
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > self.most_kib


CHILD_MEMORY: Final = ChildMemory()
"""That of this process, and of the children that it forks."""
