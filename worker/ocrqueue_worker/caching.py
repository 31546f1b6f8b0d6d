"""The same image is not paid for twice: the key under which a reading is remembered."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from ocrqueue.document import Document, EngineInfo, InputInfo
from ocrqueue.job import SCHEMA_VERSION, Job
from ocrqueue_worker.engines.engine import EngineOptions


def cache_key(image_sha256: str, engine: EngineInfo, job: Job, options: EngineOptions) -> str:
    """sha256 over all that decides the Document: bytes, engine, version, model, languages, options, crops.

    `options` are the parsed ones, so that a default spelled out and one left out are the same.
    """
    parts = [
        SCHEMA_VERSION,
        image_sha256,
        engine.model_dump(exclude={"device"}),
        job.languages,
        options.model_dump(mode="json"),
        job.crops,
        job.crop_padding if job.crops != "none" else 0,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def as_cached(document: Document, job: Job, source: InputInfo, attempt: int) -> Document:
    """An earlier Document as the answer to `job`; its crops stay where the earlier job stored them."""
    return document.model_copy(
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
