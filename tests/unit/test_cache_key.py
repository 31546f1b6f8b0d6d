"""What decides whether an image has been read before."""

from __future__ import annotations

from ocrqueue.document import EngineInfo
from ocrqueue.job import Job
from ocrqueue_worker.engines.null import NullOptions
from ocrqueue_worker.pipeline.cache_key import cache_key


def key(*, sha256: str = "a", version: str = "1", **fields: object) -> str:
    job = Job.model_validate({"image": "s3://bucket/page.png", "engine": "null", **fields})
    engine = EngineInfo(name="null", version=version, model="none")
    return cache_key(sha256, engine, job, NullOptions.model_validate(job.options))


def test_a_default_spelled_out_is_the_same() -> None:
    assert key() == key(options={"words": 1}) == key(tag="other", priority="high", idempotency_key="k")


def test_all_that_decides_the_result_counts() -> None:
    others = [
        key(sha256="b"),
        key(version="2"),
        key(languages=["kor"]),
        key(options={"words": 2}),
        key(crops="none"),
        key(crop_padding=7),
    ]
    assert len({key(), *others}) == len(others) + 1


def test_a_tenant_does_not_learn_what_another_has_read() -> None:
    assert len({key(), key(tenant="one"), key(tenant="two")}) == 3
