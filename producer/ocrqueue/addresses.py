"""Which addresses a URL of somebody else's may reach: none that only our own network can see, unless allowed."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052: how a network without IPv4 reaches IPv4 hosts."""
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_SIX_TO_FOUR_RELAYS: Final = IPv4Network("192.88.99.0/24")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses are permitted, those in `allowed` too, and with `allow_private` all others."""

    allow_private: bool = False
    allowed: tuple[IPv4Network | IPv6Network, ...] = ()

    def permits(self, address: IPv4Address | IPv6Address) -> bool:
        target = _target(address)
        return self.allow_private or _is_public(target) or any(target in network for network in self.allowed)


def _target(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address that packets to `address` reach: IPv4 hosts can be written as IPv6 addresses."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(address.packed[-4:])
    return address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return address not in _SIX_TO_FOUR_RELAYS
    # Outside 2000::/3 Python calls some unassigned and deprecated ranges global. 6to4 and Teredo hide an IPv4 address.
    return address in _GLOBAL_UNICAST and address not in _SIX_TO_FOUR and address not in _TEREDO
