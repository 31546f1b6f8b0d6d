"""Two installations in one process, each with an S3 account of its own."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3
import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import open_storage
from tests.support.servers import S3_ENDPOINT_VARIABLE, s3_server

pytest_plugins = ["tests.support.server_fixtures"]

BUCKET = "s3://two-accounts"


def account(number: int) -> dict[str, str]:
    return {"s3_access_key_id": f"key-{number}", "s3_secret_access_key": f"secret-{number}"}


def key_of(queue: OcrQueue | AsyncOcrQueue) -> str:
    storage: Any = queue.storage
    return str(storage._client._request_signer._credentials.access_key)


def test_two_clients_with_different_accounts_and_servers(settings: WorkerSettings, s3_endpoint: str) -> None:
    if S3_ENDPOINT_VARIABLE in os.environ:
        pytest.skip("the accounts are made up, and only moto takes any")
    with (
        s3_server() as other_endpoint,
        OcrQueue(settings, storage=BUCKET, s3_endpoint=s3_endpoint, **account(1)) as first,
        OcrQueue(settings, storage=BUCKET, s3_endpoint=other_endpoint, **account(2)) as second,
    ):
        stored = {}
        for queue in (first, second):
            queue.storage.ensure()
            (job,) = registry_of(queue).jobs([queue.submit(f"GIF8 {key_of(queue)}".encode()).id])
            assert job is not None
            stored[key_of(queue)] = queue.storage.read_uri(job.image)
        assert stored == {"key-1": b"GIF8 key-1", "key-2": b"GIF8 key-2"}
        assert set(first.storage.list("inputs")).isdisjoint(second.storage.list("inputs"))


def test_a_session_comes_before_the_settings(settings: WorkerSettings, s3_endpoint: str) -> None:
    session = boto3.session.Session("key-3", "secret-3", region_name="us-east-1")
    own = {"storage": BUCKET, "s3_endpoint": s3_endpoint, **account(1)}
    with OcrQueue(settings, s3_session=session, **own) as queue:
        assert key_of(queue) == "key-3"

    async def key() -> str:
        async with AsyncOcrQueue(settings, s3_session=session, **own) as other:
            return key_of(other)

    assert asyncio.run(key()) == "key-3"
    with OcrQueue(settings, **own) as queue:
        assert key_of(queue) == "key-1"


def test_secrets_of_an_account_are_not_shown() -> None:
    settings = load_worker_settings(storage=BUCKET, s3_session_token="token-1", **account(1))
    shown = {name: value for name, value in settings.masked().items() if name in {*account(1), "s3_session_token"}}
    assert set(shown.values()) == {"***"}
    assert "secret-1" not in repr(settings)
    assert "secret-1" not in repr(open_storage(settings))


@pytest.mark.parametrize("half", ["s3_access_key_id", "s3_secret_access_key", "s3_session_token"])
def test_half_an_account_is_refused(half: str) -> None:
    with pytest.raises(SettingsInvalid, match="go"):
        load_worker_settings(**{half: "secret-1"})
