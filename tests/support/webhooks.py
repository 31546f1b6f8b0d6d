"""Receivers of webhooks, and time that passes for notices."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from standardwebhooks import Webhook

from ocrqueue.core import WorkerRegistry
from ocrqueue.core.scripts import load_script
from ocrqueue.settings import WorkerSettings
from ocrqueue.webhooks.notices import SCRIPTS
from ocrqueue.webhooks.sender import Sender
from tests.support.servers import Exchange, Handler


def received_headers(exchange: Exchange) -> dict[str, str]:
    lines = [line.partition(":") for line in exchange.head.split("\r\n")[1:]]
    return {name.lower(): value.strip() for name, _, value in lines}


def verified(exchange: Exchange, secret: str) -> Any:
    """The JSON that came, once the reference verifier is content with it."""
    return Webhook(secret).verify(exchange.body, received_headers(exchange))


def in_turn(handlers: Sequence[Handler]) -> Handler:
    """One after the other for each request; the last one for all that follow."""
    left = list(handlers)

    def handle(exchange: Exchange) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return handle


def send_due(settings: WorkerSettings, at_once: int = 200) -> Mapping[str, int]:
    """Send what is due at this moment; how many attempts became what."""
    sender = Sender(settings, at_once)
    asyncio.run(sender.run(until_empty=True))
    return sender.became


@contextmanager
def sending(settings: WorkerSettings, before_end: Callable[[], object] = lambda: None) -> Iterator[None]:
    """A sender beside the test. `before_end`: called once it claims nothing more."""
    sender = Sender(settings)
    thread = threading.Thread(target=lambda: asyncio.run(sender.run()))
    thread.start()
    try:
        yield
    finally:
        sender.stop()
        before_end()
        thread.join(60)
        assert not thread.is_alive()


def claim(registry: WorkerRegistry, token: str) -> list[str]:
    """What a sender that is killed then had in hand."""
    script = registry.client.register_script(load_script("claim_notices", SCRIPTS))
    options = {"most": 10, "most_failing": 10, "at_once": 10, "at_once_failing": 2, "lease_ms": 45_000}
    more = {"give_up_ms": 3e8, "kept_ms": 1000, "look_at": 100, "gave_up": ""}
    _, _, _, *found = script(args=[registry.keys.root, token, json.dumps(options | more)])
    return [entry[0].decode() for entry in found]


def settle(registry: WorkerRegistry, notice: str, token: str, verdict: str) -> int:
    script = registry.client.register_script(load_script("settle_notice", SCRIPTS))
    options = {"delay_ms": 0, "kept_ms": 1000, "failed_kept_ms": 1000, "at_once": 10, "at_once_failing": 2}
    return int(script(args=[registry.keys.root, notice, token, verdict, "{}", json.dumps(options | {"most_off": 9})]))


def pauses_s(registry: WorkerRegistry) -> list[float]:
    """For how long each notice that waits is to wait, in order."""
    seconds, microseconds = registry.client.time()
    now_ms = seconds * 1000 + microseconds / 1000
    found = [
        score
        for lane in _lanes(registry)
        for _, score in registry.client.zrange(registry.keys.notices(lane), 0, -1, withscores=True)
    ]
    return sorted((score - now_ms) / 1000 for score in found)


def pass_time(registry: WorkerRegistry, seconds: float) -> None:
    """For notices and their senders it is so much later."""
    client, keys, ms = registry.client, registry.keys, seconds * 1000
    for lane in _lanes(registry):
        for failing in (False, True):
            if client.zscore(keys.notice_lanes(failing=failing), lane) is not None:
                client.zincrby(keys.notice_lanes(failing=failing), -ms, lane)
        for key in (keys.notices(lane), keys.notices_in_hand(lane)):
            for notice in client.zrange(key, 0, -1):
                client.zincrby(key, -ms, notice)
                if key == keys.notices(lane):
                    client.hincrby(keys.notice(notice.decode()), "made_at", -int(ms))


def _lanes(registry: WorkerRegistry) -> list[str]:
    names = [
        lane.decode()
        for failing in (False, True)
        for lane in registry.client.zrange(registry.keys.notice_lanes(failing=failing), 0, -1)
    ]
    return sorted(names)


def told(exchange: Exchange) -> dict[str, Any]:
    """What came, as it is."""
    body: dict[str, Any] = json.loads(exchange.body)
    return body
