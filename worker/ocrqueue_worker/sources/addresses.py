"""Which addresses an http(s) reference may reach: none that only the workers' network can see, unless allowed."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from ocrqueue.errors import SourceAddressNotAllowed, SourceInvalid, SourceUnavailable
from ocrqueue.settings import Settings
from ocrqueue_worker.sources.deadline import Deadline

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


def address_policy(settings: Settings) -> AddressPolicy:
    return AddressPolicy(
        allow_private=settings.source_allow_private_addresses,
        allowed=tuple(ip_network(network) for network in settings.source_allowed_networks),
    )


def permitted_addresses(host: str, port: int, policy: AddressPolicy, deadline: Deadline) -> list[str]:
    """The addresses of `host` to connect to, in the resolver's order of preference.

    One address that is not permitted rules out the host: it would otherwise be a matter of chance, and of the
    order in which a hostile name server answers, which one is reached.

    Raises SourceAddressNotAllowed, SourceInvalid, SourceUnavailable, SourceTimeout.
    """
    try:
        found = deadline.bound(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except socket.gaierror as error:
        raise SourceUnavailable(f"The host {host[:200]} does not resolve: {error.strerror}.") from None
    except UnicodeError:
        raise SourceInvalid("The reference's host is not a valid name.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(policy.permits(ip_address(address)) for address in addresses):
        # The address itself is left out: to whom it may be told is not known here.
        raise SourceAddressNotAllowed(
            f"The host {host[:200]} resolves to a private, loopback, link-local or reserved address.",
            remedy="Use a public address, or name its network in OCRQUEUE_SOURCE_ALLOWED_NETWORKS on the workers.",
        )
    return addresses


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
