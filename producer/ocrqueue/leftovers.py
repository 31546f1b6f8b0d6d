"""What attempts at jobs have stored that no result names, removed once the jobs have ended.

Redis keeps the ids of jobs that had begun and ended without a result, whoever ended them: the step that ends a job asks
no storage. Who reclaims for all removes what they left, each job's once or twice: several who do so do no harm.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Final

from ocrqueue.core import WorkerRegistry
from ocrqueue.core.removal import removal
from ocrqueue.document import Document, stored_document
from ocrqueue.errors import OcrQueueError, ResultUnreadable, StorageDenied, StorageNotFound, StorageUnavailable
from ocrqueue.job import JOB_ID
from ocrqueue.operations.deletion import remove_stored
from ocrqueue.settings import ClientSettings
from ocrqueue.storage import Storage, open_storage

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 100
_PAUSE_S: Final = 10.0
"""After storage, or Redis, did not do its part."""


class Tidying:
    """Removes in a thread of its own, which is there while there is something: slow storage holds up nothing else."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._not_before = 0.0

    def ask(self) -> None:
        """There is something to remove. Returns at once."""
        is_at_it = self._thread is not None and self._thread.is_alive()
        if not is_at_it and time.monotonic() >= self._not_before:
            self._thread = threading.Thread(target=self._run, daemon=True, name="tidying")
            self._thread.start()

    def _run(self) -> None:
        try:
            with closing(WorkerRegistry(self._settings)) as registry:
                tidy(registry, open_storage(self._settings))
        except OcrQueueError as error:
            _log.warning("leftovers stay in storage for now: %s", error.info.code)
        except Exception:
            _log.exception("leftovers stay in storage for now")
        else:
            return
        self._not_before = time.monotonic() + _PAUSE_S


def tidy(registry: WorkerRegistry, storage: Storage) -> None:
    """Remove what jobs have left, those that were deleted among them, until nothing is known to be left.

    Raises StorageUnavailable, BrokerUnavailable: the rest is for the next time.
    """
    claimed: set[str] = set()
    # what stays is claimed by somebody who removes it, or was killed over it: that is for the next time
    while job_ids := [job_id for job_id in registry.leftovers(_AT_ONCE) if job_id not in claimed]:
        for job_id in job_ids:
            if not re.fullmatch(JOB_ID, job_id) or _tidy_job(registry, storage, job_id):
                registry.forget_leftovers([job_id])
            else:
                claimed.add(job_id)
    before: Sequence[tuple[str, str | None]] = ()
    while (deleted := registry.deleted(_AT_ONCE)) and deleted != before:
        remove_stored(registry, storage, deleted)
        before = deleted


def _tidy_job(registry: WorkerRegistry, storage: Storage, job_id: str) -> bool:
    """Whether that is done. Not where somebody else has claimed it, or the job has begun again."""
    result = f"{_folder(job_id)}result.json"
    try:
        # while the claim holds no attempt at the job, should it be replayed, takes what is stored for its own
        with removal(registry, with_leftovers=[job_id]) as ours:
            if not ours.with_leftovers:
                return False
            keys = list(storage.list(_folder(job_id)))
            standing = stored_document(storage.get(result), storage) if result in keys else None
            if standing is not None and registry.result_is_left(job_id):
                standing = None
            if not ours.in_time():
                return False
            if keys:
                storage.delete(_unnamed(storage, job_id, keys, standing))
    except StorageNotFound:
        return True  # there is nothing, then
    except (ResultUnreadable, StorageDenied) as error:
        _log.warning("leftovers of %s stay in storage: %s", job_id, error.info.code)
    return True


def remove_leftovers(storage: Storage, job_id: str, result: Document) -> None:
    """Delete what is stored for the job, but for its result, and the pages, crops, Documents and outputs that it names.

    A large result is bound to the storage. Logged, and not raised, where storage does not let it, or has a page that
    cannot be read: leftovers cost room and nothing else.
    """
    try:
        storage.delete(_unnamed(storage, job_id, storage.list(_folder(job_id)), result))
    except StorageNotFound:
        return  # there is nothing, then
    except (StorageUnavailable, StorageDenied, ResultUnreadable) as error:
        _log.warning("leftovers of %s stay in storage: %s", job_id, error.info.code)


def _unnamed(storage: Storage, job_id: str, keys: Iterable[str], result: Document | None) -> Sequence[str]:
    if result is None:
        return [*keys]
    named = {word.crop.uri for word in result.words() if word.crop} | {storage.uri(f"{_folder(job_id)}result.json")}
    named |= {step.result for step in result.trail if step.result} | {output.uri for output in result.outputs}
    named |= _page_objects(result)
    if result.page_objects:
        for step in result.trail:
            # what one engine has read of a large document is as large
            named |= _page_objects(stored_document(storage.read_uri(step.result), storage)) if step.result else set()
    return [key for key in keys if storage.uri(key) not in named]


def _page_objects(document: Document) -> set[str]:
    return {known.uri for known in document.page_objects if known.uri}


def _folder(job_id: str) -> str:
    return f"results/{job_id}/"
