"""Which addresses and hosts an http(s) reference may name."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address, ip_network

import httpx
import pytest

from ocrqueue.addresses import AddressPolicy
from ocrqueue.errors import (
    SettingsInvalid,
    SourceAddressNotAllowed,
    SourceHostNotAllowed,
    SourceInvalid,
    SourceTimeout,
    SourceUnavailable,
)
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.sources.addresses import address_policy, permitted_addresses
from ocrqueue_worker.sources.deadline import Deadline
from ocrqueue_worker.sources.http import check_host, parse_url

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "4000::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    assert AddressPolicy().permits(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_not_unless_all_are(address: str) -> None:
    assert not AddressPolicy().permits(ip_address(address))
    assert AddressPolicy(allow_private=True).permits(ip_address(address))


def test_single_networks_can_be_permitted() -> None:
    policy = AddressPolicy(allowed=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::1", "8.8.8.8"):
        assert policy.permits(ip_address(address)), address
    for address in ("10.2.0.1", "fc00::1", "127.0.0.1", "::ffff:10.2.0.1"):
        assert not policy.permits(ip_address(address)), address


def test_the_policy_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCRQUEUE_SOURCE_ALLOWED_NETWORKS", "10.1.0.0/16, ::1/128")
    policy = address_policy(load_worker_settings())
    assert policy == AddressPolicy(allowed=(ip_network("10.1.0.0/16"), ip_network("::1/128")))
    assert address_policy(load_worker_settings(source_allow_private_addresses=True)).allow_private
    for wrong in ("10.1.0.1/16", "example.org", "10.0.0.0/33"):
        with pytest.raises(SettingsInvalid, match="source_allowed_networks"):
            load_worker_settings(source_allowed_networks=(wrong,))


def resolving_to(*addresses: str) -> object:
    return lambda host, port, **_: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
    ]


def addresses_of(host: str, seconds: float = 5) -> list[str]:
    return permitted_addresses(host, 80, AddressPolicy(), Deadline.after(seconds))


def test_one_private_address_rules_out_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("8.8.8.8", "8.8.4.4", "8.8.8.8"))
    assert addresses_of("example.org") == ["8.8.8.8", "8.8.4.4"]
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("8.8.8.8", "10.11.12.13"))
    with pytest.raises(SourceAddressNotAllowed, match=r"example\.org") as caught:
        addresses_of("example.org")
    assert "10.11" not in str(caught.value)
    assert "OCRQUEUE_SOURCE_ALLOWED_NETWORKS" in caught.value.info.remedy


@pytest.mark.parametrize(
    "host", ["0x7f.1", "2130706433", "0177.0.0.1", "127.1", "::1", "::ffff:127.0.0.1", "localhost"]
)
def test_every_way_to_write_this_machine_is_seen_through(host: str) -> None:
    with pytest.raises(SourceAddressNotAllowed):
        addresses_of(host)


def test_a_name_that_does_not_resolve_is_worth_a_retry() -> None:
    with pytest.raises(SourceUnavailable, match=r"no-such-host\.invalid") as caught:
        addresses_of("no-such-host.invalid")
    assert caught.value.retryable


@pytest.mark.parametrize("host", ["a" * 70 + ".org", "a..b"])
def test_a_name_that_cannot_be_one(host: str) -> None:
    with pytest.raises((SourceInvalid, SourceUnavailable)):
        addresses_of(host)


def test_a_resolver_that_hangs_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: given_up.wait(60))
    begin = time.monotonic()
    with pytest.raises(SourceTimeout, match=r"0\.2 s"):
        addresses_of("example.org", seconds=0.2)
    assert time.monotonic() - begin < 30
    given_up.set()


def test_a_deadline_passes_on_what_the_call_raises() -> None:
    def failing() -> None:
        raise TimeoutError("the call's own")

    with pytest.raises(TimeoutError, match="the call's own"):
        Deadline.after(5).bound(failing)
    with pytest.raises(SourceTimeout):
        Deadline.after(0).left()
    assert Deadline.after(5).left(at_most=2) == 2


@pytest.mark.parametrize(
    "uri",
    [
        "http:///path",
        "http:path",
        "http://",
        "http://h:0/",
        "http://h:99999/",
        "http://h:abc/",
        "http://[::1",
        "http://127%2e0.0.1/",
        "http://[fe80::1%25lo]/",
        "http://user:pw@example.org/",
        "http://user@example.org/",
        "http://example.org\\@10.0.0.1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://0177.0.0.1/",
        "http://xn--a/",
        "http://h/" + "x" * 70_000,
    ],
)
def test_what_is_not_a_url(uri: str) -> None:
    with pytest.raises(SourceInvalid) as caught:
        parse_url(uri)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("images.example.org", True),
        ("IMAGES.Example.ORG", True),
        ("images.example.org.", True),
        ("a.b.example.net", True),
        ("example.net", False),
        ("badexample.net", False),
        ("example.net.evil.com", False),
        ("images.example.org.evil.com", False),
        ("xn--mnchen-3ya.de", True),
        ("münchen.de", True),
        ("10.0.0.1", False),
    ],
)
def test_the_list_of_hosts(host: str, allowed: bool) -> None:
    settings = load_worker_settings(source_hosts=("images.example.org", "*.Example.net", "münchen.de"))
    url = httpx.URL(f"https://{host}:8443/x")
    if allowed:
        check_host(url, settings)
    else:
        with pytest.raises(SourceHostNotAllowed):
            check_host(url, settings)
    check_host(url, load_worker_settings())
