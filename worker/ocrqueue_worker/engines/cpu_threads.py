"""How many threads a worker child computes with: by what its container may use, not by what the machine has."""

from __future__ import annotations

from billiard import current_process
from celery import current_app

from ocrqueue_worker.limits.cpus import usable_cores


def threads_of_child(setting: int, children: int) -> int:
    """`setting`, or where that is 0 this process's cores, by affinity and cgroup quota, over `children`.

    At least 1.
    """
    return setting or max(1, usable_cores() // children)


def children_of_worker() -> int:
    """Processes of this worker's pool, this one included; 1 outside of a pool.

    Celery tells its children only what stands in its configuration: the worker writes `worker_concurrency` there at
    its start.
    """
    if not current_process().daemon:
        return 1
    configured = current_app.conf.worker_concurrency
    return configured if isinstance(configured, int) and configured > 0 else 1
