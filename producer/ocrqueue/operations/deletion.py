"""Removing what deleted jobs have in storage: their results and crops, and images that no other job refers to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from ocrqueue.core import Registry
from ocrqueue.core.removal import Removal, removal
from ocrqueue.errors import StorageNotFound
from ocrqueue.job import JOB_ID
from ocrqueue.storage import Storage

_THREADS: Final = 8


def remove_stored(registry: Registry, storage: Storage, jobs: Sequence[tuple[str, str | None]]) -> None:
    """Of at most 100 jobs that were deleted, each with the name of its uploaded image.

    Raises StorageUnavailable, StorageDenied, BrokerUnavailable: then a worker does it in a while. So it is with what
    somebody else is removing at this moment.
    """
    inputs = [(name, job_id) for job_id, name in jobs if name]
    with removal(registry, inputs, [job_id for job_id, _ in jobs]) as ours:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="ocrqueue-delete") as pool:
            for _ in pool.map(lambda job_id: _remove_results(storage, ours, job_id), ours.job_ids):
                pass
        if ours.inputs and ours.in_time():
            with suppress(StorageNotFound):
                storage.delete([f"inputs/{name}" for name in ours.inputs])
        if ours.in_time():
            removed = [(job_id, name) for job_id, name in jobs if job_id in ours.job_ids]
            if removed:
                registry.forget_deleted(removed)


def _remove_results(storage: Storage, ours: Removal, job_id: str) -> None:
    if re.fullmatch(JOB_ID, job_id) and ours.in_time():
        with suppress(StorageNotFound):
            storage.delete_prefix(f"results/{job_id}")
