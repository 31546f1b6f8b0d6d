"""Finds and removes what is left in storage of jobs whose records have expired, and images that no job refers to.

All is claimed before it is removed, a few at a time: jobs may run meanwhile, and several may clean at once. Who is
interrupted goes on where the objects are that are left.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal

from ocrqueue.core import Registry
from ocrqueue.core.audit import begin_run, end_run, who_asks
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.removal import MOST_AT_ONCE, needed_inputs, needed_results, removal
from ocrqueue.core.steps import run_steps
from ocrqueue.errors import CleaningRefused
from ocrqueue.job import JOB_ID
from ocrqueue.job.references import INPUT_NAME
from ocrqueue.storage import PROBE, RESULT, Storage, StoredObject

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

LEAST_AGE_S: Final = 3600
"""What is newer is left alone, whatever Redis says: it may be of a job that is on its way."""
_OBJECTS_AT_ONCE: Final = 1000
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Amount:
    """So many of a kind, and what they have stored."""

    count: int = 0
    objects: int = 0
    size_bytes: int = 0

    def __add__(self, more: Amount) -> Amount:
        return Amount(self.count + more.count, self.objects + more.objects, self.size_bytes + more.size_bytes)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed, or would be."""

    results: Amount = Amount()
    """Results of jobs."""
    inputs: Amount = Amount()
    """Uploaded images."""


@dataclass(frozen=True, slots=True)
class _Expired:
    """What is stored of one job, long enough ago; `is_last`: and no more of it follows."""

    job_id: str
    objects: tuple[StoredObject, ...]
    is_last: bool = True


@dataclass
class Cleaning:
    """One run. `on_step` hears what is removed by now, again and again."""

    registry: Registry
    storage: Storage
    dry_run: bool
    results_older_than_s: float
    least_age_s: float = LEAST_AGE_S
    on_step: Callable[[Cleaned], None] = lambda _: None
    who: str | None = None
    """For the audit."""
    done: Cleaned = field(default=Cleaned(), init=False)
    _now_s: float = field(default=0.0, init=False)

    def run(self) -> Cleaned:
        """Raises CleaningRefused, BrokerUnavailable, StorageUnavailable, StorageDenied: what is removed by then is."""
        with broker_errors():
            seconds, microseconds = self.registry.client.time()
            self._now_s = seconds + microseconds / 1_000_000
        if self.dry_run:
            self._clean()
            return self.done
        arguments, asked = self.registry.arguments, {"older_than_s": self.results_older_than_s}
        begin = begin_run(arguments, "clean", asked, self.who or who_asks(), int(self._now_s * 1_000_000))
        how: Literal["done", "interrupted"] = "interrupted"
        run = run_steps(self.registry, begin)
        try:
            self._clean()
            how = "done"
        finally:
            run_steps(self.registry, end_run(arguments, run, how, self.done.results.count))
        return self.done

    def _clean(self) -> None:
        for folders in _batches(self._expired()):
            self._take(Cleaned(results=self._remove_results(folders)))
        for images in _chunks(self._old_inputs(), MOST_AT_ONCE):
            self._take(Cleaned(inputs=self._remove_inputs(images)))

    def _take(self, more: Cleaned) -> None:
        self.done = Cleaned(self.done.results + more.results, self.done.inputs + more.inputs)
        self.on_step(self.done)

    # --- results ---------------------------------------------------------------------------------------------------

    def _expired(self) -> Iterator[_Expired]:
        latest = self._now_s - max(self.results_older_than_s, self.least_age_s)
        for job_id, found in groupby(self.storage.stored("results"), lambda stored: stored.key.split("/")[1]):
            if job_id.startswith(PROBE):
                self._remove_probes(list(found))
                continue
            objects = sorted(found, key=lambda stored: stored.key != _result_key(job_id))
            if re.fullmatch(JOB_ID, job_id) and all(stored.modified_at <= latest for stored in objects):
                for start in range(0, len(objects), _OBJECTS_AT_ONCE):
                    end = start + _OBJECTS_AT_ONCE
                    yield _Expired(job_id, tuple(objects[start:end]), is_last=end >= len(objects))

    def _remove_probes(self, found: Sequence[StoredObject]) -> None:
        """What a worker that was killed has left of a look at its storage. Nobody counts it."""
        old = [stored.key for stored in found if stored.modified_at <= self._now_s - self.least_age_s]
        if old and not self.dry_run:
            self.storage.delete(old)

    def _remove_results(self, folders: Sequence[_Expired]) -> Amount:
        job_ids = [folder.job_id for folder in folders]
        self._check_redis(job_ids)
        if self.dry_run:
            return _amount(folders, set(job_ids) - needed_results(self.registry, job_ids))
        with removal(self.registry, job_ids=job_ids) as claimed:
            ours = set(claimed.job_ids)
            keys = [stored.key for folder in folders if folder.job_id in ours for stored in folder.objects]
            # first what says that the rest is there
            for part in ([key for key in keys if _is_result(key)], [key for key in keys if not _is_result(key)]):
                if not claimed.in_time():
                    return Amount()
                self.storage.delete(part)
            self.storage.remove_folders(f"results/{job_id}" for job_id in claimed.job_ids)
        return _amount(folders, ours)

    # --- inputs ----------------------------------------------------------------------------------------------------

    def _old_inputs(self) -> Iterator[StoredObject]:
        for stored in self.storage.stored("inputs"):
            is_one = re.fullmatch(INPUT_NAME, stored.key.removeprefix("inputs/"))
            if is_one and stored.modified_at <= self._now_s - self.least_age_s:
                yield stored

    def _remove_inputs(self, images: Sequence[StoredObject]) -> Amount:
        names = [stored.key.removeprefix("inputs/") for stored in images]
        self._check_redis(names)
        if self.dry_run:
            ours = set(names) - needed_inputs(self.registry, names)
        else:
            with removal(self.registry, inputs=[(name, "") for name in names]) as claimed:
                if not claimed.in_time():
                    return Amount()
                self.storage.delete(f"inputs/{name}" for name in claimed.inputs)
                ours = set(claimed.inputs)
        sizes = [stored.size_bytes for stored, name in zip(images, names, strict=True) if name in ours]
        return Amount(len(sizes), len(sizes), sum(sizes))

    def _check_redis(self, found: Sequence[str]) -> None:
        """A Redis that has never had a job is hardly the one whose jobs have stored all this."""
        with broker_errors():
            if found and not self.registry.client.exists(f"{self.registry.keys.root}sequence"):
                raise CleaningRefused


def results_life_s(settings: ClientSettings) -> int:
    """For how long a result may be asked for: by its job's record, or for the same image again."""
    return max(settings.record_ttl_s, settings.cache_ttl_s)


def lifecycle_rules(settings: ClientSettings) -> dict[str, Any]:
    """Rules for the bucket by which it removes the same by itself, by age alone, as S3's API takes them.

    An image that is uploaded again is stored again once it is a day old, so that a job finds it fresher than that. The
    job may wait for a day; then it has a record, or is a dead letter.
    """
    folder = settings.storage.removeprefix("s3://").partition("/")[2].strip("/")
    prefix = f"{folder}/" if folder else ""
    results = _days(results_life_s(settings))
    inputs = 2 + _days(max(settings.record_ttl_s, settings.dead_letter_ttl_s))
    return {
        "Rules": [
            _rule("ocrqueue-results", f"{prefix}results/", results),
            _rule("ocrqueue-inputs", f"{prefix}inputs/", inputs),
        ]
    }


def _rule(name: str, prefix: str, days: int) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": days}}


def _days(seconds: float) -> int:
    return math.ceil(seconds / _DAY_S)


def _batches(folders: Iterable[_Expired]) -> Iterator[list[_Expired]]:
    """So many as one claim takes, and one request deletes."""
    batch: list[_Expired] = []
    objects = 0
    for folder in folders:
        if batch and (len(batch) >= MOST_AT_ONCE or objects + len(folder.objects) > _OBJECTS_AT_ONCE):
            yield batch
            batch, objects = [], 0
        batch.append(folder)
        objects += len(folder.objects)
    if batch:
        yield batch


def _chunks(items: Iterable[StoredObject], size: int) -> Iterator[list[StoredObject]]:
    chunk: list[StoredObject] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _amount(folders: Sequence[_Expired], job_ids: set[str]) -> Amount:
    """A job counts with the last of what it has stored."""
    ours = [folder for folder in folders if folder.job_id in job_ids]
    objects = [stored for folder in ours for stored in folder.objects]
    return Amount(sum(folder.is_last for folder in ours), len(objects), sum(stored.size_bytes for stored in objects))


def _result_key(job_id: str) -> str:
    return f"results/{job_id}/{RESULT}"


def _is_result(key: str) -> bool:
    return key.count("/") == 2 and key.endswith(f"/{RESULT}")
