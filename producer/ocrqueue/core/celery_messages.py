"""A Job as the message that Celery's workers take from a Redis list.

Headers and body are Celery's (message protocol 2, made by Celery itself). The envelope around them is kombu's for
virtual transports (kombu/transport/virtual/base.py, `prepare_message` and `_inplace_augment_message`): a JSON object
with a base64 body. Making it here, rather than publishing through kombu, lets one Lua script write the record and
the message together: no job is ever half-submitted. A test holds it equal to what `app.send_task` publishes,
save for nulls.
"""

from __future__ import annotations

import base64
import json
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ocrqueue.job import Job
from ocrqueue.tracing import HEADER, current_traceparent

if TYPE_CHECKING:
    from celery import Celery

TASK: Final = "ocrqueue.recognize"
GROUP_BODY: Final = ('[[],{"jobs":[', "]},{}]")
"""What stands before and after a group's jobs, as JSON and separated by commas, in its body."""


@cache
def _protocol() -> Celery:
    from celery import Celery

    return Celery("ocrqueue", set_as_current=False, broker="memory://")


def celery_message(job: Job, wants_summary: bool = False) -> str:
    """The text to LPUSH to the job's queue.

    `wants_summary`: Celery is to store the summary, for an AsyncResult; so for jobs that were sent by name.
    """
    body, envelope = _parts(job.id, job.queue, {"job": job.to_message()}, f"{{'job': {job.id}}}", wants_summary)
    envelope["properties"]["body_encoding"] = "base64"
    return _compact({"body": base64.b64encode(_compact(body).encode()).decode(), **envelope})


def group_message(group_id: str, queue: str) -> tuple[str, str]:
    """What stands before and after the body in the message of a group.

    The body is a JSON text within JSON, and not base64: it is made in Redis, where it shows which jobs are in the
    group. Before quoting it is `GROUP_BODY`.
    """
    _, envelope = _parts(group_id, queue, {}, f"{{'jobs': {group_id}}}", False)
    return '{"body":', f",{_compact(envelope)[1:]}"


def _parts(
    task_id: str, queue: str, kwargs: dict[str, Any], shown: str, wants_summary: bool
) -> tuple[list[Any], dict[str, Any]]:
    """The body of a call, and the envelope around it."""
    task = _protocol().amqp.as_task_v2(
        task_id,
        TASK,
        kwargs=kwargs,
        # what monitors show and workers may log: never the reference, it can hold a presigned URL
        argsrepr="()",
        kwargsrepr=shown,
        ignore_result=not wants_summary,
    )
    args, kwargs_sent, embedded = task.body
    # what is null is left out: Celery reads it as such, and every byte is held in Redis for as long as the job waits
    headers = {name: value for name, value in _without_nulls(task.headers).items() if value != [None, None]}
    headers.pop("stamped_headers", None)
    if (traceparent := current_traceparent()) is not None:
        headers[HEADER] = traceparent
    return [args, kwargs_sent, _without_nulls(embedded)], {
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "delivery_tag": str(uuid.uuid4()),
        },
    }


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def jobs_in_message(message: bytes | str) -> list[dict[str, Any]]:
    """The `job`, or the `jobs` of a group, in a queue's message, as far as they can be read; [] where they cannot."""
    try:
        envelope = json.loads(message)
        text = envelope["body"]
        encoded = envelope["properties"].get("body_encoding") == "base64"
        kwargs = json.loads(base64.b64decode(text) if encoded else text)[1]
        jobs = kwargs["jobs"] if "jobs" in kwargs else [kwargs["job"]]
        return [job for job in jobs if isinstance(job, dict)]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return []


def job_in_message(message: bytes | str) -> dict[str, Any]:
    """The first of them; {} where there is none."""
    return next(iter(jobs_in_message(message)), {})
