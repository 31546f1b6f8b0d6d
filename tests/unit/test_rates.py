"""What the jobs counted in periods of 10 s say of a queue."""

from __future__ import annotations

import pytest

from ocrqueue.core.rates import jobs_per_second, parse_counts, retry_after_s

NOW_S = 1_000_005.0
PERIOD = 100_000
"""The one that NOW_S is in the middle of."""


def test_nothing_ended_lately_is_no_rate() -> None:
    assert jobs_per_second({}, NOW_S) is None
    assert jobs_per_second({PERIOD - 30: 7, PERIOD + 1: 7}, NOW_S) is None


def test_a_steady_rate_is_found_whatever_it_is() -> None:
    assert jobs_per_second({PERIOD - age: 20 for age in range(1, 30)} | {PERIOD: 10}, NOW_S) == pytest.approx(2.0)
    assert jobs_per_second({PERIOD - 6 * age: 1 for age in range(5)}, NOW_S) == pytest.approx(1 / 60, rel=0.25)


def test_a_start_counts_from_its_beginning() -> None:
    assert jobs_per_second({PERIOD: 30}, NOW_S) == pytest.approx(3.0)
    assert jobs_per_second({PERIOD: 30, PERIOD - 1: 60}, NOW_S) == pytest.approx(6.0)


def test_a_quiet_time_before_does_not_count() -> None:
    after_a_pause = {PERIOD - 20: 1} | {PERIOD - age: 100 for age in range(6)}
    assert jobs_per_second(after_a_pause, NOW_S) == pytest.approx(600 / 55)


def test_work_that_stopped_counts_for_less_and_less() -> None:
    rates = [jobs_per_second({PERIOD: 600}, NOW_S + ago_s) or 0.0 for ago_s in (0, 40, 100, 250, 300)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0.0


def test_the_clock_at_the_border_of_a_period_is_no_division_by_nothing() -> None:
    assert jobs_per_second({PERIOD: 1}, PERIOD * 10.0) == pytest.approx(1 / 10)


@pytest.mark.parametrize(
    ("jobs", "rate", "seconds"),
    [(1, 100.0, 1), (0, 1.0, 1), (10, 2.0, 5), (10, 3.0, 4), (1000, 0.5, 300), (1000, None, 60)],
)
def test_when_to_come_back(jobs: int, rate: float | None, seconds: int) -> None:
    assert retry_after_s(jobs, rate) == seconds


def test_counts_are_read_as_redis_stores_them() -> None:
    assert parse_counts({b"100000": b"3"}) == {100_000: 3}
