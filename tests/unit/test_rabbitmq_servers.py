"""What the setting `broker_url` says, and messages as RabbitMQ has them."""

from __future__ import annotations

import json
import ssl

import pytest

from ocrqueue import Job
from ocrqueue.core.celery_messages import MAX_ENTRY_BYTES, celery_message
from ocrqueue.errors import SettingsInvalid
from ocrqueue.rabbitmq import Server, servers
from ocrqueue.rabbitmq.publishing import amqp_message
from ocrqueue.settings import Settings, load_settings


def given(url: str) -> Settings:
    return load_settings(broker_url=url)


def test_what_a_url_leaves_out_is_as_rabbitmq_comes() -> None:
    assert servers(given("amqp://broker")) == [Server("broker", 5672, "guest", "guest", "/", None)]
    assert servers(given("amqp://")) == [Server("127.0.0.1", 5672, "guest", "guest", "/", None)]
    assert servers(given("amqp://broker//")) == servers(given("amqp://broker/%2f")) == servers(given("amqp://broker/"))


def test_what_it_says_is_decoded_and_told_to_celery_in_code() -> None:
    (server,) = servers(given("amqp://u%40x:p%3A%2F@[::1]:5673/a%2Fb"))
    assert server == Server("[::1]", 5673, "u@x", "p:/", "a/b", None)
    assert server.url_with("x") == "x://u%40x:p%3A%2F@[::1]:5673/a%2Fb"


def test_certificates_are_checked_unless_the_url_says_otherwise() -> None:
    (checked,) = servers(given("amqps://broker?cacertfile=/ca.pem&certfile=/c.pem&keyfile=/k.pem"))
    assert checked.port == 5671
    assert checked.tls == {
        "ca_certs": "/ca.pem",
        "certfile": "/c.pem",
        "keyfile": "/k.pem",
        "server_hostname": "broker",
        "cert_reqs": ssl.CERT_REQUIRED,
    }
    (trusting,) = servers(given("amqps://broker?verify=verify_none"))
    assert trusting.tls == {"cert_reqs": ssl.CERT_NONE}
    (named,) = servers(given("amqps://10.0.0.1?server_name_indication=broker.internal"))
    assert named.tls is not None
    assert named.tls["server_hostname"] == "broker.internal"


def test_a_cluster_has_several_and_none_of_their_passwords_is_shown() -> None:
    settings = given("amqp://u:one@a/v;amqp://u:two@b/v")
    assert [server.host for server in servers(settings)] == ["a", "b"]
    assert settings.masked()["broker_url"] == "amqp://u:***@a/v;amqp://u:***@b/v"


def test_without_it_there_are_none() -> None:
    assert servers(load_settings()) == servers(given("")) == []


@pytest.mark.parametrize("url", ["redis://h", "http://h", "amqp://h:port", "amqps://h?verify=maybe", "amqp://h?x=1"])
def test_what_is_no_such_url_is_a_setting_that_is_invalid(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="broker_url"):
        servers(given(url))


def test_a_message_has_the_same_call_in_either_broker() -> None:
    job = Job(image="s3://b/k", tag="é")
    message = amqp_message(celery_message(job).encode())
    args, kwargs, _ = json.loads(message.body)
    assert (args, kwargs) == ([], {"job": job.to_message()})
    assert message.properties["application_headers"]["id"] == message.properties["correlation_id"] == job.id
    assert message.properties["delivery_mode"] == 2


def test_a_message_that_cannot_be_read_keeps_its_name_for_the_worker_to_tell() -> None:
    envelope = json.loads(celery_message(Job(id="j1", image="s3://b/k")))
    message = amqp_message(json.dumps({**envelope, "body": "no base64"}).encode())
    assert message.body == b"no base64"
    assert message.properties["application_headers"]["id"] == "j1"


@pytest.mark.parametrize("value", [1 << 70, {"x" * 300: 1}, -(1 << 63) - 1], ids=["large", "long name", "small"])
def test_what_amqp_cannot_hold_goes_as_it_is(value: object) -> None:
    envelope = json.loads(celery_message(Job(image="s3://b/k")))
    envelope["headers"]["x"] = value
    entry = json.dumps(envelope).encode()
    assert amqp_message(entry).body == entry


def test_what_is_too_large_is_cut_off_so_that_the_worker_says_so() -> None:
    assert len(amqp_message(b"x" * 3_000_000).body) == MAX_ENTRY_BYTES + 1


@pytest.mark.parametrize("entry", [b"\xff", b"[]", b"{}", b'{"body": 1, "properties": []}', b"[" * 10_000])
def test_what_is_no_message_goes_as_it_is(entry: bytes) -> None:
    assert amqp_message(entry).body == entry
