"""What attempts at a job have stored that no result names."""

from __future__ import annotations

import structlog

from ocrqueue.document import Document, stored_document
from ocrqueue.errors import ResultUnreadable, StorageDenied, StorageNotFound, StorageUnavailable
from ocrqueue.storage import Storage

_log = structlog.get_logger(__name__)


def remove_all(storage: Storage, job_id: str) -> None:
    """Delete what is stored for a job that ended without a result.

    What a result names that stands there all the same stays: another life of the job's id has stored it. All stays
    where this version cannot read what it names.
    """
    try:
        standing = stored_document(storage.get(f"results/{job_id}/result.json"))
    except StorageNotFound:
        standing = None
    except (ResultUnreadable, StorageUnavailable, StorageDenied) as error:
        _log.warning("leftovers stay in storage", error=error.code)
        return
    remove_leftovers(storage, job_id, standing)


def remove_leftovers(storage: Storage, job_id: str, result: Document | None) -> None:
    """Delete what is stored for the job, but for its result, and the crops and Documents that this names.

    Logged, and not raised, where storage does not let it: leftovers cost room and nothing else.
    """
    folder = f"results/{job_id}/"
    try:
        if result is None:
            storage.delete_prefix(folder)
            return
        named = {word.crop.uri for word in result.words() if word.crop} | {storage.uri(f"{folder}result.json")}
        named |= {step.result for step in result.trail if step.result}
        storage.delete([key for key in storage.list(folder) if storage.uri(key) not in named])
    except StorageNotFound:
        return  # there is nothing, then
    except (StorageUnavailable, StorageDenied) as error:
        _log.warning("leftovers stay in storage", error=error.code)
