"""Messages in Celery's format, made without a broker.

Headers are Celery's (message protocol 2, made by Celery itself). The envelope around them is kombu's for virtual
transports (kombu/transport/virtual/base.py, `prepare_message` and `_inplace_augment_message`): a JSON object with a
body that is JSON in base64, or JSON in a text. Making it here, rather than publishing through kombu, lets one script
end a job and post the reply together. A test holds it equal to what `app.send_task` publishes, save for nulls.
"""

from __future__ import annotations

import os
import threading
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from celery import Celery

TASK: Final = "ocrqueue.recognize"

_PRIORITY_SEPARATOR: Final = "\x06\x16"
_KOMBU_PRIORITIES: Final = ("3", "6", "9")
"""kombu's lists of lesser priority have a suffix (kombu/transport/redis.py, `_q_for_pri`)."""


def queue_of(name: str) -> str:
    """The queue of one of `lists_of`."""
    return name.partition(_PRIORITY_SEPARATOR)[0]


def lists_of(queue: str) -> list[str]:
    """The lists that a foreign app's message for this queue can be in."""
    return [queue, *(f"{queue}{_PRIORITY_SEPARATOR}{priority}" for priority in _KOMBU_PRIORITIES)]


_made: Final[dict[tuple[str, bool], dict[str, Any]]] = {}
_making: Final = {"lock": threading.Lock()}
# in a process that was forked while another thread had it
os.register_at_fork(after_in_child=lambda: _making.update(lock=threading.Lock()))


@cache
def _protocol() -> Celery:
    # not from `celery`: while that is imported it puts another module into its own place, and a second thread that
    # waits for it is given the first one
    from celery.app.base import Celery

    return Celery("ocrqueue", set_as_current=False, broker="memory://")


def _headers(task: str, ignore_result: bool) -> dict[str, Any]:
    """Of every call of the task, but for its ids."""
    asked = (task, ignore_result)
    if asked not in _made:
        # an app makes its parts as they are asked for, and not for several threads
        with _making["lock"]:
            _made[asked] = _make_headers(task, ignore_result)
    return _made[asked]


def _make_headers(task: str, ignore_result: bool) -> dict[str, Any]:
    made = _protocol().amqp.as_task_v2(
        # what monitors show and workers may log: never an argument, it can hold a presigned URL
        "",
        task,
        argsrepr="()",
        kwargsrepr="{}",
        ignore_result=ignore_result,
    )
    # what is null is left out: Celery reads it as such
    headers = {name: value for name, value in _without_nulls(made.headers).items() if value != [None, None]}
    headers.pop("stamped_headers", None)
    return headers


def prepare_messages() -> None:
    """Import Celery now, which takes a quarter of a second, so that an event loop is not blocked by it later."""
    _headers(TASK, True)


def call_message(
    task: str,
    task_id: str,
    queue: str,
    *,
    ignore_result: bool = True,
    time_limits_s: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """The envelope of a call, without its body. `time_limits_s`: the hard one and the soft one."""
    limits = {} if time_limits_s is None else {"timelimit": list(time_limits_s)}
    return {
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**_headers(task, ignore_result), "id": task_id, "root_id": task_id, **limits},
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "delivery_tag": str(uuid.uuid4()),
        },
    }


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
