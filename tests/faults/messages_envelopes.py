"""Envelopes that are malformed, and well-formed ones that ask Celery for more than the job."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
from collections.abc import Callable
from random import Random
from typing import Any, Final, Literal

from ocrqueue.core.celery_messages import TASK
from tests.faults.messages_jobs import REFUSED_IMAGE, nested

CANARY: Final = "theirs"
"""A queue to which nothing may be sent, whatever a message asks for."""

End = Literal["failed", "dropped", "refused", "waits", "any"]
"""What becomes of a message: a record with an error's code; a log line, and nothing else; a Celery result that is a
failure (the task's id can be none of a job); a job that waits until its time; for messages broken at random, one of the
first two."""


def envelope(
    task_id: str,
    *,
    kwargs: object = None,
    args: object = (),
    embed: object = None,
    task: object = TASK,
    headers: dict[str, Any] | None = None,
    properties: dict[str, Any] | None = None,
    **parts: Any,
) -> dict[str, Any]:
    """As kombu puts it on a list; `parts` replace body, content-type and content-encoding (`content_type=...`)."""
    kwargs = {"job": {"image": REFUSED_IMAGE, "engine": "null"}} if kwargs is None else kwargs
    body = json.dumps([list(args) if isinstance(args, tuple) else args, kwargs, embed or {}])
    made = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": task_id, "retries": 0, "ignore_result": True, **(headers or {})},
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "ocr.null"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": f"tag-{task_id}",
            **(properties or {}),
        },
    }
    return made | {name.replace("_", "-"): value for name, value in parts.items()}


# --- envelopes ---------------------------------------------------------------------------------------------------


def _without(task_id: str, name: str) -> dict[str, Any]:
    made = envelope(task_id)
    del made[name]
    return made


def _with_body(task_id: str, body: object) -> dict[str, Any]:
    return envelope(task_id, body=base64.b64encode(json.dumps(body).encode()).decode())


def _with_raw_body(task_id: str, body: bytes, **more: Any) -> dict[str, Any]:
    return envelope(task_id, body=base64.b64encode(body).decode(), **more)


_Change = Callable[[Random, str], dict[str, Any]]

_NOT_TEXT: Final[tuple[Any, ...]] = (None, 7, 1.5, True, [], {}, ["x"], {"x": 1}, {"__type__": "uuid", "__value__": 1})
_TYPED: Final = (
    {"__type__": "uuid", "__value__": 5},
    {"__type__": "datetime", "__value__": "yesterday"},
    {"__type__": "decimal", "__value__": "x"},
    {"__type__": "base64", "__value__": "%"},
    {"__type__": "bytes", "__value__": None},
    {"__type__": "os.system", "__value__": "reboot"},
)
_NO_CALLS: Final[tuple[Any, ...]] = (
    5,
    "x",
    None,
    {},
    [],
    [[]],
    [[], {}],
    [{}, [], {}],
    [[], {}, []],
    [[], {}, {}, {}],
    {"args": []},
)
_JOBS: Final[tuple[Any, ...]] = (
    *_NOT_TEXT,
    "x",
    [[]],
    [{}],
    [{"id": 7}],
    [{"id": "../x"}],
    [{"id": "\ud800"}],
    [{"id": "x"}, {"id": "x"}],
    [{"id": "x"}, "y"],
    [{"id": "x"}, {"id": "y", "engine": "theirs"}],
    [{"id": "x", "options": {}}, {"id": "y", "options": [{}]}],
    [{"id": f"x{number}"} for number in range(65)],
    [[{"id": "x"}, {"id": "y"}]],
)
_WRONG_HEADERS: Final[dict[str, tuple[Any, ...]]] = {
    "timelimit": (5, "x", [1, 2, 3], ["a", "b"], {}),
    "eta": (5, "yesterday", "", [], "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2020-13-45"),
    "expires": (5, "tomorrow", {}, "9999-12-31T23:59:59-23:59"),
    "retries": ("many", 1.5, None, [], True),
    "root_id": (5, {}, []),
    "parent_id": (5, {}),
    "group": (5, ["x"]),
    "origin": (5, {}),
    "ignore_result": ("yes", 1, [], {}),
    "compression": ("application/x-gzip", "gzip", "klingon", 5, []),
}


def _wrong_header(chance: Random, task_id: str) -> dict[str, Any]:
    name = chance.choice(tuple(_WRONG_HEADERS))
    return envelope(task_id, headers={name: chance.choice(_WRONG_HEADERS[name])})


def _compressed(_: Random, task_id: str) -> dict[str, Any]:
    """A body of 400 bytes that would be 100 MB."""
    return _with_raw_body(task_id, _GZIP_BOMB, headers={"compression": "application/x-gzip"})


_GZIP_BOMB: Final = gzip.compress(bytes(20_000_000))

ENVELOPES: Final[dict[str, tuple[End, _Change]]] = {
    "no headers": ("dropped", lambda _, task_id: _without(task_id, "headers")),
    "headers of the wrong type": (
        "dropped",
        lambda chance, task_id: envelope(task_id) | {"headers": chance.choice(_NOT_TEXT)},
    ),
    "id of the wrong type": ("dropped", lambda chance, _: envelope("x", headers={"id": chance.choice(_NOT_TEXT)})),
    "id that cannot be written": (
        "dropped",
        lambda chance, _: envelope("x", headers={"id": chance.choice(("", "a\nb", "\0", "ä", "\ud800", "x" * 300))}),
    ),
    "task of the wrong type": (
        "dropped",
        lambda chance, task_id: envelope(task_id, task=chance.choice((*_NOT_TEXT, "", "a\nb", "\ud800", "x" * 300))),
    ),
    "no body": ("failed", lambda _, task_id: _without(task_id, "body")),
    "body of the wrong type": ("failed", lambda chance, task_id: envelope(task_id, body=chance.choice(_NOT_TEXT))),
    "body that is no base64": (
        "failed",
        lambda chance, task_id: envelope(task_id, body=chance.choice(("%%%", "a", "ä", "W10", "\ud800", ""))),
    ),
    "body that is no JSON": (
        "failed",
        lambda chance, task_id: _with_raw_body(task_id, chance.choice((b"", b"x", b"[[], {", b"\xff", b"[" * 50_000))),
    ),
    "body that is no call": ("failed", lambda chance, task_id: _with_body(task_id, chance.choice(_NO_CALLS))),
    "body nested deeply": (
        "failed",
        lambda chance, task_id: _with_body(task_id, [[], {"job": nested(chance.choice((80, 300, 900)))}, {}]),
    ),
    "body of typed values": (
        "failed",
        lambda chance, task_id: _with_body(task_id, [[], {"job": chance.choice(_TYPED)}, {}]),
    ),
    "body of large numbers": (
        "failed",
        lambda chance, task_id: _with_raw_body(
            task_id,
            b'[[], {"job": {"image": ' + chance.choice((b"9" * 5_000, b"1e999", b"NaN", b"-Infinity")) + b"}}, {}]",
        ),
    ),
    "pickle": (
        "failed",
        lambda _, task_id: _with_raw_body(
            task_id,
            pickle.dumps([[], {}, {}]),
            content_type="application/x-python-serialize",
            content_encoding="binary",
        ),
    ),
    "content type": (
        "failed",
        lambda chance, task_id: envelope(
            task_id,
            content_type=chance.choice(("application/x-yaml", "application/x-msgpack", "text/plain", "", 5, None)),
        ),
    ),
    "content encoding": (
        "failed",
        lambda chance, task_id: envelope(
            task_id, content_encoding=chance.choice(("klingon", "", "\0", "é" * 500, 5, None))
        ),
    ),
    "compressed": ("failed", _compressed),
    "no properties": ("failed", lambda _, task_id: _without(task_id, "properties")),
    "properties of the wrong type": (
        "failed",
        lambda chance, task_id: envelope(task_id) | {"properties": chance.choice(_NOT_TEXT)},
    ),
    "delivery tag": (
        "failed",
        lambda chance, task_id: envelope(task_id, properties={"delivery_tag": chance.choice((*_NOT_TEXT, "", "same"))}),
    ),
    "delivery info": (
        "failed",
        lambda chance, task_id: envelope(
            task_id,
            properties={"delivery_info": chance.choice((*_NOT_TEXT, {"exchange": CANARY, "routing_key": CANARY}))},
        ),
    ),
    "body encoding": (
        "failed",
        lambda chance, task_id: envelope(task_id, properties={"body_encoding": chance.choice(("rot13", 5, [], {}))}),
    ),
    "wrong header": ("failed", _wrong_header),
    "several jobs": (
        "failed",
        lambda chance, task_id: envelope(task_id, kwargs={"jobs": chance.choice(_JOBS)}),
    ),
    "arguments": (
        "failed",
        lambda chance, task_id: envelope(
            task_id,
            args=chance.choice(([1, 2, 3], [{"image": "x"}, {}], [[]], [None], ["x"] * 5_000)),
            kwargs=chance.choice(({}, {"self": 1}, {"job": {}, "refusal": {}}, {"task": TASK}, {"args": [1]})),
        ),
    ),
}

# --- what Celery would act on ------------------------------------------------------------------------------------


def signature(task: str) -> dict[str, Any]:
    return {
        "task": task,
        "args": [],
        "kwargs": {},
        "options": {"queue": CANARY, "task_id": "theirs"},
        "subtask_type": None,
        "immutable": True,
    }


def _embedding(name: str) -> _Change:
    call = signature("theirs.task")
    value: Any = call if name == "chord" else [call]
    return lambda chance, task_id: envelope(
        task_id,
        embed={name: chance.choice((value, value * 3 if isinstance(value, list) else value))},
        headers={"group": "g"},
    )


ACTED_ON: Final[dict[str, _Change]] = {
    **{name: _embedding(name) for name in ("callbacks", "errbacks", "chain", "chord")},
    "nonsense to be called": lambda chance, task_id: envelope(
        task_id,
        embed={chance.choice(("callbacks", "errbacks", "chain", "chord")): chance.choice((5, "x", [5], [{}], [None]))},
    ),
    "eta past": lambda chance, task_id: envelope(
        task_id, headers={"eta": chance.choice(("2001-01-01T00:00:00", "0001-01-01T00:00:00+00:00", "1970-01-01"))}
    ),
    "eta far ahead": lambda chance, task_id: envelope(
        task_id, headers={"eta": chance.choice(("2999-01-01T00:00:00", "9999-12-31T23:59:59+00:00"))}
    ),
    "expired": lambda chance, task_id: envelope(
        task_id, headers={"expires": chance.choice(("2001-01-01T00:00:00", "0001-01-01T00:00:00Z"))}
    ),
    "expires": lambda _, task_id: envelope(task_id, headers={"expires": "2999-01-01T00:00:00+00:00"}),
    "time limit": lambda chance, task_id: envelope(
        task_id, headers={"timelimit": chance.choice(([0.001, 0.001], [-1, -1], [1e300, None], [None, 0]))}
    ),
    "retries": lambda chance, task_id: envelope(task_id, headers={"retries": chance.choice((-1, 10**9, 10**300))}),
    "routed elsewhere": lambda _, task_id: envelope(
        task_id, properties={"delivery_info": {"exchange": CANARY, "routing_key": CANARY}, "reply_to": CANARY}
    ),
    "the tag of another": lambda _, task_id: envelope(task_id, properties={"delivery_tag": "one for all"}),
    "priority": lambda chance, task_id: envelope(
        task_id, properties={"priority": chance.choice((-1, 9, 255, 10**9, "high", None, []))}
    ),
    "stamps": lambda _, task_id: envelope(
        task_id, headers={"stamped_headers": ["x"], "stamps": {"x": [task_id]}, "x": {"deep": [[[]]]}}
    ),
    "replaced": lambda chance, task_id: envelope(
        task_id,
        headers={"replaced_task_nesting": chance.choice((10**9, "x", -1)), "shadow": chance.choice((5, "x" * 900))},
    ),
    "the context": lambda _, task_id: envelope(
        task_id,
        headers={
            "is_eager": True,
            "called_directly": True,
            "hostname": 5,
            "logfile": "/etc/passwd",
            "loglevel": [],
            "args": 1,
        },
    ),
    "as a group": lambda _, task_id: envelope(task_id, headers={"group": "g", "group_index": -1, "chord": "x"}),
    "another protocol": lambda _, task_id: envelope(
        task_id,
        headers={"lang": "cobol", "meth": "__init__", "argsrepr": 5, "kwargsrepr": ["x"], "origin": "x" * 5_000},
    ),
}
