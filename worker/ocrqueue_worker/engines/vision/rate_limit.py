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

from ocrqueue.core.billing import MONTH
from ocrqueue.core.connection import broker_errors
from ocrqueue.core.keys import Keys
from ocrqueue.core.scripts.parts import CLOCK, GOES_ON

_REMEMBERED_MS: Final = 600_000
"""For so long an admission can be given back, and is the same when it is asked for again."""
_IDLE_MS: Final = 86_400_000

_ADMIT: Final = (
    GOES_ON
    + CLOCK
    + MONTH
    + """
-- KEYS bucket, images by month, this admission
-- ARGV bucket's size, tokens a second, images wanted, images a month (0: any number), memory of the admission (ms),
--   memory of the bucket (ms)
-- returns {images granted, ms to wait if none, 1 if the month's images are used up}
local known = redis.call('GET', KEYS[3])
if known then return {tonumber(known:match(':(%d+)$')), 0, 0} end
local size, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local wanted, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local month = month_of(now)
if budget > 0 then
  wanted = math.min(wanted, budget - tonumber(redis.call('HGET', KEYS[2], month) or '0'))
  if wanted <= 0 then return {0, 0, 1} end
end
local tokens = 1
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
if bucket[1] then
  -- a clock that was set back stands still for once
  tokens = math.min(size, tonumber(bucket[1]) + math.max(0, now - tonumber(bucket[2])) / 1000 * rate)
end
local wait = 0
if tokens >= 1 then
  tokens = tokens - 1
  redis.call('HINCRBY', KEYS[2], month, wanted)
  redis.call('SET', KEYS[3], month .. ':' .. text(wanted), 'PX', ARGV[5])
else
  wait, wanted = math.ceil((1 - tokens) / rate * 1000), 0
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', text(now))
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {wanted, wait, 0}
"""
)

_GIVE_BACK: Final = (
    GOES_ON
    + """
-- KEYS images by month, admission; ARGV images, memory of the admission (ms)
local known = redis.call('GET', KEYS[2])
if not known then return 0 end
local month, held = known:match('^(.+):(%d+)$')
local back = math.min(tonumber(held), tonumber(ARGV[1]))
redis.call('HINCRBY', KEYS[1], month, -back)
redis.call('DEL', KEYS[2])
return back
"""
)


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
        self._admit = client.register_script(_ADMIT)
        self._give_back = client.register_script(_GIVE_BACK)

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
