"""Tells receivers what they are to be told: claims notices, posts them, and notes what came of it."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from ocrqueue.core.connection import connect_async
from ocrqueue.core.keys import Keys
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.core.scripts import load_script
from ocrqueue.errors import BrokerUnavailable
from ocrqueue.settings import ClientSettings
from ocrqueue.webhooks.message import body_of, signed_headers
from ocrqueue.webhooks.notices import SCRIPTS, log_line
from ocrqueue.webhooks.posting import Answer, post
from ocrqueue.webhooks.schedule import GIVE_UP_S, delay_s
from ocrqueue.webhooks.secrets import parse

_log = logging.getLogger(__name__)

AT_ONCE: Final = 200
"""Requests of one sender at the same time."""
_AT_ONCE_A_LANE: Final = 10
"""Of all senders together, to one host for one tenant."""
_AT_ONCE_A_FAILING_LANE: Final = 2
"""The same, after an attempt has failed: enough to notice when it is up again."""
_LOOK_AT: Final = 100
_MOST_OFF: Final = 10_000
_LEASE_BEYOND_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 5.0
"""A lost ring is made good by then."""
_SHORTEST_WAIT_S: Final = 0.2
_PAUSES_S: Final = (0.5, 10.0)
"""The first pause after Redis did not answer, and the longest."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notice in hand."""

    id: str
    token: str
    failing: bool
    """Whether the last attempt in its lane had failed."""
    fields: Mapping[str, str]
    now_ms: int
    at: float
    """When that was, on time.monotonic()."""

    def redis_ms(self) -> int:
        """Now, by Redis's clock."""
        return self.now_ms + int((time.monotonic() - self.at) * 1000)


class Sender:
    """One of any number that work beside each other."""

    def __init__(self, settings: ClientSettings, at_once: int = AT_ONCE) -> None:
        self.became: dict[str, int] = {}
        """How many attempts became what."""
        self._settings, self._at_once = settings, at_once
        self._keys = Keys(settings.key_prefix)
        self._client = connect_async(settings)
        self._claim_script = self._client.register_script(load_script("claim_notices", SCRIPTS))
        self._settle_script = self._client.register_script(load_script("settle_notice", SCRIPTS))
        self._resolver = ThreadPoolExecutor(at_once, thread_name_prefix="ocrqueue-resolve")
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing = 0
        """How many of those under way are in lanes that fail."""

    def stop(self) -> None:
        """Claim nothing more; what is under way is brought to its end. From any thread."""
        self._stopped = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self, *, until_empty: bool = False) -> None:
        """Until stop(), through outages of Redis; or until nothing is due, which an outage ends: BrokerUnavailable."""
        self._loop = asyncio.get_running_loop()
        bell = None if until_empty else asyncio.create_task(self._listen())
        try:
            await self._claim_and_send(until_empty=until_empty)
        finally:
            if bell is not None:
                bell.cancel()
                await asyncio.gather(bell, return_exceptions=True)
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._client.aclose()
            # a name server may hold a thread for longer than anybody waits
            self._resolver.shutdown(wait=False, cancel_futures=True)

    async def _claim_and_send(self, *, until_empty: bool) -> None:
        pause_s = _PAUSES_S[0]
        while not self._stopped:
            self._wake.clear()
            try:
                progress, wait_s = await self._claim_round()
            except BrokerUnavailable as error:
                if until_empty:
                    raise
                _log.warning("sends nothing for now: %s", error)
                progress, wait_s = False, pause_s
                pause_s = min(2 * pause_s, _PAUSES_S[1])
            else:
                pause_s = _PAUSES_S[0]
            if progress:
                continue
            if until_empty and not self._tasks:
                return
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _claim_round(self) -> tuple[bool, float]:
        """Whether there may be more at once, and else for how long there is nothing."""
        free = self._at_once - len(self._tasks)
        if free <= 0:
            return False, _POLL_S
        claimed, ended, next_s = await self._claim(free)
        for notice in claimed:
            self._failing += notice.failing
            task = asyncio.create_task(self._send(notice))
            self._tasks.add(task)
            task.add_done_callback(self._has_ended)
        return bool(claimed or ended), max(_SHORTEST_WAIT_S, min(_POLL_S, next_s))

    async def _claim(self, free: int) -> tuple[list[Claimed], int, float]:
        token = secrets.token_hex(16)
        options = {
            "most": free,
            # those that answer have half of all for themselves
            "most_failing": max(0, self._at_once // 2 - self._failing),
            "at_once": _AT_ONCE_A_LANE,
            "at_once_failing": _AT_ONCE_A_FAILING_LANE,
            "lease_ms": int((self._settings.webhook_timeout_s + _LEASE_BEYOND_TIMEOUT_S) * 1000),
            "give_up_ms": int(GIVE_UP_S * 1000),
            "kept_ms": self._settings.dead_letter_ttl_s * 1000,
            "look_at": _LOOK_AT,
            "gave_up": log_line("@NOW@", "failed", status=None, error="given up", took_s=None),
        }
        began = time.monotonic()
        with broker_errors():
            answer = await self._claim_script(args=[self._keys.root, token, json.dumps(options)])
        now_ms, next_ms, ended, *found = answer
        claimed = [_claimed(entry, token, int(now_ms), began) for entry in found]
        next_s = (int(float(next_ms)) - int(now_ms)) / 1000 if next_ms else _POLL_S
        return claimed, int(ended), next_s

    async def _send(self, notice: Claimed) -> None:
        try:
            await self._settle(notice, await self._told(notice))
        except BrokerUnavailable as error:
            # its lease ends, and it is sent again
            _log.warning("what became of notice %s is not noted: %s", notice.id, error)
        except Exception:
            _log.exception("notice %s was not sent", notice.id)
        finally:
            self._failing -= notice.failing

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _told(self, notice: Claimed) -> Answer:
        tenant = notice.fields.get("tenant", "")
        with broker_errors():
            stored = await self._client.hget(self._keys.webhook_secrets(), tenant)
        found = parse(stored if isinstance(stored, bytes) else None)
        if not found:
            return Answer(error="not sent: the tenant has no secret (`ocrqueue webhooks rotate`)")
        body = body_of(notice.fields)
        headers = signed_headers(notice.id, body, notice.redis_ms() // 1000, found)
        return await post(notice.fields.get("url", ""), headers, body, self._settings, self._resolver)

    async def _settle(self, notice: Claimed, answer: Answer) -> None:
        attempts = int(notice.fields.get("attempts", "1"))
        pause_s = delay_s(attempts, answer.asked_s)
        became = "retry" if pause_s is not None else "failed"
        if answer.is_taken:
            became = "delivered"
        elif answer.is_off:
            became = "off"
        error = answer.error or (None if answer.is_taken else f"it answered with HTTP status {answer.status}")
        line = log_line(notice.redis_ms(), became, status=answer.status, error=error, took_s=answer.took_s)
        options = {
            "delay_ms": int((pause_s or 0) * 1000),
            "kept_ms": self._settings.record_ttl_s * 1000,
            "failed_kept_ms": self._settings.dead_letter_ttl_s * 1000,
            "at_once": _AT_ONCE_A_LANE,
            "at_once_failing": _AT_ONCE_A_FAILING_LANE,
            "most_off": _MOST_OFF,
        }
        with broker_errors():
            arguments = [self._keys.root, notice.id, notice.token, became, line, json.dumps(options)]
            await self._settle_script(args=arguments)
        self.became[became] = self.became.get(became, 0) + 1

    async def _listen(self) -> None:
        """Wakes the sender when there is something to tell."""
        wait_s = min(_POLL_S, self._settings.redis_timeout_s / 2)
        while True:
            try:
                with broker_errors():
                    heard = await self._client.blpop([self._keys.bell("webhooks")], timeout=wait_s)
                if heard:
                    self._wake.set()
            except BrokerUnavailable:
                await asyncio.sleep(_PAUSES_S[1])


def _claimed(entry: list[Any], token: str, now_ms: int, at: float) -> Claimed:
    name, failing, *stored = entry
    texts = [value.decode(errors="replace") for value in stored]
    fields = dict(zip(texts[::2], texts[1::2], strict=True))
    return Claimed(name.decode(), token, failing == 1, fields, now_ms, at)
