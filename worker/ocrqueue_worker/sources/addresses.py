"""Which addresses an http(s) reference may reach: none that only the workers' network can see, unless allowed."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

from ocrqueue.addresses import AddressPolicy
from ocrqueue.errors import SourceAddressNotAllowed, SourceInvalid, SourceUnavailable
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.sources.deadline import Deadline


def address_policy(settings: WorkerSettings) -> AddressPolicy:
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
