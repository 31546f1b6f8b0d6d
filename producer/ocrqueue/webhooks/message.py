"""What is posted: the summary of an end, never the text, signed by Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from standardwebhooks import Webhook

from ocrqueue.core.records import Outcome
from ocrqueue.webhooks.notices import moment_of
from ocrqueue.webhooks.secrets import PRIVATE, StoredSecret

_COUNTS: Final = ("jobs", "succeeded", "partial", "failed", "cancelled")


def body_of(notice: Mapping[str, str]) -> str:
    """JSON: `type`, `timestamp` of the end, and `data`. `notice`: the fields of its hash."""
    ended = notice.get("finished_at") or notice.get("made_at")
    type_, data = _of_job(notice) if "job" in notice else _of_batch(notice)
    return json.dumps({"type": type_, "timestamp": _time(ended), "data": data}, separators=(",", ":"))


def _of_job(notice: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    try:
        outcome: Outcome | None = Outcome.model_validate_json(notice.get("outcome", ""))
    except ValidationError:  # a newer version's
        outcome = None
    state = outcome.state if outcome else "unknown"
    error = outcome.error if outcome else None
    return f"job.{state}", {
        "id": notice["job"],
        "state": state,
        "tenant": notice.get("tenant", ""),
        "tag": notice.get("tag"),
        "batch": notice.get("batch"),
        "pages": outcome.pages if outcome else 0,
        "error": {"code": error.code, "retryable": error.retryable} if error else None,
        "queued_at": _time(notice.get("queued_at")),
        "started_at": _time(notice.get("started_at")),
        "finished_at": _time(notice.get("finished_at")),
    }


def _of_batch(notice: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    counts = {name: int(notice[name]) if notice.get(name, "").isdecimal() else 0 for name in _COUNTS}
    told = {"batch": notice.get("batch"), "tenant": notice.get("tenant", ""), **counts}
    return "batch.ended", {**told, "finished_at": _time(notice.get("finished_at"))}


def _time(milliseconds: str | None) -> str | None:
    moment = moment_of(milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def signed_headers(notice_id: str, body: str, at_s: int, secrets: Sequence[StoredSecret]) -> dict[str, str]:
    """With a signature by each of the secrets: a receiver that knows one of them is content."""
    signatures = [_signature(notice_id, body, at_s, each.key.get_secret_value()) for each in secrets]
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signatures),
    }


def _signature(notice_id: str, body: str, at_s: int, key: str) -> str:
    if key.startswith(PRIVATE):
        private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(key.removeprefix(PRIVATE)))
        signed = private.sign(f"{notice_id}.{at_s}.{body}".encode())
        return f"v1a,{base64.b64encode(signed).decode()}"
    return Webhook(key).sign(notice_id, datetime.fromtimestamp(at_s, UTC), body)
