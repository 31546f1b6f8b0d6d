"""One limit for all workers: requests a minute as a token bucket, images a month as a count, both in Redis.

The bucket of `size` tokens refills by `tokens_per_s`; a request takes one. Whatever the workers do, any span of
`window_s` + `slack_s` then holds at most `limit` admissions:

    size + tokens_per_s * (window_s + slack_s) = limit + 1, reached only by the end of the span

and any span of `window_s` at most `limit` arrivals at Google, so long as none is `slack_s` longer under way than
another. The price is an eighth of the limit when there is always work. What it brings besides: requests come evenly, so
that pages gather into full ones while they wait.

A bucket that is not in Redis starts with one token, not full: a Redis that has lost its data lets no second burst by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import redis

from ocrqueue.core.keys import Keys
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.scripts import load_script

_REMEMBERED_MS: Final = 600_000
"""For so long an admission can be given back, and is the same when it is asked for again."""
_IDLE_MS: Final = 86_400_000
_PACKAGE: Final = "ocrqueue_worker.engines.vision"


@dataclass(frozen=True, slots=True)
class Pace:
    """What bucket keeps a limit."""

    size: int
    tokens_per_s: float

    @classmethod
    def of(cls, limit: int, window_s: float = 60.0, slack_s: float = 2.0) -> Pace:
        """Never more than `limit` (at least 1) in any `window_s`; see the module."""
        size = max(1, limit // 10)
        return cls(size, (limit + 1 - size) / (window_s + slack_s))


@dataclass(frozen=True, slots=True)
class Admission:
    """How many images may go to Google now, in one request; of none, when to ask again."""

    id: str
    images: int
    wait_s: float = 0.0
    exhausted: bool = False
    """The month's images are used up."""


class RateLimit:
    """Of one engine in one installation. Raises BrokerUnavailable wherever Redis does not answer."""

    def __init__(self, client: redis.Redis, keys: Keys, engine: str, pace: Pace, images_per_month: int = 0) -> None:
        """`images_per_month` in calendar months, UTC, by Redis's clock; 0: any number."""
        self._keys = keys
        self._engine = engine
        self._pace = pace
        self._images_per_month = images_per_month
        self._admit = client.register_script(load_script("admit", _PACKAGE))
        self._give_back = client.register_script(load_script("give_back", _PACKAGE))

    def admit(self, images: int) -> Admission:
        """Ask for one request with so many images; fewer are granted where the month holds no more."""
        admission = uuid4().hex
        with broker_errors():
            granted, wait_ms, exhausted = self._admit(
                keys=[self._keys.bucket(self._engine), self._keys.billed(self._engine), self._keys.admitted(admission)],
                args=[
                    self._pace.size,
                    self._pace.tokens_per_s,
                    images,
                    self._images_per_month,
                    _REMEMBERED_MS,
                    _IDLE_MS,
                ],
            )
        return Admission(admission, int(granted), int(wait_ms) / 1000, bool(exhausted))

    def give_back(self, admission: Admission, images: int) -> None:
        """So many of its images are not billed after all. Once for an admission; its request still counts."""
        if images > 0:
            with broker_errors():
                self._give_back(
                    keys=[self._keys.billed(self._engine), self._keys.admitted(admission.id)], args=[images]
                )
