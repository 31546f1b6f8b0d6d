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

if TYPE_CHECKING:
    from celery import Celery

TASK: Final = "ocrqueue.recognize"


@cache
def _protocol() -> Celery:
    from celery import Celery

    return Celery("ocrqueue", set_as_current=False, broker="memory://")


def celery_message(job: Job, wants_summary: bool = False) -> str:
    """The text to LPUSH to the job's queue.

    `wants_summary`: Celery is to store the summary, for an AsyncResult; so for jobs that were sent by name.
    """
    kwargs = {"job": job.to_message()}
    task = _protocol().amqp.as_task_v2(
        job.id,
        TASK,
        kwargs=kwargs,
        # what monitors show and workers may log: never the reference, it can hold a presigned URL
        argsrepr="()",
        kwargsrepr=f"{{'job': {job.id}}}",
        ignore_result=not wants_summary,
    )
    args, kwargs_sent, embedded = task.body
    # what is null is left out: Celery reads it as such, and every byte is held in Redis for as long as the job waits
    body = _compact([args, kwargs_sent, _without_nulls(embedded)])
    headers = {name: value for name, value in _without_nulls(task.headers).items() if value != [None, None]}
    headers.pop("stamped_headers", None)
    return _compact(
        {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": {
                "correlation_id": job.id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": job.queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def job_in_message(message: bytes | str) -> dict[str, Any]:
    """The `job` in a message of a queue, as far as it can be read; {} where it cannot."""
    try:
        envelope = json.loads(message)
        body = json.loads(base64.b64decode(envelope["body"]))
        job = body[1]["job"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return {}
    return job if isinstance(job, dict) else {}
