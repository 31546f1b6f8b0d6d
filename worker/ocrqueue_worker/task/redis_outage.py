"""What must be said to Redis is said again until it is heard: an outage is no reason to lose a job's work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from ocrqueue.errors import BrokerUnavailable
from ocrqueue_worker.limits.soft_time_limit import SOFT_TIME_LIMIT

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0

Answer = TypeVar("Answer")


def until_redis_answers(call: Callable[[], Answer], seconds: float) -> Answer:
    """`call`'s answer, repeated for so long while Redis does not answer. Raises BrokerUnavailable after that.

    The soft time limit does not interrupt it: it is meant for the engine, and the hard one follows soon.
    """
    with SOFT_TIME_LIMIT.waits():
        return _repeated(call, time.monotonic() + seconds)


def _repeated(call: Callable[[], Answer], deadline: float) -> Answer:
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return call()
        except BrokerUnavailable as error:
            if time.monotonic() + pause >= deadline:
                raise
            _log.warning("trying again", error=error.code, pause_s=pause)
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE_S, 2 * pause)
