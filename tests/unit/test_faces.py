"""The blocking and the asyncio client have the same public members, with the same parameters."""

from __future__ import annotations

import inspect
from typing import Any

import boto3
import pytest

from ocrqueue import AsyncBatch, AsyncOcrQueue, AsyncSubmittedJob, Batch, OcrQueue, SubmittedJob
from ocrqueue.aio_dead_letters import AsyncDeadLetters
from ocrqueue.core.dead_letters import DeadLetters

FACES = pytest.mark.parametrize(
    ("blocking", "awaitable"),
    [
        (OcrQueue, AsyncOcrQueue),
        (SubmittedJob, AsyncSubmittedJob),
        (Batch, AsyncBatch),
        (DeadLetters, AsyncDeadLetters),
    ],
)


def public(face: type) -> set[str]:
    return {name for name in dir(face) if not name.startswith("_")}


def parameters(function: Any) -> dict[str, tuple[Any, Any]]:
    return {each.name: (each.kind, each.default) for each in inspect.signature(function).parameters.values()}


@FACES
def test_both_have_the_same_members(blocking: type, awaitable: type) -> None:
    assert public(blocking) == public(awaitable)


@FACES
def test_they_take_the_same(blocking: type, awaitable: type) -> None:
    for name in public(blocking):
        one, other = getattr(blocking, name), getattr(awaitable, name)
        if inspect.isfunction(one):
            assert parameters(one) == parameters(other), name


def test_they_are_opened_alike() -> None:
    assert parameters(OcrQueue) == parameters(AsyncOcrQueue)
    for client in (OcrQueue, AsyncOcrQueue):
        # what each speaks to Redis through is for the commands and the gateway: registry_of(), redis_of(), keys_of()
        assert {name for name in vars(client()) if name[0] != "_"} == {"settings"}


ITERATORS = pytest.mark.parametrize(
    ("face", "name"),
    [
        *((OcrQueue, name) for name in ("as_completed", "watch", "submit_iter", "results", "pages", "progress")),
        *((SubmittedJob, name) for name in ("pages", "progress")),
        *((Batch, name) for name in ("jobs", "results")),
    ],
)
TWINS = {OcrQueue: AsyncOcrQueue, SubmittedJob: AsyncSubmittedJob, Batch: AsyncBatch}


@ITERATORS
def test_iterators_can_be_closed_by_type(face: type, name: str) -> None:
    for each, start in ((face, "Generator["), (TWINS[face], "AsyncGenerator[")):
        assert inspect.signature(getattr(each, name)).return_annotation.startswith(start)


def test_what_is_no_several_jobs_is_refused() -> None:
    with OcrQueue() as queue:
        job = queue.job("a")
        wrong: Any
        for wrong in ("abc", b"abc", [job], job):
            for ask in (queue.statuses, lambda ids: list(queue.results(ids)), queue.delete_ids):
                with pytest.raises(TypeError):
                    ask(wrong)
        for wrong in ("abc", ["abc"], job, [5], [None]):
            for wait in (queue.as_completed, queue.watch):
                with pytest.raises(TypeError):
                    next(wait(wrong))


@pytest.mark.parametrize("client", [OcrQueue, AsyncOcrQueue])
def test_a_session_is_no_client(client: Any) -> None:
    session = boto3.session.Session("key", "secret", region_name="eu-west-1")
    for wrong in ("default", boto3, session.client("s3")):
        with pytest.raises(TypeError, match=r"boto3\.session\.Session"):
            client(s3_session=wrong)
    client(s3_session=session)


@pytest.mark.parametrize("client", [OcrQueue, AsyncOcrQueue])
def test_settings_are_no_url(client: Any) -> None:
    for wrong in ("redis://elsewhere", {"redis_url": "redis://elsewhere"}):
        with pytest.raises(TypeError, match="redis_url="):
            client(wrong)
