"""A filter that can mean no job is refused, and an empty name most of all: it is a variable that was not set."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import click
import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.cli.filters import Since
from ocrqueue.core.job_filter import JobFilter
from ocrqueue.errors import CursorInvalid, FilterInvalid

FIRST_HOUR = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))
"""There is no such time in UTC."""
NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"tag": ""}, "The tag is empty."),
        ({"tenant": ""}, "The tenant is empty."),
        ({"batch": ""}, "The batch is empty."),
        ({"code": ""}, "The code is empty."),
        ({"state": ""}, "No job can be ''."),
        ({"state": []}, "The list of states is empty."),
        ({"state": "nope"}, "No job can be 'nope'."),
        ({"state": ["queued", "unknown"]}, "No job can be 'unknown'."),
        ({"state": 5}, "The state 5 is not valid."),
        ({"state": [["queued"]]}, "The state [['queued']] is not valid."),
        ({"tag": 5}, "The tag 5 is not text."),
        ({"tag": "\udc80"}, "The tag '\\udc80' has half of a character, which no job's has."),
        ({"tag": "x" * 257}, "The tag has 257 characters; no job's has more than 256."),
        ({"tenant": "a b"}, "No tenant can be called 'a b'."),
        ({"tenant": "a\n"}, "No tenant can be called 'a\\n'."),
        ({"batch": "a/b"}, "No batch can be called 'a/b'."),
        ({"since": "yesterday"}, "'yesterday' is not a time that a job can have."),
        ({"since": FIRST_HOUR}, f"{FIRST_HOUR!r} is not a time that a job can have."),
    ],
)
def test_what_no_job_can_be_is_refused(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(FilterInvalid) as refused:
        JobFilter.of(**wanted)
    assert refused.value.message == told
    assert refused.value.info.remedy


def test_a_dash_means_jobs_without_a_tenant() -> None:
    assert JobFilter.of(tenant="-").to_options() == {"tenant": ""}


@pytest.mark.parametrize(
    "call",
    [
        lambda queue: queue.jobs(tag=""),
        lambda queue: queue.jobs(limit=0),
        lambda queue: queue.jobs(limit=-1),
        lambda queue: queue.jobs(limit=1.5),
        lambda queue: queue.audit(limit=0),
        lambda queue: queue.delete_many(tag=""),
        lambda queue: queue.delete_many(tenant="", dry_run=True),
        lambda queue: queue.cancel_many(tenant=""),
        lambda queue: queue.replay_many(code=""),
        lambda queue: queue.drop_many(batch=""),
    ],
)
async def test_both_clients_refuse_it_before_they_ask_redis(call: Callable[[Any], Any]) -> None:
    with OcrQueue(redis_url=NO_REDIS) as queue, pytest.raises(FilterInvalid):
        call(queue)
    async with AsyncOcrQueue(redis_url=NO_REDIS) as queue:
        with pytest.raises(FilterInvalid):
            await call(queue)


@pytest.mark.parametrize(
    ("code", "remedy"), [("nonesuch", "docs/errors.md"), ("language.mising", "Did you mean 'language.missing'?")]
)
def test_a_code_that_no_error_has_is_refused_with_the_nearest(code: str, remedy: str) -> None:
    with pytest.raises(FilterInvalid) as caught:
        JobFilter.of(code=code)
    assert caught.value.info.remedy.startswith(remedy)


def test_a_code_of_an_engine_that_somebody_else_has_written_is_one() -> None:
    assert JobFilter.of(code="remote.quota_used_up").code == "remote.quota_used_up"


def test_a_limit_of_dead_letters_is_one_at_least() -> None:
    with OcrQueue(redis_url=NO_REDIS) as queue, pytest.raises(FilterInvalid, match="limit 0"):
        queue.dead_letters.list(limit=0)


@pytest.mark.parametrize("given", ["99999999d", "9999999999999d", "1" + "0" * 400 + "d"])
def test_an_age_beyond_all_time_is_refused_as_any_other(given: str) -> None:
    with pytest.raises(click.BadParameter, match="too long ago"):
        Since().convert(given, None, None)


async def test_a_cursor_that_none_has_is_refused_before_redis_is_asked() -> None:
    text = base64.urlsafe_b64encode(b'["9",["1","\\ud800"]]').decode()
    with OcrQueue(redis_url=NO_REDIS) as queue, pytest.raises(CursorInvalid):
        queue.jobs(after=text)
    async with AsyncOcrQueue(redis_url=NO_REDIS) as queue:
        with pytest.raises(CursorInvalid):
            await queue.jobs(after=text)


def test_an_age_is_one() -> None:
    since = Since().convert("2d", None, None)
    assert 1.9 < (datetime.now(UTC) - since).total_seconds() / 86400 < 2.1
