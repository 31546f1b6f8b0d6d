"""How long a job may take, from its own wish and its engine's limits."""

from __future__ import annotations

import pytest

from ocrqueue.core.script_arguments import job_json
from ocrqueue.errors import JobMalformed
from ocrqueue.job import Job, parse_job
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.limits.time_limits import TimeLimits, group_time_limits, time_limits


@pytest.mark.parametrize(
    ("engine", "wanted_s", "expected"),
    [
        ("tesseract", None, TimeLimits(240, 300)),
        ("tesseract", 1, TimeLimits(1, 61)),
        ("tesseract", 239, TimeLimits(239, 299)),
        ("tesseract", 240, TimeLimits(240, 300)),
        ("tesseract", 86_400, TimeLimits(240, 300)),
        ("keras", None, TimeLimits(600, 640)),
        ("keras", 300, TimeLimits(300, 340)),
    ],
)
def test_a_job_can_lower_its_engines_limit_and_not_raise_it(
    engine: str, wanted_s: int | None, expected: TimeLimits
) -> None:
    settings = load_worker_settings(soft_time_limit_s="240,keras=600", hard_time_limit_s="300,keras=640")
    assert time_limits(settings, Job(image="s3://b/k", engine=engine, time_limit_s=wanted_s)) == expected


def test_a_group_has_the_time_of_one_of_its_jobs() -> None:
    settings = load_worker_settings()
    jobs = [Job(image="s3://b/k", time_limit_s=limit) for limit in (None, 30, 20)]
    assert group_time_limits(settings, jobs) == TimeLimits(20, 80)
    assert group_time_limits(settings, jobs[:1]) == TimeLimits(240, 300)
    assert group_time_limits(settings, []) == time_limits(settings, None)


def test_what_cannot_be_read_has_limits_too() -> None:
    assert time_limits(load_worker_settings(), None) == TimeLimits(240, 300)


@pytest.mark.parametrize("wrong", [0, -1, 86_401, 1.5, "soon", [3]])
def test_a_limit_is_a_whole_number_of_seconds_up_to_a_day(wrong: object) -> None:
    with pytest.raises(JobMalformed, match="time_limit_s"):
        parse_job({"image": "s3://b/k", "time_limit_s": wrong}, "x")


def test_the_limit_is_in_the_message_only_where_there_is_one() -> None:
    job = Job(image="s3://b/k", time_limit_s=7)
    assert job.to_message()["time_limit_s"] == 7
    assert parse_job(job.to_message(), "x") == job
    assert "time_limit_s" not in Job(image="s3://b/k").to_message()
    assert "time_limit_s" not in job_json(Job(image="s3://b/k"))
