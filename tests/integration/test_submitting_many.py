"""What submit_many refuses, and what its errors say of the jobs that are queued by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.errors import JobMalformed, SourceNotFound
from ocrqueue.settings import Settings

IMAGE = "s3://bucket/page.png"
SubmitMany = Callable[..., Any]


@pytest.fixture(params=["threads", "asyncio"])
def submit_many(request: pytest.FixtureRequest, settings: Settings) -> SubmitMany:
    def blocking(images: Iterable[Any], **fields: Any) -> Any:
        with OcrQueue(settings) as queue:
            return queue.submit_many(images, **fields)

    async def awaited(images: Iterable[Any], **fields: Any) -> Any:
        async with AsyncOcrQueue(settings) as queue:
            return await queue.submit_many(images, **fields)

    if request.param == "threads":
        return blocking
    return lambda images, **fields: asyncio.run(awaited(images, **fields))


@pytest.mark.parametrize("name", ["id", "idempotency_key"])
def test_several_images_are_not_one_job(submit_many: SubmitMany, name: str) -> None:
    with pytest.raises(JobMalformed, match=name) as refused:
        submit_many([IMAGE] * 3, **{name: "k"})
    assert list(refused.value.submitted) == []
    assert len(submit_many([IMAGE], **{name: "k"})) == 1


def test_a_path_is_not_a_list_of_its_letters(submit_many: SubmitMany) -> None:
    with pytest.raises(JobMalformed, match="several images"):
        submit_many("a.jpg")
    with pytest.raises(JobMalformed, match="several images"):
        submit_many(b"GIF8")


def test_an_error_midway_names_what_is_queued(submit_many: SubmitMany, settings: Settings) -> None:
    with pytest.raises(SourceNotFound) as missing:
        submit_many([*[IMAGE] * 700, "/nowhere.png"])
    handles = missing.value.submitted
    assert len(handles) == 500
    with OcrQueue(settings) as queue:
        assert {status.state for status in queue.registry.statuses([job.id for job in handles]) if status} == {"queued"}


def test_an_exception_of_the_iterable_has_a_note(submit_many: SubmitMany) -> None:
    def images() -> Iterable[str]:
        yield from [IMAGE] * 700
        raise ValueError("a row is broken")

    with pytest.raises(ValueError, match="row is broken") as broken:
        submit_many(images())
    assert broken.value.__notes__ == ["The first 500 images were queued."]
