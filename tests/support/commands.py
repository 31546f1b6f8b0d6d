"""What Redis is asked, by whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis


@contextmanager
def scripts_counted(client: redis.Redis) -> Iterator[Callable[[], int]]:
    """How many scripts have been run since, whoever asked for them."""

    def calls() -> int:
        stats = client.info("commandstats")
        return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("eval", "evalsha", "fcall"))

    before = calls()
    yield lambda: calls() - before


def asked(client: redis.Redis, seconds: float) -> Counter[str]:
    """What clients ask in so many seconds, by command: without what scripts call."""
    found: Counter[str] = Counter()
    whole, parts = client.time()
    # by the server's clock: what is asked later does not count, however late this hears of it
    deadline = whole + parts / 1_000_000 + seconds
    with client.monitor() as monitor:
        # the last command that it hears of is its own
        ends = threading.Timer(seconds + 1, client.ping)
        ends.start()
        try:
            while (command := monitor.next_command()) and command["time"] < deadline:
                if command["client_type"] != "lua":
                    found[str(command["command"]).partition(" ")[0].upper()] += 1
        finally:
            ends.cancel()
            ends.join()
    return found
