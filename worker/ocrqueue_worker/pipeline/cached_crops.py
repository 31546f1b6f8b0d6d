"""The crops of an answer from the cache: copies of its own, so that no job's result depends on another job's."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ocrqueue.document import Document
from ocrqueue.errors import StorageNotFound
from ocrqueue_worker.images.cropping import crops_folder
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.crop_storage import with_crops

_ATTEMPT: Final = re.compile(r"^-\d+-[0-9a-f]+(?=[./])")


def with_own_crops(earlier: Document, attempt: Attempt) -> Document | None:
    """The Document of an earlier job, its crops copied below this job's folder; None where some have been deleted."""
    crops = {word.id: word.crop for word in earlier.words() if word.crop is not None}
    if not crops:
        return earlier
    job_id, name = attempt.job.id, attempt.name
    copies = {crop.uri: copy_key(crop.uri, earlier.job_id, job_id, name) for crop in crops.values()}
    try:
        with ThreadPoolExecutor(min(len(copies), attempt.workplace.settings.upload_threads)) as pool:
            uris = dict(zip(copies, pool.map(attempt.storage.copy_uri, copies, copies.values()), strict=True))
    except StorageNotFound:
        attempt.storage.delete(copies.values())
        return None
    own = {word_id: crop.model_copy(update={"uri": uris[crop.uri]}) for word_id, crop in crops.items()}
    return earlier.model_copy(update={"pages": tuple(with_crops(page, own) for page in earlier.pages)})


def copy_key(uri: str, earlier_id: str, job_id: str, attempt: str) -> str:
    """Where a copy of an earlier job's crops lies: as those of this attempt would, had it cut them."""
    name = uri.rpartition(f"/{crops_folder(earlier_id, '')}")[2]
    return crops_folder(job_id, attempt) + _ATTEMPT.sub("", name)
