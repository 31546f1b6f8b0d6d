"""Taking in what foreign Celery apps sent by name: each message becomes a job like any other, in one step of Redis.

Messages are read first, checked here, then removed and submitted by one script: a process that dies in between leaves
the message where it was, and several who take in at once take each once.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from redis.exceptions import ResponseError

from ocrqueue.core.celery_messages import lists_of, queue_of
from ocrqueue.core.foreign_messages import MAX_ENTRY_BYTES, ForeignJob, NoMessage, read_entry, unreadable_job
from ocrqueue.core.installation import workers_by_engine
from ocrqueue.core.records import Outcome, WorkerInfo
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.redis_faults import is_wrong_type
from ocrqueue.core.script_arguments import Arguments
from ocrqueue.core.worker_registry import WorkerRegistry
from ocrqueue.errors import BatchClosed, BrokerUnavailable, InternalError, JobMalformed, NotReplicated, OcrQueueError
from ocrqueue.job import Job, engine_queues, is_lane
from ocrqueue.job.names import AUTO
from ocrqueue.settings import ClientSettings

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 50
_BYTES_AT_ONCE: Final = 2 << 20
"""What is read from a list in one step: messages, and bytes."""
_ROUND: Final = 500
_ROUND_S: Final = 0.5
"""Whoever takes in has other duties too, such as reclaiming: a round is over after so many messages, or seconds."""

_BECAME: Final = {"failed": "refused"}
"""What a state is called here in which a message has ended."""

Prepare = Callable[[Job], Job]
"""What a client does to its jobs before they are queued: checks, and the route. Raises OcrQueueError."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What one round did."""

    became: Mapping[str, int]
    """How many messages became what."""
    more: bool = False
    """Others wait: the next round is due at once."""


def foreign_lists(workers: Iterable[WorkerInfo], settings: ClientSettings) -> list[str]:
    """Every list that a foreign app can have pushed a job to, where these are the live workers."""
    engines = [*workers_by_engine(workers, settings), AUTO]
    return [name for engine in engines for queue in engine_queues(engine) for name in lists_of(queue)]


def take_in_foreign(registry: WorkerRegistry, prepare: Prepare, lists: Sequence[str]) -> TakenIn:
    """One round over the lists that foreign_lists() has found. Raises BrokerUnavailable."""
    became: Counter[str] = Counter()
    with broker_errors():
        # one question, as most of the time there is nothing
        if not registry.client.exists(*map(registry.keys.foreign, lists)):
            return TakenIn({})
    # a round that ends early is not to leave the same lists over each time
    lists = random.sample(lists, len(lists))
    deadline = time.monotonic() + _ROUND_S
    seen = 0

    def is_over() -> bool:
        return seen >= _ROUND or time.monotonic() >= deadline

    while lists and not is_over():
        found = registry.run("peek", registry.arguments.peek(lists, _AT_ONCE, _BYTES_AT_ONCE, MAX_ENTRY_BYTES))
        for name, (too_large, *_) in zip(lists, found, strict=True):
            became["dropped"] += too_large
            seen += too_large
            for _ in range(too_large):
                _log.error("dropped an invalid message from %s: it has more than %d bytes", name, MAX_ENTRY_BYTES)
        for name, entry in _in_turn(lists, [entries for _, *entries in found]):
            if is_over():
                return TakenIn(_named(became), more=True)
            became[take_in_entry(registry, name, entry, prepare)] += 1
            seen += 1
        lists = [name for name, answer in zip(lists, found, strict=True) if _may_be_more(*answer)]
    return TakenIn(_named(became), more=bool(lists))


def _in_turn(lists: Sequence[str], entries: Sequence[Sequence[bytes]]) -> Iterator[tuple[str, bytes]]:
    """One of each list, then the next of each: none has to wait until a longer one is done."""
    for each in zip_longest(*entries):
        for name, entry in zip(lists, each, strict=True):
            if entry is not None:
                yield name, entry


def _named(became: Counter[str]) -> dict[str, int]:
    return {what.replace(" ", "_"): count for what, count in became.items() if count}


def _may_be_more(too_large: int, *entries: bytes) -> bool:
    return too_large + len(entries) >= _AT_ONCE or sum(map(len, entries)) >= _BYTES_AT_ONCE


def take_in_entry(registry: WorkerRegistry, name: str, entry: bytes, prepare: Prepare, *, in_redis: bool = True) -> str:
    """Returns what became of it: see take_in.lua; or 'set aside' where Redis does not take it. `in_redis`: it stands in
    the list of that name, and leaves it, whatever it holds.

    Raises BrokerUnavailable, NotReplicated: then it may be a job, and is to be taken in again.
    """
    held = name if in_redis else None
    try:
        asked = read_entry(entry)
    except NoMessage as fault:
        return _dropped(registry, held, name, entry, str(fault))
    except Exception as error:
        # let through, it would hold up every message behind this one
        _log.exception("cannot read a message from %s", name)
        return _dropped(registry, held, name, entry, f"reading it fails ({type(error).__name__})")
    return _taken_in(registry, held, name, entry, asked, prepare)


def _dropped(registry: WorkerRegistry, held: str | None, name: str, entry: bytes, why: str) -> str:
    became = _told(registry, held, entry, None, None, {}) if held is not None else "dropped"
    if became == "dropped":
        _log.error("dropped an invalid message from %s: %s", name, why)
    return became


def _taken_in(
    registry: WorkerRegistry, held: str | None, name: str, entry: bytes, asked: ForeignJob, prepare: Prepare
) -> str:
    refusal, job = asked.refusal, asked.job
    if refusal is None:
        try:
            job = prepare(_in_lane_of(name, job))
        except BrokerUnavailable:
            raise
        except OcrQueueError as error:
            refusal = error
        except Exception as error:
            _log.exception("cannot check job %s", job.id)
            refusal = InternalError(f"Unexpected {type(error).__name__}.")
    more = _more(asked)
    try:
        return _told(registry, held, entry, job, refusal, more)
    except (BrokerUnavailable, NotReplicated):
        raise
    except Exception as error:
        _log.exception("cannot take job %s in", job.id)
        if isinstance(error, ResponseError) and is_wrong_type(error):
            # others have put something else at a key: once that is gone, the message is as good as before
            return _set_aside(registry, held, name, entry)
        kind = type(error).__name__
    try:
        refusal = JobMalformed(f"The job cannot be queued as it is ({kind}).")
        return _told(registry, held, entry, unreadable_job(job.id), refusal, more)
    except (BrokerUnavailable, NotReplicated):
        raise
    except Exception:
        _log.exception("cannot refuse job %s", job.id)
        return _set_aside(registry, held, name, entry)


def _set_aside(registry: WorkerRegistry, held: str | None, name: str, entry: bytes) -> str:
    """It leaves the list, so that those behind it have their turn, for one that nobody takes from."""
    if held is None:
        _log.error("dropped a message from %s, which Redis does not take", name)
        return "dropped"
    answer: bytes = registry.run("set_aside", registry.arguments.set_aside(held, entry))
    became = answer.decode()
    if became == "set aside":
        _log.error("set a message aside from %s, which Redis does not take: see %s", name, registry.keys.aside(held))
    return became


def _in_lane_of(name: str, job: Job) -> Job:
    """Who sends to a high or low queue wants that lane, whatever the job says."""
    queue = queue_of(name)
    ending = queue.rpartition(".")[2]
    return job.model_copy(update={"priority": ending}) if is_lane(queue) and ending in ("high", "low") else job


def _more(asked: ForeignJob) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if asked.result_for is not None:
        more["by_name"] = asked.result_for
    if asked.trace is not None:
        more["trace"] = asked.trace
    if asked.not_before is not None:
        more["not_before_ms"] = int(asked.not_before.timestamp() * 1000)
    return more


def _told(
    registry: WorkerRegistry,
    name: str | None,
    entry: bytes,
    job: Job | None,
    refusal: OcrQueueError | None,
    more: Mapping[str, Any],
) -> str:
    outcome = Outcome(job_id=job.id, state="failed", error=refusal.info) if job and refusal else None
    answer = _answer(registry, registry.arguments.take_in(name, entry, job, outcome, more), in_redis=name is not None)
    if answer == "revoked" and job is not None:
        outcome = Outcome(job_id=job.id, state="cancelled")
        arguments = registry.arguments.take_in(name, entry, job, outcome, more)
        answer = _answer(registry, arguments, in_redis=name is not None)
    if answer == "batch closed" and job is not None:
        outcome = Outcome(job_id=job.id, state="failed", error=BatchClosed(f"Batch {job.batch} is closed.").info)
        arguments = registry.arguments.take_in(name, entry, job, outcome, more)
        answer = _answer(registry, arguments, in_redis=name is not None)
    return _BECAME.get(answer, answer)


def _answer(registry: WorkerRegistry, arguments: Arguments, *, in_redis: bool) -> str:
    """Raises NotReplicated for a message of another server, which whoever has it there gives up after this."""
    if in_redis:
        answer: bytes = registry.run("take_in", arguments)
        return answer.decode()
    answer, replicas = registry.run_replicated("take_in", arguments)
    if replicas < (wanted := registry.settings.submit_replicas):
        raise NotReplicated(f"A job is queued, but only {replicas} of {wanted} replicas have it.", wanted=wanted)
    return answer.decode()
