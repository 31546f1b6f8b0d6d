"""What buckets tell the gateway, and what it submits; Ceph's own gateway pushes where it runs."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from ocrqueue import OcrQueue
from ocrqueue.core import WorkerRegistry
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.documentation import ROOT
from tests.support.gateways import gateway_of
from tests.support.processes import as_environment, wait_until, worker
from tests.support.servers import S3_ENDPOINT_VARIABLE, s3_environment
from tests.support.standstill import time_lost

RULES = """
[[rule]]
bucket = "scans"
suffix = [".png", ".jpg"]
engine = "null"
tag = "inbox"
tenant = "acme"
crops = "none"
"""
CEPH = os.environ.get(S3_ENDPOINT_VARIABLE, "http://127.0.0.1:7480")


@pytest.fixture
def http(registry: WorkerRegistry, tmp_path: Path) -> Iterator[httpx.Client]:
    """A gateway of its own, without a worker."""
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    with (
        gateway_of(registry.settings, bucket_rules=rules) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def records(*keys: str, bucket: str = "scans", sequencer: str = "01") -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "e1", "sequencer": sequencer}},
            }
            for key in keys
        ]
    }


def told(http: httpx.Client, message: object) -> dict[str, Any]:
    answer = http.post("/v1/events/s3", json=message)
    assert answer.status_code == 200, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def test_each_thing_is_submitted_once_by_its_rule(http: httpx.Client, registry: WorkerRegistry) -> None:
    first = told(http, records("in+box/a.png", "b.jpg", "notes.txt"))
    assert (first["submitted"], first["known"], first["ignored"]) == (2, 0, 1)
    again = told(http, records("b.jpg", "in+box/a.png"))
    assert (again["submitted"], again["known"], sorted(again["jobs"])) == (0, 2, sorted(first["jobs"]))
    assert told(http, records("b.jpg", sequencer="02"))["submitted"] == 1
    status = registry.status(first["jobs"][0])
    assert (status.image, status.name, status.tag, status.tenant, status.engine) == (
        "s3://scans/in box/a.png",
        "a.png",
        "inbox",
        "acme",
        "null",
    )
    counted = registry.client.hgetall(registry.keys.bucket_events())
    assert counted == {b"submitted": b"3", b"known": b"2", b"ignored": b"1"}


@pytest.mark.parametrize(
    "message",
    [{"Event": "s3:TestEvent"}, {}, {"Records": [None]}, records("a.png", bucket="others"), {"source": "aws.s3"}],
)
def test_what_nobody_wants_is_acknowledged(http: httpx.Client, message: object) -> None:
    taken = told(http, message)
    assert (taken["jobs"], taken["submitted"], taken["ignored"]) == ([], 0, 1)


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"[" * 100_000])
def test_what_is_no_message_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/events/s3", content=body, headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


def test_a_topic_that_is_not_named_is_refused(http: httpx.Client) -> None:
    envelope = {"Type": "Notification", "TopicArn": "arn:aws:sns:x:1:y", "SigningCertURL": "https://sns.x/"}
    answer = http.post("/v1/events/s3", json=envelope)
    assert (answer.status_code, answer.json()["code"]) == (403, "event.refused")


def test_a_full_queue_has_the_bucket_send_again(registry: WorkerRegistry, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    settings = load_worker_settings(registry.settings, max_queue_length=1)
    message = records("a.png", "b.png")
    with gateway_of(settings, bucket_rules=rules) as url:
        answer = httpx.post(f"{url}/v1/events/s3", json=message, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (503, "queue.full")
        assert "retry-after" in answer.headers
    with gateway_of(registry.settings, bucket_rules=rules) as url:
        taken = httpx.post(f"{url}/v1/events/s3", json=message, timeout=60).json()
        assert (taken["submitted"], taken["known"]) == (1, 1)


def test_a_key_comes_as_the_service_can_send_it(registry: WorkerRegistry, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    with OcrQueue(registry.settings) as queue, gateway_of(registry.settings, host="0.0.0.0", bucket_rules=rules) as url:
        keys = {
            name: queue.api_keys.create(tenant=tenant, scopes=scopes, engines=engines).text
            for name, tenant, scopes, engines in (
                ("acme", "acme", ("submit",), None),
                ("other", "other", ("submit",), None),
                ("reads", "acme", ("read",), None),
                ("engine", "acme", ("submit",), ("rapid",)),
            )
        }

        def asked(where: str, key: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"} if where == "header" else {}
            auth = ("events", key) if where == "user" else None
            params = {"key": key} if where == "address" else {}
            sent = records("a.png")
            return httpx.post(f"{url}/v1/events/s3", json=sent, headers=headers, params=params, auth=auth, timeout=60)

        jobs = {asked(where, keys["acme"]).json()["jobs"][0] for where in ("header", "user", "address")}
        assert len(jobs) == 1
        assert asked("address", keys["other"]).json()["ignored"] == 1
        refused = {name: asked("user", keys[name]).status_code for name in ("reads", "engine")}
        assert refused == {"reads": 403, "engine": 403}
        for where in ("header", "user", "address"):
            assert asked(where, "wrong").status_code == 401
        assert httpx.post(f"{url}/v1/events/s3", json=records("a.png"), timeout=60).status_code == 401


class Ceph:
    """Its gateway, which tells a URL of what is stored in a bucket."""

    def __init__(self) -> None:
        given = s3_environment(CEPH)
        account = {
            "aws_access_key_id": given["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": given["AWS_SECRET_ACCESS_KEY"],
            "region_name": "us-east-1",
        }
        self.account = account
        self.s3 = boto3.client("s3", endpoint_url=CEPH, **account)
        self.sns = boto3.client("sns", endpoint_url=CEPH, **account)

    def push(self, bucket: str, url: str) -> None:
        topic = self.sns.create_topic(Name=bucket, Attributes={"push-endpoint": url})["TopicArn"]
        told_of = {"Id": "scans", "TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [told_of]}
        )


@pytest.fixture
def ceph() -> Ceph:
    try:
        httpx.get(CEPH, timeout=5, trust_env=False)
        made = Ceph()
        made.sns.list_topics()
    except (httpx.HTTPError, ClientError, BotoCoreError):
        pytest.skip(f"No gateway of Ceph at {CEPH}, or at {S3_ENDPOINT_VARIABLE}.")
    return made


def test_ceph_pushes_and_the_text_is_there(ceph: Ceph, settings: WorkerSettings, tmp_path: Path) -> None:
    bucket = f"scans-{uuid.uuid4().hex[:8]}"
    ceph.s3.create_bucket(Bucket=bucket)
    rules = tmp_path / "rules.toml"
    rules.write_text(f'[[rule]]\nbucket = "{bucket}"\nprefix = "in box/"\nengine = "null"\n')
    settings = load_worker_settings(
        settings,
        storage=f"s3://{bucket}/results",
        s3_endpoint=CEPH,
        s3_access_key_id=ceph.account["aws_access_key_id"],
        s3_secret_access_key=ceph.account["aws_secret_access_key"],
    )
    with (
        worker(as_environment(settings), tmp_path, "--engine", "null", "--concurrency", "1"),
        gateway_of(settings, host="0.0.0.0", bucket_rules=rules) as url,
        OcrQueue(settings) as queue,
    ):
        key = queue.api_keys.create(tenant="acme", scopes=("submit", "read")).text
        ceph.push(bucket, f"{url}/v1/events/s3?key={key}")
        name = "in box/a+b%20c ü.jpg"
        ceph.s3.put_object(Bucket=bucket, Key=name, Body=(ROOT / "samples/street-sign.jpg").read_bytes())
        wait_until(lambda: queue.jobs().jobs, 60, "the event has come")
        (status,) = queue.jobs().jobs
        asked_at = time.time()
        assert (status.image, status.tenant) == (f"s3://{bucket}/{name}", "acme")
        with time_lost() as lost_s:
            answer = httpx.get(
                f"{url}/v1/jobs/{status.id}/result",
                params={"format": "text", "wait": 60},
                headers={"authorization": f"Bearer {key}"},
                timeout=120,
                trust_env=False,
            )
            there_at = time.time()
        assert (answer.status_code, bool(answer.text.strip())) == (200, True)
        finished_at = queue.status(status.id).finished_at
        assert finished_at is not None
        assert there_at - max(asked_at, finished_at.timestamp()) - lost_s() < 1
