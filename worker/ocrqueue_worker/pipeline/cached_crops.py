"""What an answer from the cache names, crops and the pages of a large one: copies of its own, so that no job's result
depends on another job's."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ocrqueue.document import Crop, Document, Page, PageObjects
from ocrqueue.errors import StorageNotFound
from ocrqueue_worker.images.cropping import crops_folder
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.crop_storage import with_crops
from ocrqueue_worker.pipeline.page_objects import own_folder, with_stored_pages

_ATTEMPT: Final = re.compile(r"^-\d+-[0-9a-f]+(?=[./])")


def with_own_objects(answer: Document, earlier_id: str, attempt: Attempt) -> Document | None:
    """An answer that has the pages of an earlier job; they and their crops are copied below this job's folder. None
    where some have been deleted."""
    if isinstance(answer.pages, PageObjects):
        return _with_own_pages(answer, earlier_id, attempt)
    crops = {word.id: word.crop for word in answer.words() if word.crop is not None}
    if not crops:
        return answer
    job_id, name = attempt.job.id, attempt.name
    copies = {crop.uri: copy_key(crop.uri, earlier_id, job_id, name) for crop in crops.values()}
    try:
        with ThreadPoolExecutor(min(len(copies), attempt.workplace.settings.upload_threads)) as pool:
            uris = dict(zip(copies, pool.map(attempt.storage.copy_uri, copies, copies.values()), strict=True))
    except StorageNotFound:
        attempt.storage.delete(copies.values())
        return None
    own = {word_id: crop.model_copy(update={"uri": uris[crop.uri]}) for word_id, crop in crops.items()}
    return answer.model_copy(update={"pages": tuple(with_crops(page, own) for page in answer.pages)})


def _with_own_pages(answer: Document, earlier_id: str, attempt: Attempt) -> Document | None:
    """The same of a large one, page by page."""
    archives: dict[str, str] = {}
    """That were copied: of an earlier reading in one part, all pages have one."""
    storage, copied = attempt.storage, set[str]()

    def own_uri(crop: Crop) -> str:
        if crop.uri in archives:
            return archives[crop.uri]
        key = copy_key(crop.uri, earlier_id, attempt.job.id, attempt.name)
        uri = storage.copy_uri(crop.uri, key)
        copied.add(key)
        if crop.offset is not None:
            archives[crop.uri] = uri
        return uri

    def own(page: Page) -> Page:
        crops = {word.id: word.crop for word in page.words() if word.crop is not None}
        return with_crops(page, {name: crop.model_copy(update={"uri": own_uri(crop)}) for name, crop in crops.items()})

    try:
        return with_stored_pages(attempt, answer, answer.pages, own, folder=own_folder(attempt))
    except StorageNotFound:
        storage.delete([*copied, *storage.list(own_folder(attempt).rstrip("/"))])
        return None


def copy_key(uri: str, earlier_id: str, job_id: str, attempt: str) -> str:
    """Where a copy of an earlier job's crops lies: as those of this attempt would, had it cut them."""
    name = uri.rpartition(f"/{crops_folder(earlier_id, '')}")[2]
    return crops_folder(job_id, attempt) + _ATTEMPT.sub("", name)
