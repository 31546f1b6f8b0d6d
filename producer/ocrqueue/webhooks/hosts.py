"""Which hosts and addresses may be told of ends."""

from __future__ import annotations

from ipaddress import ip_network
from urllib.parse import urlsplit

from ocrqueue.addresses import AddressPolicy
from ocrqueue.settings import ClientSettings


def check_host(url: str, settings: ClientSettings) -> None:
    """`url`: one that check_webhook_url() has seen. Raises ValueError where the settings rule it out."""
    parts = urlsplit(url)
    if parts.scheme not in settings.webhook_schemes:
        raise ValueError(f"is {parts.scheme}://, which OCRQUEUE_WEBHOOK_SCHEMES does not name")
    host = (parts.hostname or "").rstrip(".")
    if settings.webhook_hosts and not any(_matches(host, entry) for entry in settings.webhook_hosts):
        raise ValueError("names a host that is not in OCRQUEUE_WEBHOOK_HOSTS")


def _matches(host: str, entry: str) -> bool:
    wanted = entry.lower().rstrip(".")
    return host.endswith(wanted[1:]) and host != wanted[1:] if wanted.startswith("*.") else host == wanted


def webhook_policy(settings: ClientSettings) -> AddressPolicy:
    return AddressPolicy(
        allow_private=settings.webhook_allow_private_addresses,
        allowed=tuple(ip_network(network) for network in settings.webhook_allowed_networks),
    )
