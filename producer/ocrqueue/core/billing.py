"""What an engine that costs money by the image has been given: images a calendar month (UTC, by Redis's clock)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from ocrqueue.core.registry import Registry


def billed_pages(registry: Registry, engine: str) -> int:
    """Images given to the engine's service this month; 0 of an engine that counts none. Raises BrokerUnavailable."""
    with registry.errors():
        seconds, _ = registry.client.time()
        month = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m}"
        count = cast("bytes | None", registry.client.hget(registry.keys.billed(engine), month))
    return int(count or 0)


def billed_by_month(registry: Registry, engine: str) -> dict[str, int]:
    """The same for every month on record, such as {"2026-02": 1200}, in order. Raises BrokerUnavailable."""
    with registry.errors():
        stored = cast("dict[bytes, bytes]", registry.client.hgetall(registry.keys.billed(engine)))
    return {month.decode(): int(count) for month, count in sorted(stored.items())}
