"""The limit that all Vision workers share, in a real Redis: never too many in any span, nor in any month."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrqueue.core import Registry
from ocrqueue.core.billing import billed_by_month, billed_pages
from ocrqueue.core.keys import Keys
from ocrqueue.core.scripts import expand
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.vision.rate_limit import Admission, Pace, RateLimit
from tests.support.processes import RedisServer, wait_until

ENDLESS = Pace(1000, 1000.0)


@pytest.fixture
def limit_of(redis: RedisServer) -> Callable[..., RateLimit]:
    """Limits of one installation, each with a connection of its own, as workers have."""
    keys = Keys(f"test-{uuid.uuid4().hex[:8]}:")

    def make(pace: Pace = ENDLESS, images_per_month: int = 0) -> RateLimit:
        return RateLimit(redis.client(), keys, "vision", pace, images_per_month)

    return make


@given(st.integers(1, 10_000), st.floats(0.5, 120), st.floats(0.1, 10))
def test_a_full_bucket_and_what_refills_it_stay_within_the_limit(limit: int, window_s: float, slack_s: float) -> None:
    pace = Pace.of(limit, window_s, slack_s)
    assert 1 <= pace.size <= limit
    assert pace.tokens_per_s > 0
    # by induction: what a span admits is at most what the bucket held at its start and what refilled it since
    assert pace.size + pace.tokens_per_s * window_s < limit + 1


def test_workers_together_never_exceed_the_limit_in_any_window(limit_of: Callable[..., RateLimit]) -> None:
    window_s, limit = 0.5, 20
    pace = Pace.of(limit, window_s, slack_s=0.1)
    limit_of(pace).admit(1)
    time.sleep(2 / pace.tokens_per_s)  # some burst is saved up
    spans: list[tuple[float, float]] = []
    """Of each admission: it was some time between the question and the answer."""
    enough = threading.Event()

    def work() -> None:
        own = limit_of(pace)
        while not enough.is_set():
            asked = time.monotonic()
            admission = own.admit(1)
            if admission.images:
                spans.append((asked, time.monotonic()))
            else:
                time.sleep(min(admission.wait_s, 0.05))

    def most_in_a_window() -> int:
        known = list(spans)
        return max(
            sum(begin <= asked and answered < begin + window_s for asked, answered in known) for begin, _ in known
        )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1.2)
        # it is no idle promise: most of what the limit allows can be used
        wait_until(
            lambda: most_in_a_window() >= 0.7 * limit * window_s / (window_s + 0.1), 120, "a window is well used"
        )
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert most_in_a_window() <= limit


def test_the_first_request_of_all_is_admitted_and_then_one_after_the_other(limit_of: Callable[..., RateLimit]) -> None:
    pace = Pace.of(1)
    limit = limit_of(pace)
    assert limit.admit(1).images == 1
    second = limit.admit(1)
    assert second.images == 0
    # less what refilled meanwhile
    assert 0.5 < second.wait_s * pace.tokens_per_s <= 1.001


def test_a_month_never_gets_more_images_than_its_budget(limit_of: Callable[..., RateLimit], redis: RedisServer) -> None:
    granted: list[int] = []

    def work() -> None:
        own = limit_of(images_per_month=100)
        while sum(granted) < 200 and not (admission := own.admit(16)).exhausted:
            if admission.images:
                granted.append(admission.images)
            else:
                time.sleep(admission.wait_s)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 100
    assert sorted(granted)[0] == 100 % 16  # the last request took what was left


def test_images_that_were_not_read_go_back_to_the_month_once(
    limit_of: Callable[..., RateLimit], settings: WorkerSettings, redis: RedisServer
) -> None:
    registry = Registry(settings)
    limit = RateLimit(redis.client(), registry.keys, "vision", ENDLESS)
    admission = limit.admit(16)
    assert billed_pages(registry, "vision") == 16
    limit.give_back(admission, 4)
    limit.give_back(admission, 4)
    assert billed_pages(registry, "vision") == 12
    limit.give_back(Admission("never-admitted", 16), 16)
    assert billed_pages(registry, "vision") == 12
    assert billed_by_month(registry, "vision") == {f"{datetime.now(UTC):%Y-%m}": 12}
    assert billed_pages(registry, "tesseract") == 0
    registry.close()


def test_an_admission_asked_for_twice_counts_once(
    settings: WorkerSettings, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the answer of the first is lost, and redis-py sends the script again."""
    registry = Registry(settings)
    limit = RateLimit(redis.client(), registry.keys, "vision", ENDLESS)
    monkeypatch.setattr("ocrqueue_worker.engines.vision.rate_limit.uuid4", lambda: uuid.UUID(int=1))
    assert limit.admit(16).images == limit.admit(16).images == 16
    assert billed_pages(registry, "vision") == 16
    registry.close()


@pytest.mark.parametrize("day", ["1970-01-01", "2000-02-29", "2024-02-29", "2025-12-31", "2026-03-01", "2100-03-01"])
def test_months_are_those_of_the_calendar(redis: RedisServer, day: str) -> None:
    at = datetime.fromisoformat(f"{day}T23:59:59+00:00")
    script = expand("#!lua\n-- uses: month_of\nreturn month_of(tonumber(ARGV[1]))")
    with redis.client() as client:
        assert client.eval(script, 0, str(int(at.timestamp() * 1000))) == day[:7].encode()
