"""Which kinds of jobs count as short, and how many of them a child gets at once."""

from __future__ import annotations

import pytest

from ocrqueue_worker.broker.short_jobs import ShortJobs

LANE, KIND = "ocr.null", "kind"


@pytest.fixture
def short_jobs() -> ShortJobs:
    made = ShortJobs()
    made.allow()
    return made


def test_a_kind_is_known_as_short_once_some_of_it_have_ended(short_jobs: ShortJobs) -> None:
    for _ in range(15):
        short_jobs.note(LANE, KIND, 1, 0.005)
        assert short_jobs.together(LANE) == {}
    short_jobs.note(LANE, KIND, 1, 0.005)
    assert short_jobs.together(LANE) == {KIND: 8}
    assert short_jobs.together("ocr.null.high") == {}
    assert short_jobs.together(LANE, above=8) == {}


@pytest.mark.parametrize(("seconds", "count"), [(0, 8), (0.012, 8), (0.02, 5), (0.05, 2), (0.06, None), (10, None)])
def test_a_child_gets_as_many_as_take_a_tenth_of_a_second(
    short_jobs: ShortJobs, seconds: float, count: int | None
) -> None:
    short_jobs.note(LANE, KIND, 100, 100 * seconds)
    assert short_jobs.together(LANE).get(KIND) == count


def test_one_that_takes_long_counts_in_full_and_is_outlived(short_jobs: ShortJobs) -> None:
    short_jobs.note(LANE, KIND, 100, 0.1)
    short_jobs.note(LANE, KIND, 1, 1)
    needed = 0
    while KIND not in short_jobs.together(LANE):
        short_jobs.note(LANE, KIND, 1, 0.001)
        needed += 1
    assert 10 < needed < 20


def test_what_is_read_alone_is_not_remembered(short_jobs: ShortJobs) -> None:
    short_jobs.note(LANE, "", 100, 0.1)
    assert short_jobs.together(LANE) == {}


def test_where_there_are_no_children_nothing_is_read_in_turns() -> None:
    short_jobs = ShortJobs()
    short_jobs.note(LANE, KIND, 100, 0.1)
    assert short_jobs.together(LANE) == {}


def test_no_more_kinds_are_remembered_than_matter(short_jobs: ShortJobs) -> None:
    for number in range(150):
        short_jobs.note(LANE, str(number), 20, 0.1)
    assert list(short_jobs.together(LANE)) == [str(number) for number in range(50, 150)]
