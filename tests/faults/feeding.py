"""Feeding malformed images and messages to workers, and telling how each ended."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

from ocrqueue import JobStatus, OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.job import engine_queues
from tests.faults.corpus import ImageCase, image_case
from tests.faults.fuzzing_report import Done
from tests.faults.messages import MessageCase, message_case
from tests.faults.messages_envelopes import CANARY
from tests.support.pictures import png, text_picture

_SHARE_OF_IMAGES: Final = 0.6
_IN_FLIGHT: Final = 60
"""Jobs and messages that wait or run at a time."""
_WITH_TESSERACT: Final = 8
"""One image of so many is read by Tesseract, the others by the null engine: it is the decoder that is fuzzed."""
_PAUSE_S: Final = 0.05
_LONGEST_S: Final = 900.0
_SETTLED_AFTER_S: Final = 60.0
_LISTS: Final = (*engine_queues("null"), "ocr.null\x06\x163")
"""The lanes, and kombu's list of the normal one for lesser priority."""
_REFERENCES: Final = ("s3://none/x.png", "http://127.0.0.1/x.png", "https://127.0.0.1/x.png", "file:///x.png")
_OF_EACH: Final = 6
_DROPPED: Final = "dropped an invalid message"
_BUGS: Final = frozenset({"internal.error", "job.poison"})
"""Codes that blame ocrqueue and not the image or message."""
_OWN_KEYS: Final = ("ocrqueue:", "_kombu.", "celery-task-meta-")


class Feeding:
    """`cases` malformed ones, and the readable images among them on top."""

    def __init__(self, seed: int, cases: int, queue: OcrQueue, alive: Callable[[], bool]) -> None:
        """`alive` says whether all workers still run; without them there is nothing to wait for."""
        self.seed = seed
        self.queue = queue
        self._alive = alive
        self.done: list[Done] = []
        self._images_wanted = round(cases * _SHARE_OF_IMAGES)
        self._messages_wanted = cases - self._images_wanted
        self._images_fed = 0
        self._images: dict[str, ImageCase] = {}
        self._messages: dict[str, MessageCase] = {}
        self._fed_messages: list[MessageCase] = []
        self._problems: list[str] = []
        self._malformed_images = 0

    @property
    def ended(self) -> int:
        return len(self.done)

    def warm_up(self) -> None:
        """Have the children import what they import when it is first needed."""
        jobs = [*self._submit_good(), *self.queue.submit_many(_REFERENCES * _OF_EACH, engine="null")]
        for _ in self.queue.watch(jobs, timeout=200):
            pass

    def _submit_good(self) -> list[SubmittedJob]:
        hello = [png(text_picture("Hello 42"))] * _OF_EACH
        return [
            job for engine in ("null", "tesseract") for job in self.queue.submit_many(hello, engine=engine, cache=False)
        ]

    # --- feeding ---------------------------------------------------------------------------------------------------

    def run(self) -> float:
        """Feed all and wait until nothing is under way. Returns seconds."""
        began = time.monotonic()
        while not self._all_ended() and self._alive() and time.monotonic() - began < _LONGEST_S:
            self._feed()
            self._look()
            time.sleep(_PAUSE_S)
        deadline = time.monotonic() + _SETTLED_AFTER_S
        while (self._under_way() or self._unsettled()) and self._alive() and time.monotonic() < deadline:
            self._look()
            time.sleep(_PAUSE_S)
        self._cancel_waiting()
        self._look()
        self._settle()
        return time.monotonic() - began

    def _cancel_waiting(self) -> None:
        """What is to start in some hundred years is there until somebody takes it away."""
        for case in self._messages.values():
            if case.end == "waits":
                self.queue.job(case.task_id).cancel()

    def _all_ended(self) -> bool:
        return self._malformed_images >= self._images_wanted and len(self._fed_messages) == self._messages_wanted

    def _feed(self) -> None:
        """More of both, in proportion, as far as there is room."""
        for _ in range(max(0, _IN_FLIGHT - self._under_way())):
            images, messages = self._malformed_images + len(self._images), len(self._fed_messages)
            if images < self._images_wanted and images * self._messages_wanted <= messages * self._images_wanted:
                self._feed_image()
            elif messages < self._messages_wanted:
                self._feed_message()
            elif images < self._images_wanted:
                self._feed_image()

    def _feed_image(self) -> None:
        case = image_case(self.seed, self._images_fed)
        self._images_fed += 1
        engine = "null" if case.number % _WITH_TESSERACT else "tesseract"
        job = self.queue.submit(case.data, engine=engine, crops="none" if case.number % 3 else "archive")
        self._images[job.id] = case

    def _feed_message(self) -> None:
        case = message_case(self.seed, len(self._fed_messages))
        self._fed_messages.append(case)
        registry_of(self.queue).client.lpush(self._key(_LISTS[case.number % len(_LISTS)]), case.entry)
        if case.end == "dropped":
            self.done.append(Done(f"message-{case.number}", case.kind, "dropped", None))
        else:
            self._messages[case.task_id] = case

    def _key(self, name: str) -> str:
        return registry_of(self.queue).keys.foreign(name)

    def _under_way(self) -> int:
        """Entries in lists, parts in lanes and in workers' hands."""
        registry = registry_of(self.queue)
        with registry.client.pipeline(transaction=False) as pipeline:
            for name in _LISTS:
                pipeline.llen(self._key(name))
            pipeline.zcard(registry.keys.leases())
            pipeline.hvals(registry.keys.waiting())
            *counts, waiting = pipeline.execute()
        return sum(counts) + sum(map(int, waiting))

    def _unsettled(self) -> bool:
        return bool(self._images) or any(case.end in ("failed", "refused") for case in self._messages.values())

    # --- ends ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Move what has ended to `done`."""
        ids = [*self._images, *self._messages]
        for job_id, status in zip(ids, registry_of(self.queue).statuses(ids), strict=True):
            if status is not None and status.finished:
                if job_id in self._images:
                    self._end_image(job_id, self._images.pop(job_id), status)
                else:
                    self._end_message(self._messages.pop(job_id), status)
        refused = [case for case in self._messages.values() if case.end == "refused"]
        keys = [self._key(f"celery-task-meta-{case.task_id}") for case in refused]
        results = cast("list[bytes | None]", registry_of(self.queue).client.mget(keys)) if keys else []
        for case, result in zip(refused, results, strict=True):
            if result is not None:
                del self._messages[case.task_id]
                self._end_refused(case, json.loads(result))

    def _end_image(self, job_id: str, case: ImageCase, status: JobStatus) -> None:
        code = status.error.code if status.error else None
        done = Done(f"image-{case.number}", case.kind, status.state, code)
        self.done.append(done)
        self._malformed_images += done.malformed
        if case.broken and not done.malformed and not self._is_warned_of(job_id):
            self._problems.append(f"{done.name} ({case.kind}) was read as if it were whole")
        self._check_code(done)

    def _is_warned_of(self, job_id: str) -> bool:
        return bool(self.queue.job(job_id).result(timeout=0).warnings)

    def _end_message(self, case: MessageCase, status: JobStatus) -> None:
        done = Done(f"message-{case.number}", case.kind, status.state, status.error.code if status.error else None)
        self.done.append(done)
        if done.end != ("cancelled" if case.end == "waits" else "failed"):
            self._problems.append(f"{done.name} ({case.kind}) is {done.end}, {done.code}; not {case.end}")
        self._check_code(done)

    def _end_refused(self, case: MessageCase, result: dict[str, Any]) -> None:
        self.done.append(Done(f"message-{case.number}", case.kind, "refused", None))
        if (result.get("status"), result.get("task_id")) != ("FAILURE", case.task_id):
            self._problems.append(f"message-{case.number} ({case.kind}) has the result {result}")

    def _check_code(self, done: Done) -> None:
        if done.end == "failed" and (done.code is None or done.code in _BUGS):
            self._problems.append(f"{done.name} ({done.kind}) failed with {done.code}")

    def _settle(self) -> None:
        """What is left has no record: it was dropped, or nobody knows."""
        for case in self._messages.values():
            if case.end == "any":
                self.done.append(Done(f"message-{case.number}", case.kind, "dropped", None))
            else:
                self._problems.append(f"message-{case.number} ({case.kind}) left no trace; not {case.end}")
        self._problems += [f"image-{case.number} ({case.kind}) did not end" for case in self._images.values()]
        if not self._all_ended():
            self._problems.append(f"not all were fed: {self._malformed_images} malformed images had ended by then")

    # --- afterwards ------------------------------------------------------------------------------------------------

    def check_good_jobs(self) -> None:
        """What comes after is read as ever."""
        if not self._alive():
            self._problems.append("a worker's main process has ended")
            return
        for job, status in self.queue.watch(self._submit_good(), timeout=200):
            if status.state != "succeeded" or (status.engine == "tesseract" and job.result().text != "Hello 42"):
                self._problems.append(f"a good job after it: {status.state}, {status.error}")

    def check_leftovers(self) -> None:
        """Nothing is under way, and nothing was sent or written where nothing belongs."""
        registry = registry_of(self.queue)
        if left := self._under_way():
            self._problems.append(f"{left} messages or parts are left in lists, lanes or workers' hands")
        if left := registry.client.zcard(registry.keys.delayed()):
            self._problems.append(f"{left} parts are left to wait for their time")
        self._problems += check(registry)
        prefix = self._key("")
        for raw in registry.client.scan_iter(count=1000):
            name = raw.decode(errors="replace")
            known = name.startswith(tuple(prefix + own for own in _OWN_KEYS))
            if not known or CANARY in name.partition("task-meta")[0]:
                self._problems.append(f"a key that nobody should have written: {name[:80]}")

    def problems(self) -> list[str]:
        return list(self._problems)

    def problems_in_logs(self, logs: Sequence[str]) -> Iterator[str]:
        """As many entries were dropped as log lines say; and the log lines are lines of a log."""
        events: Counter[str] = Counter()
        for log in logs:
            for line in log.splitlines():
                try:
                    said = json.loads(line)
                except ValueError:
                    yield f"a line that is no JSON in a log: {line[:200]}"
                    continue
                events[_DROPPED if said["event"].startswith(_DROPPED) else said["event"]] += 1
                if said.get("level") == "critical" or "exception" in said:
                    yield f"a log line that tells of a bug: {line[:600]}"
        expected = sum(case.end == "dropped" for case in self.done)
        if events[_DROPPED] != expected:
            yield f"{expected} were dropped, and {events[_DROPPED]} log lines say so"
