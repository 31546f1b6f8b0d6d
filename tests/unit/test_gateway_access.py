"""What the gateway's access goes by, without a connection."""

from __future__ import annotations

from starlette.datastructures import Headers

from ocrqueue_gateway.access.caller import ANYBODY, Caller
from ocrqueue_gateway.access.credentials import presented_key
from ocrqueue_gateway.access.failures import ALLOWED, FailedAttempts


def test_wrong_keys_of_an_address_are_counted_and_forgotten_with_time() -> None:
    failures = FailedAttempts()
    for _ in range(ALLOWED):
        assert failures.wait_s("198.51.100.1", "wrong", 0.0) == 0
        failures.failed("198.51.100.1", "wrong", 0.0)
    assert failures.wait_s("198.51.100.1", "right", 0.0) == 3
    assert failures.wait_s("198.51.100.1", "right", 2.5) == 1
    assert failures.wait_s("198.51.100.1", "right", 3.0) == 0
    assert failures.wait_s("198.51.100.2", "wrong", 0.0) == 0
    failures.succeeded("right")
    assert failures.wait_s("198.51.100.1", "right", 0.0) == 0
    assert failures.wait_s("198.51.100.1", "wrong", 0.0) == 3
    # once revoked it is as any other
    failures.failed("198.51.100.9", "right", 0.0)
    assert failures.wait_s("198.51.100.1", "right", 0.0) == 3


def test_who_has_one_address_of_ipv6_has_all_of_its_network() -> None:
    failures = FailedAttempts()
    for number in range(ALLOWED):
        failures.failed(f"2001:db8:1:2::{number:x}", "wrong", 0.0)
    assert failures.wait_s("2001:db8:1:2:ffff::1", "wrong", 0.0) > 0
    assert failures.wait_s("2001:db8:1:3::1", "wrong", 0.0) == 0
    for _ in range(ALLOWED):
        failures.failed("::ffff:198.51.100.7", "wrong", 0.0)
    assert failures.wait_s("198.51.100.7", "wrong", 0.0) > 0
    assert failures.wait_s("198.51.100.8", "wrong", 0.0) == 0


def test_however_many_addresses_fail_the_memory_is_bounded() -> None:
    failures = FailedAttempts()
    for number in range(25_000):
        failures.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "wrong", 0.0)
        failures.succeeded(f"key {number}")
    assert len(failures._by_address) == len(failures._good) == 10_000


def test_where_a_key_is_looked_for() -> None:
    assert presented_key(Headers({})) is None
    assert presented_key(Headers({"Authorization": "Bearer abc", "x-api-key": "other"})) == "abc"
    assert presented_key(Headers({"authorization": "bEARER  abc "})) == "abc"
    assert presented_key(Headers({"X-Api-Key": " abc "})) == "abc"
    assert presented_key(Headers({"authorization": "Basic abc"})) == "Basic abc"
    # somebody who tries to show something comes with a key, though it is none
    assert presented_key(Headers({"authorization": "Bearer"})) == ""


def test_an_operator_is_an_admin_of_no_tenant() -> None:
    of_a = Caller("a", "id", frozenset({"read", "admin"}), None)
    assert not of_a.is_operator
    assert of_a.sees("a")
    assert not of_a.sees("")
    reader = Caller("", "id", frozenset({"read"}), None)
    assert not reader.is_operator
    assert not reader.sees("a")
    assert ANYBODY.is_operator
    assert ANYBODY.sees("a")
