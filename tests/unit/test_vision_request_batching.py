"""Images of concurrent calls share requests; what goes wrong with one concerns it alone; nobody waits too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from google.api_core import exceptions as google
from google.cloud.vision import AnnotateImageRequest, AnnotateImageResponse, Image, TextAnnotation
from google.rpc.status_pb2 import Status

from ocrqueue.errors import BrokerUnavailable, OcrQueueError
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.vision import request_batching
from ocrqueue_worker.engines.vision.engine import _gather_s
from ocrqueue_worker.engines.vision.rate_limit import Admission, Pace, RateLimit
from ocrqueue_worker.engines.vision.request_batching import Gather, Gathering

Outcome = AnnotateImageResponse | OcrQueueError


class OpenLimit(RateLimit):
    """Grants what it is told to, and keeps count."""

    def __init__(self, *refusals: Admission | BrokerUnavailable, budget: int = 10**9) -> None:
        self.refusals = list(refusals)
        self.budget = budget
        self.granted: list[int] = []
        self.back = 0

    def admit(self, images: int) -> Admission:
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, BrokerUnavailable):
                raise refusal
            return refusal
        images = min(images, self.budget)
        if images == 0:
            return Admission("", 0, exhausted=True)
        self.budget -= images
        self.granted.append(images)
        return Admission(str(len(self.granted)), images)

    def give_back(self, admission: Admission, images: int) -> None:
        self.back += images


@dataclass
class Service:
    """Answers each image with its own bytes as text; `behave` may raise, wait, or return an error for an image."""

    behave: Callable[[int, list[str]], None] = lambda number, names: None
    errors: dict[str, list[int]] = field(default_factory=dict)
    """google.rpc.Codes for an image, one each time it is asked."""
    sent: list[list[str]] = field(default_factory=list)

    def __call__(self, requests: Sequence[AnnotateImageRequest], timeout_s: float) -> list[AnnotateImageResponse]:
        assert timeout_s > 0
        names = [request.image.content.decode() for request in requests]
        self.sent.append(names)
        self.behave(len(self.sent), names)
        return [self.answer(name) for name in names]

    def answer(self, name: str) -> AnnotateImageResponse:
        if codes := self.errors.get(name):
            return AnnotateImageResponse(error=Status(code=codes.pop(0), message="Bad image data."))
        return AnnotateImageResponse(full_text_annotation=TextAnnotation(text=name))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_batching, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(request_batching, "_LONGEST_SLEEP_S", 0.02)


UNTIL_FULL_S = 60.0
"""Longer than any thread that is to share a request takes to come."""


def gathered(service: Service, limit: OpenLimit | None = None, wait_s: float = 0.1, **changes: int) -> Gathering:
    sizes = {"images": 16, "request_bytes": 10**6} | changes
    return Gathering(service, limit or OpenLimit(), Gather(wait_s=wait_s, timeout_s=10, **sizes))


def ask(name: str) -> AnnotateImageRequest:
    return AnnotateImageRequest(image=Image(content=name.encode()))


def read(gathering: Gathering, *names: str, seconds: float = 60) -> list[Outcome]:
    return gathering.read([ask(name) for name in names], time.monotonic() + seconds)


def text(outcome: Outcome) -> str:
    return outcome.full_text_annotation.text if isinstance(outcome, AnnotateImageResponse) else outcome.info.code


def read_at_once(gathering: Gathering, names: Sequence[str]) -> list[str]:
    """Each in a thread of its own."""
    with ThreadPoolExecutor(len(names)) as threads:
        return [text(one) for (one,) in threads.map(lambda name: read(gathering, name), names)]


def test_concurrent_calls_share_requests_and_each_gets_its_own_answer() -> None:
    service, names = Service(), [f"image {number}" for number in range(48)]
    assert read_at_once(gathered(service, wait_s=UNTIL_FULL_S), names) == names
    assert sorted(name for request in service.sent for name in request) == sorted(names)
    assert list(map(len, service.sent)) == [16, 16, 16]


@pytest.mark.parametrize(("requests_per_minute", "wait_s"), [(1800, 0.05), (60, 1.13), (6, 5)])
def test_where_requests_are_scarce_they_are_filled_for_longer(requests_per_minute: int, wait_s: float) -> None:
    assert _gather_s(load_worker_settings(), Pace.of(requests_per_minute)) == pytest.approx(wait_s, rel=0.01)
    assert _gather_s(load_worker_settings(vision_gather_s=2), Pace.of(requests_per_minute)) == 2


def test_a_lone_call_is_not_held_longer_than_it_was_set() -> None:
    begun = time.monotonic()
    assert [text(one) for one in read(gathered(Service(), wait_s=0.05), "a")] == ["a"]
    assert 0.05 <= time.monotonic() - begun < 20


def test_a_full_request_goes_at_once() -> None:
    begun = time.monotonic()
    read(gathered(Service(), wait_s=UNTIL_FULL_S, images=4), *"abcd")
    assert time.monotonic() - begun < UNTIL_FULL_S / 2


def test_pages_of_one_call_come_back_in_order_over_several_requests() -> None:
    service, names = Service(), [str(number) for number in range(37)]
    assert [text(one) for one in read(gathered(service), *names)] == names
    assert [len(request) for request in service.sent] == [16, 16, 5]


def test_no_request_is_larger_than_it_may_be() -> None:
    service, names = Service(), [letter * 40 for letter in "abcdefg"]
    assert [text(one) for one in read(gathered(service, request_bytes=100), *names)] == names
    assert max(len(request) for request in service.sent) == 2


def test_an_image_that_is_refused_fails_by_itself() -> None:
    service, limit = Service(errors={"bad": [3]}), OpenLimit()
    outcomes = read_at_once(gathered(service, limit, UNTIL_FULL_S), ["bad", *(f"good {n}" for n in range(15))])
    assert outcomes == ["engine.image_refused", *(f"good {n}" for n in range(15))]
    assert len(service.sent) == 1
    assert limit.back == 1  # which is not billed


def test_a_request_that_is_refused_as_a_whole_fails_only_the_image_that_is_to_blame() -> None:
    def refuse(number: int, names: list[str]) -> None:
        if "bad" in names:
            raise google.InvalidArgument("Request contains an invalid argument.")

    service = Service(refuse)
    outcomes = [text(one) for one in read(gathered(service), "a", "bad", "b", "c")]
    assert outcomes == ["a", "engine.image_refused", "b", "c"]
    assert service.sent == [["a", "bad", "b", "c"], ["a"], ["bad"], ["b"], ["c"]]


def wrapped(error: Exception) -> Exception:
    """Three exceptions deep, each in another way."""
    try:
        try:
            raise google.RetryError("Timeout of 60.0s exceeded", cause=error)
        except google.RetryError:
            raise ValueError("while gathering") from None  # as __context__ only
    except ValueError as middle:
        outer = RuntimeError("request failed")
        outer.__cause__ = middle
        return outer


THROTTLING = [
    google.ResourceExhausted("Quota exceeded"),
    google.TooManyRequests("429"),
    google.ServiceUnavailable("unavailable"),
    google.DeadlineExceeded("late"),
    google.Aborted("again"),
    google.InternalServerError("oops"),
    wrapped(google.ResourceExhausted("Quota exceeded")),
    wrapped(google.ServiceUnavailable("unavailable")),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", THROTTLING, ids=lambda error: f"{type(error).__name__}")
def test_throttling_and_outage_are_retried_under_the_limit(error: Exception) -> None:
    def fail_twice(number: int, names: list[str]) -> None:
        if number <= 2:
            raise error

    service, limit = Service(fail_twice), OpenLimit()
    assert [text(one) for one in read(gathered(service, limit, wait_s=0.02), "a", "b")] == ["a", "b"]
    assert service.sent == [["a", "b"]] * 3
    assert limit.granted == [2, 2, 2]


def test_throttling_of_single_images_is_retried_for_these() -> None:
    service, limit = Service(errors={"b": [8, 14], "d": [8]}), OpenLimit()
    assert [text(one) for one in read(gathered(service, limit, wait_s=0), *"abcd")] == [*"abcd"]
    assert service.sent == [[*"abcd"], ["b", "d"], ["b"]]
    assert limit.back == 2  # throttled; of the one that met an outage nobody knows


DENIALS = [
    google.PermissionDenied("This API method requires billing to be enabled on project #123."),
    wrapped(google.PermissionDenied("This API method requires billing to be enabled on project #123.")),
    google.Unauthenticated("Request had invalid authentication credentials."),
]


@pytest.mark.parametrize("error", DENIALS, ids=["billing", "billing, wrapped", "credentials"])
def test_a_denial_is_not_retried(error: Exception) -> None:
    def deny(number: int, names: list[str]) -> None:
        raise error

    service, limit = Service(deny), OpenLimit()
    assert [text(one) for one in read(gathered(service, limit), "a", "b")] == ["engine.access_denied"] * 2
    assert len(service.sent) == 1
    assert limit.back == 2


def test_past_the_deadline_the_retryable_error_goes_up() -> None:
    def fail(number: int, names: list[str]) -> None:
        raise google.ResourceExhausted("Quota exceeded")

    service = Service(fail)
    begun = time.monotonic()
    (error,) = read(gathered(service), "a", seconds=1)
    assert isinstance(error, OcrQueueError)
    assert (error.code, error.retryable) == ("engine.throttled", True)
    assert time.monotonic() - begun < 10, "it is not tried for ever"
    assert len(service.sent) > 1


def test_nobody_waits_longer_than_their_own_deadline_for_a_stalled_service() -> None:
    released = threading.Event()
    stalled = gathered(Service(lambda number, names: released.wait(60) and None), wait_s=0)
    begun = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        patient = threads.submit(read, stalled, "patient")
        hasty = threads.submit(read, stalled, "hasty", seconds=1)
        (error,) = hasty.result()
        assert time.monotonic() - begun < 30, "it does not wait as long as its neighbour"
        assert isinstance(error, OcrQueueError)
        assert (error.code, error.retryable) == ("engine.unreachable", True)
        released.set()
        assert [text(one) for one in patient.result()] == ["patient"]


def test_a_limit_that_grants_nothing_in_time_is_throttling_and_known_at_once() -> None:
    begun = time.monotonic()
    full = gathered(Service(), OpenLimit(Admission("", 0, wait_s=30)), wait_s=0)
    (error,) = read(full, "a", seconds=20)
    assert text(error) == "engine.throttled"
    assert time.monotonic() - begun < 15


def test_while_the_limit_holds_back_requests_get_fuller() -> None:
    class HoldsBack(OpenLimit):
        """Until there is work for a request of twelve."""

        def admit(self, images: int) -> Admission:
            return super().admit(images) if images == 12 else Admission("", 0, wait_s=0.01)

    service, names = Service(), [str(number) for number in range(12)]
    assert read_at_once(gathered(service, HoldsBack(), wait_s=0), names) == names
    assert [len(request) for request in service.sent] == [12]


def test_a_budget_that_is_used_up_fails_what_waits_and_the_last_of_it_is_used() -> None:
    service = Service()
    outcomes = [text(one) for one in read(gathered(service, OpenLimit(budget=3)), *"abcde")]
    assert outcomes == ["a", "b", "c", "engine.budget_exhausted", "engine.budget_exhausted"]
    assert service.sent == [["a", "b", "c"]]


def test_an_outage_of_redis_is_waited_for() -> None:
    assert [text(one) for one in read(gathered(Service(), OpenLimit(*[BrokerUnavailable()] * 3)), "a")] == ["a"]
    (error,) = read(gathered(Service(), OpenLimit(*[BrokerUnavailable()] * 1000), wait_s=0), "a", seconds=1)
    assert text(error) == BrokerUnavailable.code


def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    service, limit = Service(), OpenLimit(*[Admission("", 0, wait_s=0.02)] * 30)
    held = gathered(service, limit, wait_s=0.3)
    with ThreadPoolExecutor(2) as threads:
        gone = threads.submit(read, held, "gone", seconds=0.2)
        assert text(gone.result()[0]) == "engine.throttled"
        assert [text(one) for one in read(held, "stays")] == ["stays"]
    assert service.sent == [["stays"]]


def test_a_fault_of_the_limit_or_an_odd_answer_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = OpenLimit()
    monkeypatch.setattr(limit, "admit", lambda images: 1 / 0)
    broken = gathered(Service(), limit, wait_s=0)
    assert read_at_once(broken, ["a"]) == ["engine.failed"]
    monkeypatch.undo()
    assert read_at_once(broken, ["a", "b"]) == ["a", "b"]

    short = Service()
    monkeypatch.setattr(Service, "__call__", lambda self, requests, timeout_s: [])
    assert read_at_once(gathered(short, wait_s=0), ["a"]) == ["engine.failed"]
