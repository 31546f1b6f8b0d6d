"""The same image is not paid for twice: the key under which a reading is remembered."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime

from ocrqueue.document import Document, EngineInfo, InputInfo, stored_document
from ocrqueue.errors import BrokerUnavailable, ResultUnreadable, StorageNotFound
from ocrqueue.job import SCHEMA_VERSION, Job
from ocrqueue_worker.engines.engine import EngineOptions
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.outputs import without_outputs


def cache_key(image_sha256: str, engine: EngineInfo, job: Job, options: EngineOptions) -> str:
    """sha256 over all that decides the Document: bytes, engine, version, model, languages, options, crops. A tenant has
    its own: whether another has had an image read is none of its business.

    `options` are the parsed ones, so that a default spelled out and one left out are the same.
    """
    parts = [
        SCHEMA_VERSION,
        job.tenant,
        image_sha256,
        engine.model_dump(exclude={"device"}),
        job.languages,
        options.model_dump(mode="json"),
        job.crops,
        job.crop_padding if job.crops != "none" else 0,
        *((job.truncated,) if job.truncated != "refuse" else ()),
        *((job.prepare,) if job.prepare != "auto" else ()),
        *((f"{job.dpi} dpi",) if job.dpi != 300 else ()),
        *((f"existing text: {job.existing_text}",) if job.existing_text != "read_anyway" else ()),
        *((f"pages {job.page_selection.ranges}",) if job.pages is not None else ()),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def earlier_reading(attempt: Attempt, key: str) -> Document | None:
    """The Document of an image that was read before under this key; None if there is none, or it was deleted,
    or a newer version has written it."""
    try:
        uri = attempt.workplace.registry.earlier_reading(key)
    except BrokerUnavailable:
        return None
    if uri is None or not attempt.storage.owns(uri):
        return None
    try:
        return stored_document(attempt.storage.read_uri(uri), attempt.storage)
    except (StorageNotFound, ResultUnreadable):
        return None


def remember_reading(attempt: Attempt, key: str, uri: str) -> None:
    """The Document of this image is at `uri`, should the same be asked again; not while Redis is away."""
    with suppress(BrokerUnavailable):
        attempt.workplace.registry.remember_reading(key, uri, attempt.job.id)


def as_cached(document: Document, job: Job, source: InputInfo, attempt: int) -> Document:
    """An earlier Document as the answer to `job`."""
    return without_outputs(document).model_copy(
        update={
            "job_id": job.id,
            "tag": job.tag,
            "input": source,
            "options": job.options,
            "attempts": attempt,
            "cached": True,
            "finished_at": datetime.now(UTC),
        }
    )
