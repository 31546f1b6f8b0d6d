"""submit_many: takes images, uploads them in threads, and queues their jobs in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from typing import Any, Self

from ocrqueue.core.admission import Admission
from ocrqueue.core.script_arguments import Arguments
from ocrqueue.errors import OcrQueueError, QueueFull
from ocrqueue.submitting.image_input import ImageInput
from ocrqueue.submitting.pending import LINGER_S, PendingJobs
from ocrqueue.submitting.submission import Waiting

Run = Callable[[Arguments], tuple[Any, int]]
"""SUBMIT, and how many replicas have the jobs."""


class Sender:
    """Sends the jobs of one call, in the caller's thread; where taking an image may block that, in another one, too."""

    def __init__(
        self, pending: PendingJobs, admission: Admission, run: Run, on_full: Callable[[QueueFull], None] | None = None
    ) -> None:
        """`on_full` is called once, before the first wait for room."""
        self.admission = admission
        self._pending = pending
        self._run = run
        self._on_full = on_full
        self._queued: deque[str] = deque()
        self._sending = threading.Lock()
        self._pause_s = 0.0
        """Before the next call."""
        self._stopped = threading.Event()
        self._added = threading.Event()
        self._fault: BaseException | None = None
        self._beside: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._added.set()
        self._pending.close()
        if self._beside is not None:
            self._beside.join()

    def send_beside(self) -> None:
        """In a thread of its own, too: while the caller waits for an image, what is due goes to its queue."""
        run = copy_context().run
        self._beside = threading.Thread(target=run, args=(self._run_beside,), name="ocrqueue-submit", daemon=True)
        self._beside.start()

    def _run_beside(self) -> None:
        while not self._stopped.is_set():
            self._added.wait()
            self._added.clear()
            while not self._stopped.is_set() and self._pending.first is not None:
                try:
                    while self.step():
                        pass
                except BaseException as fault:
                    self._fault = fault
                    return
                wait_s = self._pending.wait_s()
                self._stopped.wait(LINGER_S / 4 if wait_s is None else wait_s)

    @property
    def has_fault(self) -> bool:
        """The call will end with an error, once what was taken before is queued."""
        return self._fault is not None or self._pending.takes_no_more

    def add(self, image: ImageInput) -> None:
        """Take an image. What is due is to be sent next, by step()."""
        self._pending.add(image, meanwhile=self._send_due)
        self._added.set()

    def _send_due(self) -> None:
        while self.step():
            pass

    def step(self, *, everything: bool = False) -> bool:
        """Call Redis once, if a job is due, or any is ready and `everything` is to be sent. Returns whether there may
        be more to do now.

        Raises QueueFull, BatchClosed, BrokerUnavailable, and what is wrong with an image once all before it are queued.
        """
        if not self._sending.acquire(timeout=LINGER_S):
            return True
        try:
            if self._fault is not None:
                raise self._fault
            return self._step(everything)
        finally:
            self._sending.release()

    def _step(self, everything: bool) -> bool:
        admission = self.admission
        if not admission.pending and not admission.take(self._pending.take(now=everything)):
            return self._wait_for_next() if everything or self._pending.is_full else False
        if self._pause_s and self._stopped.wait(self._pause_s):
            return False
        self._queued += admission.settle(*self._run(admission.call()))
        self._pause_s = admission.pause_s()
        if self._pause_s and self._on_full is not None and (full := admission.refusal()) is not None:
            self._on_full(full)
            self._on_full = None
        return True

    def _wait_for_next(self) -> bool:
        """Wait a little for the next job; whether there is one."""
        unmade = self._pending.unmade
        if unmade is not None:
            done = threading.Event()
            unmade.add_done_callback(lambda _: done.set())
            done.wait(LINGER_S)
        return self._pending.first is not None

    def queued(self) -> list[str]:
        """The ids of the jobs that were queued since the last call, in order."""
        return [self._queued.popleft() for _ in range(len(self._queued))]

    def left(self) -> Sequence[ImageInput]:
        """What was taken and is not queued for certain."""
        with self._sending:
            return [*self.admission.pending, *self._pending.left()]


def submit_in_order(images: Iterable[ImageInput | Waiting], sender: Sender, *, all_there: bool) -> Iterator[list[str]]:
    """Yields ids as their jobs are queued.

    What is raised tells what was taken and is not queued, and if `all_there` what was not taken, too: an error of
    ocrqueue in `unsubmitted`, any other in a note.
    """
    images = iter(images)
    count = 0
    with sender:
        try:
            for queued in _queued_in_order(images, sender):
                count += len(queued)
                yield queued
        except GeneratorExit:
            raise
        except BaseException as error:
            if queued := sender.queued():
                count += len(queued)
                yield queued
            if isinstance(error, Exception):
                tell(error, count, [*sender.left(), *(images if all_there else ())])
            raise


def _queued_in_order(images: Iterable[ImageInput | Waiting], sender: Sender) -> Iterator[list[str]]:
    for image in _taken(images, sender):
        if not isinstance(image, Waiting):
            sender.add(image)
        yield from _sent(sender, everything=False)
        if sender.has_fault:
            break
    yield from _sent(sender, everything=True)
    if (fault := sender.admission.not_replicated()) is not None:
        raise fault


def _sent(sender: Sender, *, everything: bool) -> Iterator[list[str]]:
    more = True
    while more:
        more = sender.step(everything=everything)
        if queued := sender.queued():
            yield queued


def tell(error: Exception, queued: int, left: Sequence[ImageInput | Waiting]) -> None:
    """Note in `error`, which ends a call, which of its images are queued."""
    if isinstance(error, OcrQueueError):
        error.unsubmitted = tuple(left)
    else:
        # of the caller's iterable
        more = f", and {len(left):,} more taken" if left else ""
        were = {0: "No image was", 1: "The first image was"}.get(queued, f"The first {queued:,} images were")
        error.add_note(f"{were} queued{more}.")


def _taken(images: Iterable[ImageInput | Waiting], sender: Sender) -> Iterator[ImageInput | Waiting]:
    """The images; if the iterable raises, what it gave before is sent first."""
    iterator = iter(images)
    while True:
        try:
            image = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            try:
                while sender.step(everything=True):
                    pass
            except OcrQueueError as fault:
                error.add_note(f"What it gave before could not be queued: {fault.code}: {fault.message}")
            raise
        yield image
