"""A gateway that clients of AWS Textract ask: each has a key, and signs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ocrqueue import OcrQueue
from ocrqueue.core.api_keys import NewApiKey
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage.s3_client import s3_client
from tests.support.gateways import gateway_of

TOPIC = "arn:aws:sns:eu-central-1:123456789012:ocr-done"
ROLE = "arn:aws:iam::123456789012:role/textract"
WEBHOOK = "https://app.example.org/ocr-done"
SECRET = "the-gateways-own-secret-of-32-letters"
RULES = """
[[rule]]
protocol = "textract"
engine = "tesseract"

[[bucket]]
name = "s3://scans/"
place = "s3://{bucket}/scans/"

[[bucket]]
name = "s3://results/"
place = "s3://{bucket}/results/"
read = false
write = true

[[topic]]
arn = "{topic}"
webhook = "{webhook}"
"""


@dataclass(frozen=True)
class SigningGateway:
    """One that others reach, so that every request needs a key."""

    url: str
    queue: OcrQueue
    settings: WorkerSettings
    bucket: str
    rules: Path

    @contextmanager
    def another(self, **given: object) -> Iterator[SigningGateway]:
        """A replica beside it; `given`: of GatewaySettings."""
        own = {"host": "0.0.0.0", "cloud_rules": self.rules, "cloud_wait_s": 60, **given}
        with gateway_of(self.settings, **own) as url:
            yield replace(self, url=url)

    def key(self, tenant: str, **asked: Any) -> NewApiKey:
        return self.queue.api_keys.create(tenant=tenant, **asked)

    def client(self, key: NewApiKey, attempts: int = 1, **more: Any) -> Any:
        """Of boto3; its types name no address."""
        return boto3.client(
            "textract",
            region_name="eu-central-1",
            endpoint_url=self.url,
            aws_access_key_id=key.key.id,
            aws_secret_access_key=key.signing_secret,
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, **more),
        )

    def put(self, name: str, content: bytes) -> None:
        """Into what clients call the bucket `scans`."""
        s3_client(self.settings).put_object(Bucket=self.bucket, Key=f"scans/{name}", Body=content)


@contextmanager
def signing_gateway(settings: WorkerSettings, bucket: str, folder: Path) -> Iterator[SigningGateway]:
    """Over an installation whose storage is in the bucket. `folder`: for the file of rules."""
    rules = folder / "clouds.toml"
    rules.write_text(RULES.format(bucket=bucket, topic=TOPIC, webhook=WEBHOOK))
    with_secret = WorkerSettings.model_validate({**settings.model_dump(), "gateway_secret": SECRET})
    with OcrQueue(with_secret) as queue, SigningGateway("", queue, with_secret, bucket, rules).another() as made:
        yield made
