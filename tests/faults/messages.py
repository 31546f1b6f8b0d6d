"""Malformed messages without end: entries of a queue's list, each made by its number alone.

Jobs in them refer to a file that no worker may read, so even one that turns out to be well-formed fails with a code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from ocrqueue.core.celery_messages import TASK
from tests.faults.messages_envelopes import ACTED_ON, ENVELOPES, End, envelope, signature
from tests.faults.messages_jobs import BAD_FIELDS, REFUSED_IMAGE
from tests.faults.messages_raw import RAW


@dataclass(frozen=True, slots=True)
class MessageCase:
    number: int
    kind: str
    entry: bytes
    end: End
    task_id: str
    """Under which the record or the result is, if there is one."""


def message_case(seed: int, number: int) -> MessageCase:
    """The same for the same arguments."""
    chance = Random(f"message/{seed}/{number}")
    make = chance.choices([_raw, _broken, _envelope, _headers, _job, _other_task, _bad_id], [15, 15, 20, 15, 30, 3, 2])[
        0
    ]
    return make(chance, number, f"fuzz-{seed}-{number}")


def _text(value: object) -> bytes:
    return json.dumps(value).encode()


def _raw(chance: Random, number: int, task_id: str) -> MessageCase:
    name = chance.choice(tuple(RAW))
    entry = RAW[name](chance, _text(envelope(task_id)))
    return MessageCase(number, f"no message: {name}", entry, "dropped", task_id)


def _broken(chance: Random, number: int, task_id: str) -> MessageCase:
    """A message with bytes replaced by others that can be read, anywhere but in its id."""
    before, found, after = _text(envelope(task_id)).partition(f'"id": "{task_id}"'.encode())
    parts = [bytearray(before), bytearray(after)]
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        part = chance.choice(parts)
        part[chance.randrange(len(part))] = chance.randint(32, 126)
    return MessageCase(number, "message broken at random", found.join(map(bytes, parts)), "any", task_id)


def _envelope(chance: Random, number: int, task_id: str) -> MessageCase:
    name, (end, change) = chance.choice(tuple(ENVELOPES.items()))
    return MessageCase(number, f"envelope: {name}", _text(change(chance, task_id)), end, task_id)


def _headers(chance: Random, number: int, task_id: str) -> MessageCase:
    name = chance.choice(tuple(ACTED_ON))
    end: End = "waits" if name == "eta far ahead" else "failed"
    return MessageCase(number, f"asks Celery: {name}", _text(ACTED_ON[name](chance, task_id)), end, task_id)


def _job(chance: Random, number: int, task_id: str) -> MessageCase:
    field = chance.choice(tuple(BAD_FIELDS))
    job = {"image": REFUSED_IMAGE, "engine": "null", field: chance.choice(BAD_FIELDS[field])}
    if chance.random() < 0.2:
        other = chance.choice(tuple(BAD_FIELDS))
        job[other] = chance.choice(BAD_FIELDS[other])
    # a good `id` of its own would take the record elsewhere, and one of the bad ones is the task's all the same
    return MessageCase(number, f"job: {field}", _text(envelope(task_id, kwargs={"job": job})), "failed", task_id)


def _other_task(chance: Random, number: int, task_id: str) -> MessageCase:
    """Celery's own tasks, which send or run what they are given, and names that nobody has."""
    canary = signature("theirs.task")
    name, args = chance.choice(
        (
            ("celery.backend_cleanup", []),
            ("celery.chord_unlock", ["group", canary]),
            ("celery.map", [canary, [[1], [2]]]),
            ("celery.starmap", [signature(TASK), [[{"image": REFUSED_IMAGE}]]]),
            ("celery.chunks", [canary, [[1]], 1]),
            ("celery.group", [[canary], "result", "group", []]),
            ("celery.chord", [[canary], canary]),
            ("celery.accumulate", [1, 2]),
            ("ocrqueue.finished", []),
            ("os.system", ["reboot"]),
            ("../../task", []),
            (" ", []),
        )
    )
    made = envelope(task_id, task=name, args=args, kwargs={}, headers={"ignore_result": False})
    return MessageCase(number, "another task", _text(made), "dropped", task_id)


def _bad_id(chance: Random, number: int, task_id: str) -> MessageCase:
    bad = chance.choice(("../../{}", "{} x", "{}*", "-{}", "{}" + "x" * 200, "ocrqueue:job:{}", "{}%0a", "'{}'"))
    bad = bad.format(task_id)
    return MessageCase(number, "id of no job", _text(envelope(bad, headers={"ignore_result": False})), "refused", bad)
