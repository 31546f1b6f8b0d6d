"""Fixtures around tests.support.servers.

A test module asks for them with `pytest_plugins = ["tests.support.server_fixtures"]`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import open_storage
from ocrqueue.storage.s3_client import s3_client
from tests.support.servers import s3_environment, s3_server


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 server; the environment leads boto3 to it, and nowhere else."""
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_") and "ACCESS_KEY" not in name]:
            patch.delenv(name)
        for name, value in s3_environment(endpoint).items():
            patch.setenv(name, value)
        yield endpoint


@pytest.fixture(scope="session")
def s3_bucket(s3_endpoint: str) -> Iterator[str]:
    """A new bucket, deleted at the end with all in it."""
    bucket = f"ocrqueue-{uuid.uuid4().hex[:12]}"
    settings = load_worker_settings(storage=f"s3://{bucket}", s3_endpoint=s3_endpoint)
    storage, client = open_storage(settings), s3_client(settings)
    storage.ensure()
    yield bucket
    for key in storage.list(""):
        client.delete_object(Bucket=bucket, Key=key)
    client.delete_bucket(Bucket=bucket)


@pytest.fixture
def s3_settings(s3_endpoint: str, s3_bucket: str) -> WorkerSettings:
    """WorkerSettings whose storage is a prefix of its own in the bucket."""
    return load_worker_settings(storage=f"s3://{s3_bucket}/test-{uuid.uuid4().hex[:8]}/prefix", s3_endpoint=s3_endpoint)
