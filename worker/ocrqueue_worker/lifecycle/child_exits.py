"""A prefork worker replaces a child as soon as it has ended.

Celery's pool hears of an end by a pipe that the child holds. The system closes that before the process can be waited
for (close in exit_files(), which comes before exit_notify(), of Linux's do_exit()). Where the pool is quick, it finds
the child alive, and looks again five seconds later.
"""

from __future__ import annotations

from typing import Any, Final

from celery.concurrency import asynpool, prefork

_LOOK_AFTER_S: Final = (0.02, 0.1, 0.5, 2.0)


class PromptPool(asynpool.AsynPool):  # type: ignore[misc]  # celery has no types
    """Celery's own, but that it looks again a little later."""

    def _event_process_exit(self, hub: Any, process: Any) -> None:
        super()._event_process_exit(hub, process)
        for seconds in _LOOK_AFTER_S:
            hub.call_later(seconds, self.maintain_pool)


def replace_children_promptly() -> None:
    """For the pool that this process makes from now on."""
    prefork.TaskPool.Pool = PromptPool
