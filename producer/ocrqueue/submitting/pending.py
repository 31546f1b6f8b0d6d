"""Images between being taken from an app and being queued: in order, their uploads in parallel. No Redis here.

Jobs are sent 500 at once, or what there is half a second after the first of them was taken: an app whose images come
now and then does not wait for 500. At most 16 uploads are under way or wait their turn (twice OCRQUEUE_UPLOAD_THREADS).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from dataclasses import dataclass
from functools import partial
from threading import Lock, Semaphore
from typing import Final

from ocrqueue.core.script_arguments import PIPELINE
from ocrqueue.errors import OcrQueueError
from ocrqueue.job import Job
from ocrqueue.submitting.image_input import ImageInput
from ocrqueue.submitting.submission import Draft

LINGER_S: Final = 0.5
"""How long a job waits for others, to be sent together."""
_MOST: Final = 2 * PIPELINE
"""Jobs that are held, if the upload of the first takes long."""


@dataclass(slots=True)
class _Entry:
    taken_at: float
    job: Future[Job]
    image: ImageInput | None
    """The image as given; None when the job is made."""


class PendingJobs:
    """The pending jobs of one call.

    The taker of the images calls `add`; the sender, perhaps in another thread, all else.
    """

    def __init__(
        self, begin: Callable[[ImageInput], Draft], finish: Callable[[Draft], Job], threads: int, *, alone: bool = False
    ) -> None:
        """`alone`: there is one image, and no thread is needed for its upload."""
        self.wake: Callable[[], None] = lambda: None
        """Called when there may be something to send."""
        self._begin = begin
        self._finish = finish
        self._threads = threads
        self._alone = alone
        self._entries: deque[_Entry] = deque()
        self._room = Semaphore(2 * threads)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._closed = False
        self._faulty = False

    def add(self, image: ImageInput, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Take in an image, and begin its upload. While too many are under way it waits, and calls `meanwhile`.

        What is wrong with the image is raised by take(), once all before it are sent.
        """
        entry = _Entry(time.monotonic(), Future(), image)
        try:
            draft = self._begin(image)
        except OcrQueueError as error:
            entry.job.set_exception(error)
        else:
            if draft.content is None:
                entry.job.set_result(draft.job)
            elif self._alone:
                self._upload_here(entry.job, draft)
            else:
                self._upload(entry, draft, meanwhile)
        entry.job.add_done_callback(partial(self._made, entry))
        with self._lock:
            self._entries.append(entry)
            first = len(self._entries) == 1
        if first:
            self.wake()

    def _made(self, entry: _Entry, job: Future[Job]) -> None:
        if job.cancelled():
            return
        if job.exception() is None:
            entry.image = None
        else:
            self._faulty = True
            self.wake()

    def _upload_here(self, job: Future[Job], draft: Draft) -> None:
        try:
            job.set_result(self._finish(draft))
        except BaseException as error:
            job.set_exception(error)

    def _upload(self, entry: _Entry, draft: Draft, meanwhile: Callable[[], None]) -> None:
        while not self._room.acquire(timeout=LINGER_S / 4):
            if self._closed:
                entry.job.cancel()
                return
            meanwhile()
        with self._lock:
            if self._closed:
                entry.job.cancel()
                return
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="ocrqueue-upload")
            entry.job = self._pool.submit(self._finish, draft)
        entry.job.add_done_callback(self._uploaded)

    def _uploaded(self, _: Future[Job]) -> None:
        self._room.release()
        self.wake()

    @property
    def is_full(self) -> bool:
        """Nothing more is to be added before something is sent."""
        return len(self._entries) >= _MOST

    def wait_s(self) -> float | None:
        """How long there is nothing to send, unless `wake` is called before; None: until then."""
        with self._lock:
            first = self._entries[0] if self._entries else None
        if first is None or not first.job.done():
            return None
        return max(0.0, first.taken_at + LINGER_S - time.monotonic())

    def take(self, *, now: bool = False) -> list[Job]:
        """The jobs that are to be sent, 500 at most. With `now` none is to come: they need not linger, but are sent
        together where they are made in that time. Raises what was wrong with the first."""
        taken: list[Job] = []
        with self._lock:
            late = bool(self._entries) and time.monotonic() - self._entries[0].taken_at >= LINGER_S
            if not (now or late or self._faulty or len(self._entries) >= PIPELINE):
                return taken
            ready, faulty = self._ready()
            if faulty and not ready:
                self._entries[0].job.result()  # raises it
            all_made = now and ready == len(self._entries)
            if all_made or faulty or ready >= PIPELINE or late:
                taken = [self._entries.popleft().job.result() for _ in range(min(ready, PIPELINE))]
        return taken

    def _ready(self) -> tuple[int, bool]:
        """How many of the first are ready, and whether the next one never will be."""
        for number, entry in enumerate(self._entries):
            if number == PIPELINE or not entry.job.done():
                return number, False
            if entry.job.exception() is not None:
                return number, True
        return len(self._entries), False

    @property
    def first(self) -> Future[Job] | None:
        """The job that is next."""
        with self._lock:
            return self._entries[0].job if self._entries else None

    @property
    def unmade(self) -> Future[Job] | None:
        """The first that is not made yet."""
        with self._lock:
            return next((entry.job for entry in self._entries if not entry.job.done()), None)

    def left(self) -> Sequence[ImageInput]:
        """All that were not taken, in order: jobs where they could be made, else images as they were given."""
        entries = list(self._entries)
        wait_for_futures([entry.job for entry in entries])
        return [entry.image if entry.image is not None else entry.job.result() for entry in entries]

    def stop(self) -> None:
        """Take in nothing more; what is under way goes on."""
        self._closed = True

    @property
    def takes_no_more(self) -> bool:
        """Stopped, or something is wrong with one: what follows it is not to be asked for, nor checked, which can take
        the time in which Redis is to answer, each."""
        return self._closed or self._faulty

    def close(self) -> None:
        """No further upload begins."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
