"""Celery's remote control, but for what would harm jobs here.

Its commands are one table a process, in which the last entry of a name counts.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery.worker import control

from ocrqueue.job import is_lane

_log = structlog.get_logger(__name__)


def limit_remote_control() -> None:
    """For this process."""
    # its waiting messages are parts in hand: nobody else may have them, and no child of this worker reads them
    control.Panel.data.pop("rate_limit", None)
    control.Panel.meta.pop("rate_limit", None)
    control.Panel.data["add_consumer"] = _add_consumer


def _add_consumer(state: Any, queue: Any, *arguments: Any, **options: Any) -> Any:
    if not isinstance(queue, str) or not is_lane(queue):
        _log.warning("does not take from a queue that is no engine's lane", queue=str(queue)[:100])
        return control.nok("no lane of an engine: ocr.ENGINE, ocr.ENGINE.high or ocr.ENGINE.low")
    return control.add_consumer(state, queue, *arguments, **options)
