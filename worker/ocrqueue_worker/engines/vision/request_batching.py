"""Images of concurrent calls, gathered into shared requests, paced by the limit of all workers, and retried.

What waits, waits in one list. One thread at a time gathers from its front: it lets a moment pass for others to come,
asks the limit for a request, takes as many images as one request holds, and sends them, while another thread begins to
gather what is left. So long as the limit grants nothing the list grows, and requests get fuller.

Nobody waits beyond their own deadline, whatever a request does meanwhile. An image that ended in an error worth a retry
goes back into the list for a while, with the others of its request, and takes part in another request, which the limit
must grant as well.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from ocrqueue.errors import (
    BrokerUnavailable,
    EngineBudgetExhausted,
    EngineFailed,
    EngineImageRefused,
    EngineThrottled,
    EngineTimeout,
    EngineUnreachable,
    OcrQueueError,
)
from ocrqueue_worker.engines.vision.error_mapping import error_of, image_error, is_refusal
from ocrqueue_worker.engines.vision.rate_limit import Admission, RateLimit
from ocrqueue_worker.telemetry import metrics

if TYPE_CHECKING:
    from google.cloud.vision import AnnotateImageRequest, AnnotateImageResponse

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_LONGEST_SLEEP_S: Final = 1.0
"""Between two questions to the limit: another worker may have given back meanwhile."""

Annotate = Callable[[Sequence["AnnotateImageRequest"], float], "list[AnnotateImageResponse]"]
"""One request and its time in seconds; raises what Google's library does."""


@dataclass(frozen=True, slots=True)
class Gather:
    """How images are gathered."""

    images: int
    """The most in one request."""
    request_bytes: int
    wait_s: float
    """How long an image waits for others."""
    timeout_s: float
    """Of one request."""


@dataclass(eq=False, slots=True)
class _Asked:
    """One image that somebody waits for."""

    request: AnnotateImageRequest
    bytes: int
    deadline: float
    ready_at: float
    """time.monotonic() from which it may be sent."""
    tries: int = 0
    alone: bool = False
    """Its last request was refused as a whole: perhaps because of it, perhaps because of a neighbour."""
    error: OcrQueueError | None = None
    """What its last request ended in."""
    outcome: AnnotateImageResponse | OcrQueueError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def settle(self, outcome: AnnotateImageResponse | OcrQueueError) -> None:
        if not self.done.is_set():
            self.outcome = outcome
            self.done.set()

    def expired(self) -> OcrQueueError:
        """The error of one whose time is up."""
        return self.error or EngineUnreachable("Google had not answered when the job's time was up.")


class Gathering:
    """For calls from several threads at once."""

    def __init__(self, annotate: Annotate, limit: RateLimit, gather: Gather) -> None:
        self._annotate = annotate
        self._limit = limit
        self._gather = gather
        self._changed = threading.Condition()
        self._waiting: list[_Asked] = []
        self._gathers = False
        """Whether a thread gathers."""
        self._threads = 0
        self._closed = False

    def read(
        self, requests: Sequence[AnnotateImageRequest], deadline: float
    ) -> list[AnnotateImageResponse | OcrQueueError]:
        """The answer to each, or the error in its stead; by `deadline`, a time.monotonic()."""
        now = time.monotonic()
        if deadline <= now:
            return [EngineTimeout()] * len(requests)
        asked = [_Asked(request, _bytes(request), deadline, ready_at=now) for request in requests]
        self._put(asked)
        return [self._outcome(each) for each in asked]

    def close(self) -> None:
        """Whoever still waits for a request to be sent hears that there will be none."""
        with self._changed:
            self._closed = True
            left, self._waiting[:] = list(self._waiting), []
            self._changed.notify_all()
        _settle(left, EngineUnreachable("The worker stops."))

    def join(self, timeout_s: float) -> None:
        """Wait for requests that are under way to end, for so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._threads == 0, timeout_s)

    def _outcome(self, asked: _Asked) -> AnnotateImageResponse | OcrQueueError:
        left = asked.deadline - time.monotonic()
        if not asked.done.wait(min(max(left, 0), threading.TIMEOUT_MAX)):
            with self._changed:
                waits = asked in self._waiting
                if waits:
                    self._waiting.remove(asked)
                asked.settle(_none_in_time() if waits and asked.error is None else asked.expired())
        assert asked.outcome is not None  # noqa: S101  # settle() sets it before it says so
        return asked.outcome

    def _put(self, asked: Sequence[_Asked], first: bool = False) -> None:
        with self._changed:
            if self._closed:
                _settle(asked, EngineUnreachable("The worker stops."))
                return
            self._waiting[:] = [*asked, *self._waiting] if first else [*self._waiting, *asked]
            self._changed.notify_all()
            self._start()

    def _start(self) -> None:
        """Let a thread gather what waits, unless one does; with the lock held."""
        if self._waiting and not self._gathers:
            self._gathers = True
            self._threads += 1
            threading.Thread(target=self._gather_and_send, name="ocrqueue-vision", daemon=True).start()

    def _gather_and_send(self) -> None:
        taken: list[_Asked] = []
        try:
            admission, taken = self._take_next()
            if taken:
                self._send(taken, admission)
        except Exception as error:  # whatever it is, nobody may wait for this thread in vain
            _log.exception("request raised an exception")
            if not taken:
                with self._changed:
                    taken, self._waiting[:] = list(self._waiting), []
                    self._gathers = False
            _settle(taken, error_of(error))
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()

    # --- gathering -------------------------------------------------------------------------------------------------

    def _take_next(self) -> tuple[Admission, list[_Asked]]:
        """The images of the next request, and its admission; none where nothing waits any more."""
        while True:
            if (wanted := self._wait_for_batch()) == 0:
                return Admission("", 0), []
            try:
                admission = self._limit.admit(wanted)
            except BrokerUnavailable as error:
                self._note(error)
                time.sleep(_LONGEST_SLEEP_S)
                continue
            if admission.exhausted:
                self._fail_waiting()
            elif admission.images == 0:
                self._sleep(admission.wait_s)
            elif taken := self._take(admission):
                return admission, taken

    def _wait_for_batch(self) -> int:
        """How many images are due; 0 once nothing waits, and then this thread no longer gathers."""
        with self._changed:
            while True:
                now = time.monotonic()
                self._waiting[:] = [asked for asked in self._waiting if not asked.done.is_set()]
                if not self._waiting:
                    self._gathers = False
                    return 0
                batch, is_full = self._batch(now)
                due = min(asked.ready_at for asked in self._waiting) + self._gather.wait_s
                if batch and (is_full or due <= now):
                    return len(batch)
                self._changed.wait(due - now)

    def _batch(self, now: float) -> tuple[list[_Asked], bool]:
        """Those from the front that may share a request now, and whether no more would go in."""
        batch: list[_Asked] = []
        size = 0
        for asked in self._waiting:
            if asked.ready_at > now:
                continue
            if asked.alone or (batch and size + asked.bytes > self._gather.request_bytes):
                return (batch or [asked]), True
            batch.append(asked)
            size += asked.bytes
            if len(batch) == self._gather.images:
                return batch, True
        return batch, False

    def _take(self, admission: Admission) -> list[_Asked]:
        """Take what was admitted out of the list, and let another thread gather the rest."""
        with self._changed:
            batch, _ = self._batch(time.monotonic())
            taken = [asked for asked in batch if not asked.done.is_set()][: admission.images]
            self._waiting[:] = [asked for asked in self._waiting if asked not in taken]
            if taken:
                self._gathers = False
                self._start()
        if not taken:
            self._give_back(admission, billed=0)
        return taken

    def _sleep(self, wait_s: float) -> None:
        """Until the limit may grant a request; those whose time is up before hear so at once."""
        earliest = time.monotonic() + wait_s
        with self._changed:
            hopeless = [asked for asked in self._waiting if asked.deadline < earliest]
            self._waiting[:] = [asked for asked in self._waiting if asked not in hopeless]
        for asked in hopeless:
            asked.settle(asked.error or _none_in_time())
        time.sleep(min(wait_s, _LONGEST_SLEEP_S))

    def _fail_waiting(self) -> None:
        with self._changed:
            failed, self._waiting[:] = list(self._waiting), []
        _settle(failed, EngineBudgetExhausted())

    def _note(self, error: OcrQueueError) -> None:
        with self._changed:
            for asked in self._waiting:
                asked.error = error

    # --- sending ---------------------------------------------------------------------------------------------------

    def _send(self, batch: list[_Asked], admission: Admission) -> None:
        begun = time.monotonic()
        left = max(asked.deadline for asked in batch) - begun
        try:
            answers = self._annotate([asked.request for asked in batch], max(0.001, min(left, self._gather.timeout_s)))
        except Exception as error:  # Google's library raises many kinds, and wraps them
            self._note_failure(batch, error_of(error))
        else:
            self._note_answers(batch, answers)
        failed = [asked for asked in batch if asked.error is not None and not asked.done.is_set()]
        _log.info(
            "request to Google ended",
            images=len(batch),
            failed=len(failed),
            errors=sorted({asked.error.code for asked in failed if asked.error is not None}),
            seconds=round(time.monotonic() - begun, 3),
        )
        billed = sum(asked.error is None or not is_refusal(asked.error) for asked in batch)
        metrics.service_asked("vision", billed, next((each.error.code for each in failed if each.error), None))
        self._retry_or_settle(failed)
        self._give_back(admission, billed)

    def _note_failure(self, batch: Sequence[_Asked], error: OcrQueueError) -> None:
        for asked in batch:
            asked.error = error
            # whose fault it is shows when each is sent by itself
            asked.alone = isinstance(error, EngineImageRefused) and len(batch) > 1

    def _note_answers(self, batch: Sequence[_Asked], answers: Sequence[AnnotateImageResponse]) -> None:
        if len(answers) != len(batch):
            self._note_failure(batch, EngineFailed(f"Google gave {len(answers)} answers for {len(batch)} images."))
            return
        for asked, answer in zip(batch, answers, strict=True):
            asked.alone = False
            if answer.error.code:
                by_reference = bool(asked.request.image.source.image_uri)
                asked.error = image_error(answer.error.code, answer.error.message, by_reference)
            else:
                asked.error = None
                asked.settle(answer)

    def _retry_or_settle(self, failed: Sequence[_Asked]) -> None:
        """Put back what is worth another try while there is time for it."""
        tries = max((asked.tries for asked in failed), default=0)
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**tries) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
        now, again = time.monotonic(), []
        for asked in failed:
            error = asked.error or EngineFailed()
            if asked.alone:
                asked.ready_at = now
                again.append(asked)
            elif error.retryable and now + pause_s < asked.deadline:
                asked.tries += 1
                asked.ready_at = now + pause_s
                again.append(asked)
            else:
                asked.settle(error)
        if again:
            self._put(again, first=True)

    def _give_back(self, admission: Admission, billed: int) -> None:
        try:
            self._limit.give_back(admission, admission.images - billed)
        except BrokerUnavailable as error:
            _log.warning("images stay counted that Google did not read", error=error.code)


def _settle(batch: Sequence[_Asked], error: OcrQueueError) -> None:
    for asked in batch:
        asked.settle(error)


def _none_in_time() -> EngineThrottled:
    return EngineThrottled("The limit of requests a minute allows none for this image within the time of its job.")


def _bytes(request: AnnotateImageRequest) -> int:
    return len(request.image.content)
