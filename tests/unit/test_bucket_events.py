"""What buckets tell, in every form; the rules; and whether Amazon SNS has signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

from ocrqueue.errors import EventRefused, SettingsInvalid
from ocrqueue_gateway.access.caller import ANYBODY, Caller
from ocrqueue_gateway.bucket_events import sns
from ocrqueue_gateway.bucket_events.notifications import ObjectStored, objects_stored
from ocrqueue_gateway.bucket_events.rules import load_rules, rule_for
from ocrqueue_gateway.bucket_events.sns import Topics, is_sns, signed_text
from ocrqueue_gateway.settings import GatewaySettings

TOPIC = "arn:aws:sns:eu-west-1:123456789012:scans"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"


def record(key: str, source: str = "aws:s3", name: str = "ObjectCreated:Put", **more: str) -> dict[str, Any]:
    stored = {"key": key, "size": 5, "eTag": "e1", "sequencer": "0055AED6DCD90281E5", **more}
    return {"eventSource": source, "eventName": name, "s3": {"bucket": {"name": "scans"}, "object": stored}}


def caller(tenant: str) -> Caller:
    return Caller(tenant, "k1", frozenset({"submit"}), None)


EVENT_BRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "scans"}, "object": {"key": "a+b%20c.png", "etag": "e1", "sequencer": "0055AED6"}},
}


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ({"Records": [record("in+box/a%2Bb%2520%C3%BC.png")]}, "in box/a+b%20ü.png"),
        ({"Records": [record("in%2Fa+b.png", "minio:s3", "s3:ObjectCreated:Put")]}, "in/a b.png"),
        ({"Records": [record("in box/a+b%20c ü.png", "ceph:s3")]}, "in box/a+b%20c ü.png"),
        (EVENT_BRIDGE, "a+b%20c.png"),
    ],
    ids=["aws", "minio", "ceph", "eventbridge"],
)
def test_keys_are_decoded_once_where_they_are_encoded(message: object, key: str) -> None:
    (stored,) = objects_stored(message)
    assert stored is not None
    assert (stored.bucket, stored.key, stored.reference) == ("scans", key, f"s3://scans/{key}")


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "scans"},
        {"Records": [record("a.png", name="ObjectRemoved:Delete")]},
        {"Records": [record("folder/")]},
        {"Records": [record("a%00.png")]},
        {"Records": [record("a%FF.png")]},
        {"Records": [record("")]},
        {"Records": [record("k" * 1025)]},
        {"Records": [7]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": []}]},
        {"Records": {}},
        {"source": "aws.s3", "detail-type": "Object Deleted", "detail": {"object": {"key": "a"}}},
        [],
        None,
    ],
)
def test_what_is_of_something_else_is_no_object(message: object) -> None:
    assert list(objects_stored(message)) == [None]


def test_the_same_thing_has_one_key_and_others_have_others() -> None:
    first = ObjectStored("scans", "a.png", "", "e1", "01")
    assert first.idempotency_key == ObjectStored("scans", "a.png", "", "e1", "01").idempotency_key
    versioned = ObjectStored("scans", "a.png", "v1", "e1", "01")
    assert versioned.idempotency_key == ObjectStored("scans", "a.png", "v1", "e1", "02").idempotency_key
    others = [first, versioned, ObjectStored("scans", "a.png", "", "e1", "02"), ObjectStored("scans", "b.png")]
    assert len({each.idempotency_key for each in others}) == len(others)


def rules_file(folder: Path, text: str, name: str = "rules.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


RULES = """
[[rule]]
bucket = "scans"
prefix = "acme/"
suffix = [".png", ".PDF"]
tenant = "acme"
engine = "tesseract"
languages = ["kor", "eng"]
outputs = ["pdf"]
tag = "inbox"

[[rule]]
bucket = "*"
engine = "null"
"""


def test_the_first_rule_that_fits_decides(tmp_path: Path) -> None:
    rules = load_rules(rules_file(tmp_path, RULES))
    first, second = rules
    assert first.fields == {"engine": "tesseract", "languages": ("kor", "eng"), "outputs": ("pdf",), "tag": "inbox"}
    for key, tenant, expected in [
        ("acme/a.pdf", "acme", first),
        ("acme/a.pdf", "other", second),
        ("acme/a.tif", "acme", second),
        ("other/a.png", "acme", second),
    ]:
        assert rule_for(rules, ObjectStored("scans", key), caller(tenant)) is expected
    assert rule_for(rules[:1], ObjectStored("other", "acme/a.png"), caller("acme")) is None
    assert rule_for(rules[:1], ObjectStored("scans", "acme/a.png"), ANYBODY) is first
    as_json = json.dumps({"rule": [{"bucket": "scans", "suffix": ".png", "engine": "null"}]})
    (rule,) = load_rules(rules_file(tmp_path, as_json, "rules.json"))
    assert rule.suffix == (".png",)


@pytest.mark.parametrize(
    "text",
    ["rule = 3", "[[rule]]", '[[rule]]\nbucket = "a"\nengin = "x"', '[[rule]]\nbucket = "a"\ncrops = "x"', "]["],
)
def test_a_wrong_rule_is_named_at_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"rules\.toml"):
        load_rules(rules_file(tmp_path, text))


def test_no_file_is_a_mistake(tmp_path: Path) -> None:
    assert load_rules(None) == ()
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load_rules(tmp_path / "none.toml")


@pytest.fixture(scope="module")
def aws() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@pytest.fixture
def fetched(aws: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of AWS; at the certificate's address there is one."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(aws.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .sign(aws, hashes.SHA256())
    )
    asked: list[str] = []

    async def answer(url: str, most: int) -> bytes:
        asked.append(url)
        return certificate.public_bytes(serialization.Encoding.PEM)

    monkeypatch.setattr(sns, "fetched", answer)
    return asked


def signed(aws: RSAPrivateKey, version: str = "2", **fields: str) -> dict[str, Any]:
    envelope = {
        "Type": "Notification",
        "MessageId": "m1",
        "TopicArn": TOPIC,
        "Message": json.dumps({"Records": [record("a.png")]}),
        "Timestamp": "2026-02-03T10:15:30.123Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE,
        **fields,
    }
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = aws.sign(signed_text(envelope), PKCS1v15(), algorithm)
    return {**envelope, "Signature": base64.b64encode(signature).decode()}


def topics(**given: object) -> Topics:
    return Topics(GatewaySettings.model_validate({"sns_topics": TOPIC, **given}))


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_message_that_aws_has_signed_is_unwrapped(aws: RSAPrivateKey, fetched: list[str], version: str) -> None:
    envelope = signed(aws, version, Subject="Amazon S3 Notification")
    assert is_sns(envelope)
    allowed = topics()
    for _ in range(2):
        (stored,) = objects_stored(await allowed.unwrapped(envelope))
        assert stored is not None
        assert stored.key == "a.png"
    assert fetched == [CERTIFICATE]


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "{}"},
        {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:theirs"},
        {"Signature": "AAAA"},
        {"Signature": "!"},
        {"SignatureVersion": "3"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem"},
        {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/../SimpleNotificationService-1.pem"},
        {"SigningCertURL": "https://evil@sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"},
        {"Timestamp": "2026-02-03T10:15:31.123Z"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_message_that_aws_has_not_signed_is_refused(
    aws: RSAPrivateKey, fetched: list[str], change: Mapping[str, str]
) -> None:
    with pytest.raises(EventRefused):
        await topics().unwrapped(signed(aws) | change)
    assert set(fetched) <= {CERTIFICATE}


async def test_a_subscription_is_confirmed_only_if_told_so(aws: RSAPrivateKey, fetched: list[str]) -> None:
    url = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t1"
    given = {"Type": "SubscriptionConfirmation", "Token": "t1", "Message": "You have chosen to subscribe"}
    envelope = signed(aws, SubscribeURL=url, **given)
    assert await topics().unwrapped(envelope) is None
    assert fetched == [CERTIFICATE]
    assert await topics(sns_confirm=True).unwrapped(envelope) is None
    assert fetched[-1] == url
    elsewhere = signed(aws, SubscribeURL="https://169.254.169.254/?Action=ConfirmSubscription&a=b", **given)
    with pytest.raises(EventRefused):
        await topics(sns_confirm=True).unwrapped(elsewhere)
