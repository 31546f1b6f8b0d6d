"""Addresses that have had wrong API keys: after some they are answered without a look at the key.

Kept by each replica, in bounded memory: an attack that changes its addresses pushes out old ones, and has gained
nothing against 256 random bits. Who has shown a right key lately goes on from the same address, such as a proxy's.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

ALLOWED: Final = 20
"""Wrong keys of an address at once."""
_REFILL_S: Final = 3.0
"""One more is allowed after so long."""
_MOST_ADDRESSES: Final = 10_000
_MOST_KEYS: Final = 10_000


class FailedAttempts:
    """Of one replica. `now`: seconds by a clock that never goes back."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> how many were wrong, when that was counted; those of late at the end."""
        self._good: OrderedDict[bytes, None] = OrderedDict()
        """Sums of keys that were right."""

    def wait_s(self, address: str, key: str, now: float) -> int:
        """Whole seconds in which nothing of this address is looked at; 0: it is."""
        failed = self._failed(_network(address), now)
        if failed <= ALLOWED - 1 or _sum(key) in self._good:
            return 0
        return math.ceil((failed - ALLOWED + 1) * _REFILL_S)

    def failed(self, address: str, key: str, now: float) -> None:
        """The key was wrong."""
        network = _network(address)
        self._by_address[network] = (min(self._failed(network, now) + 1, float(ALLOWED)), now)
        self._by_address.move_to_end(network)
        if len(self._by_address) > _MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        self._good.pop(_sum(key), None)

    def succeeded(self, key: str) -> None:
        summed = _sum(key)
        self._good[summed] = None
        self._good.move_to_end(summed)
        if len(self._good) > _MOST_KEYS:
            self._good.popitem(last=False)

    def _failed(self, network: str, now: float) -> float:
        count, at = self._by_address.get(network, (0.0, now))
        return max(0.0, count - (now - at) / _REFILL_S)


def _network(address: str) -> str:
    """Of IPv6 the first 64 bits: who has one address there has them all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


def _sum(key: str) -> bytes:
    return hashlib.sha256(key[:200].encode(errors="replace")).digest()
