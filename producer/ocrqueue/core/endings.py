"""How a job ends, as the scripts are told: the outcome for its record, and what a foreign Celery app is to hear of it.

Scripts that end jobs which nobody has looked at (cancel, poison) get templates, with `@ID@` where the id belongs.
"""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ocrqueue.core.celery_messages import call_message
from ocrqueue.core.records import Outcome
from ocrqueue.errors import ErrorInfo, JobPoison, error_from_info
from ocrqueue.job import Job
from ocrqueue.job.references import input_name

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

FINISHED_TASK: Final = "ocrqueue.finished"
"""Sent to a job's `reply_to` queue with the summary, once the job has ended."""
BATCH_FINISHED_TASK: Final = "ocrqueue.batch_finished"
"""Sent to a batch's queue with its counts, once it is closed and its last job has ended."""
TAKE_CAP: Final = 20
"""A part that was taken so often and never begun ends its job: whoever takes it dies of something else than its image,
but forever."""
_ID: Final = "@ID@"
_TASK_ID: Final = "@TASK_ID@"
"""In the place of the task id in Celery's result: the record has it."""

Ending = dict[str, Any]
"""See scripts/shared/ending.lua."""


def ending(outcome: Outcome, settings: ClientSettings, *, reply_to: str | None = None, by_name: bool = False) -> Ending:
    """The ending of this job. `by_name`: an AsyncResult may wait for it."""
    failure = outcome.error if outcome.state == "failed" else None
    made: Ending = {
        "state": outcome.state,
        "outcome": outcome.model_dump_json(exclude_defaults=True),
        "life_ms": (settings.dead_letter_ttl_s if outcome.state == "failed" else settings.record_ttl_s) * 1000,
        "ended_ttl_ms": settings.ended_ttl_s * 1000,
        "celery_life_ms": settings.record_ttl_s * 1000,
    }
    if failure is not None:
        made["code"] = failure.code
        if is_dead_letter(failure):
            made["dead"] = True
    if by_name:
        made["celery_result"] = json.dumps(celery_result(outcome), separators=(",", ":"))
    if reply_to:
        made["reply"] = reply_message(outcome, reply_to)
    return made


def template(outcome: Outcome, settings: ClientSettings) -> Ending:
    """The ending of any job: its record decides what is used."""
    made = ending(outcome, settings, reply_to="@REPLY@", by_name=True)
    return {**made, "is_template": True}


def cancelled(settings: ClientSettings) -> Ending:
    return template(Outcome(job_id=_ID, state="cancelled"), settings)


def policy(settings: ClientSettings) -> str:
    """What LOST and RECLAIM go by, as JSON."""
    poison = JobPoison(f"Delivered {settings.delivery_cap} times, and each time the worker was lost.").info
    never_begun = JobPoison(f"Taken {TAKE_CAP} times, and each time the worker was lost before it began.").info
    return json.dumps(
        {
            "lease_ms": int(settings.lost_after_s * 1000),
            "record_ttl_ms": settings.record_ttl_s * 1000,
            "dead_letter_ttl_ms": settings.dead_letter_ttl_s * 1000,
            "ended_ttl_ms": settings.ended_ttl_s * 1000,
            "delivery_cap": settings.delivery_cap,
            "take_cap": TAKE_CAP,
            "poison": _failure(poison, settings),
            "never_begun": _failure(never_begun, settings),
            "cancelled": cancelled(settings),
        }
    )


def _failure(error: ErrorInfo, settings: ClientSettings) -> Ending:
    outcome = Outcome(job_id=_ID, state="failed", error=error)
    return {**template(outcome, settings), "error": error.model_dump_json(exclude_defaults=True)}


def is_dead_letter(error: ErrorInfo) -> bool:
    """Whether a replay may help: the cause is not in the job or its image, which would fail the same way."""
    group, _, _ = error.code.partition(".")
    named = error.code in {"job.poison", "source.changed"}
    return error.retryable or named or group in {"engine", "internal", "result", "storage"}


def celery_result(outcome: Outcome) -> dict[str, Any]:
    """What Celery's result backend would store (celery/backends/base.py, `_get_result_meta`), but for the task id."""
    status, result = "SUCCESS", outcome.to_message()
    if outcome.state == "failed" and outcome.error is not None:
        status, result = "FAILURE", _exception("ocrqueue.errors", "JobFailed", str(error_from_info(outcome.error)))
    elif outcome.state == "cancelled":
        status, result = "REVOKED", _exception("celery.exceptions", "TaskRevokedError", "cancelled")
    return {
        "status": status,
        "result": result,
        "traceback": None,
        "children": [],
        "date_done": datetime.now(UTC).isoformat(),
        "task_id": _TASK_ID,
    }


def _exception(module: str, name: str, text: str) -> dict[str, object]:
    return {"exc_type": name, "exc_message": [text], "exc_module": module}


def reply_message(outcome: Outcome, queue: str) -> str:
    """The text to LPUSH to the job's reply queue, as `app.send_task` would."""
    body = [[], {"summary": outcome.to_message()}, {}]
    is_template = outcome.job_id == _ID
    envelope = call_message(FINISHED_TASK, "@TASK@" if is_template else str(uuid.uuid4()), queue)
    text = json.dumps(body, separators=(",", ":"))
    if is_template:
        # in base64 the script could not fill in the id
        return json.dumps({"body": text, **envelope}, separators=(",", ":"))
    envelope["properties"]["body_encoding"] = "base64"
    return json.dumps({"body": base64.b64encode(text.encode()).decode(), **envelope}, separators=(",", ":"))


def batch_reply(name: str, tenant: str, queue: str) -> str:
    """The message to a batch's reply queue; scripts/shared/batches.lua fills in the counts."""
    counts = dict.fromkeys(("jobs", "succeeded", "partial", "failed", "cancelled"))
    summary = {"batch": name, "tenant": tenant, **{what: f"<{what.upper()}>" for what in counts}}
    text = json.dumps([[], {"summary": summary}, {}], separators=(",", ":"))
    for what in counts:
        text = text.replace(f'"<{what.upper()}>"', f"<{what.upper()}>")
    return json.dumps({"body": text, **call_message(BATCH_FINISHED_TASK, "<TASK>", queue)}, separators=(",", ":"))


def entry_of(job: Job) -> dict[str, Any]:
    """What SUBMIT is told of a job beside its JSON."""
    given = {
        "tenant": job.tenant,
        "tag": job.tag,
        "batch": job.batch,
        "reply_to": job.reply_to,
        "webhook": job.webhook,
        "input": input_name(job.image),
    }
    return {
        "id": job.id,
        "engine": job.engine,
        "lane": job.queue,
        "kind": job.kind,
        **{name: value for name, value in given.items() if value},
        **({"routed": "1"} if job.route is not None else {}),
        **({"secret": job.password.get_secret_value()} if job.password is not None else {}),
    }
