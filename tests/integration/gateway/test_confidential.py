"""Tenants are told that the installation's own storage fails, and nothing of where it is; operators are told all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.api_keys import SCOPES
from ocrqueue.errors import StorageDenied
from ocrqueue.job import Job
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.settings import GatewaySettings
from tests.support.documentation import ROOT
from tests.support.gateways import gateway_of
from tests.support.moves import begun, job, submit

SECRET: Final = "s3://own-bucket/own-prefix"
FAULT: Final = StorageDenied(f"{SECRET}/results/x: AccessDenied (HTTP 403).", remedy=f"Let it write to {SECRET}.").info
PATHS: Final[Mapping[str, Any]] = create_app(GatewaySettings(host="0.0.0.0")).openapi()["paths"]
READS: Final = [
    path for path, methods in PATHS.items() if "get" in methods and ("{job_id}" in path or "{batch_id}" in path)
]


@pytest.fixture
def failed(registry: WorkerRegistry) -> Job:
    """A job of a tenant, which has failed with such an error: after an attempt, once, and once more after a replay."""
    made = job(tenant="acme", batch="batch-1", engine="null")
    submit(registry, made)
    with OcrQueue(registry.settings) as queue:
        queue.batch("batch-1", tenant="acme").close()
        registry.release(begun(registry), FAULT, is_retry=True)
        for _ in range(2):
            registry.finish(begun(registry), made, Outcome(job_id=made.id, state="failed", error=FAULT))
            if not registry.status(made.id).history:
                queue.job(made.id).replay()
    return made


@pytest.fixture
def asking(registry: WorkerRegistry) -> Iterator[tuple[httpx.Client, str, str]]:
    """Speaks to a gateway; the key of a tenant that may do everything, and an operator's."""
    with (
        OcrQueue(registry.settings) as queue,
        gateway_of(registry.settings, host="0.0.0.0") as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        keys = [queue.api_keys.create(tenant=tenant, scopes=SCOPES).text for tenant in ("acme", "")]
        yield http, keys[0], keys[1]


def get(http: httpx.Client, key: str, path: str, made: Job) -> str:
    at = path.format(
        job_id=made.id, batch_id="batch-1", number=1, word="p1-w1", format="text", key="x", level=0, column=0, row=0
    )
    return http.get(at, headers={"authorization": f"Bearer {key}"}).text


def test_no_route_tells_a_tenant_where_the_storage_is(asking: tuple[httpx.Client, str, str], failed: Job) -> None:
    http, tenant, operator = asking
    for path in [*READS, "/v1/jobs", "/v1/dead"]:
        assert "own-bucket" not in get(http, tenant, path, failed), path
    told = json.loads(get(http, tenant, "/v1/jobs/{job_id}", failed))["error"]
    assert (told["code"], told["message"], told["details"]) == ("storage.denied", _in_general(StorageDenied), {})
    history = json.loads(get(http, tenant, "/v1/jobs/{job_id}/history", failed))
    errors = [each["error"] for each in (*history["attempts"], *history["ends"]) if each["error"]]
    assert len(errors) == 4
    assert errors == [told] * 4
    for path in ("/v1/jobs/{job_id}", "/v1/jobs/{job_id}/history", "/v1/jobs/{job_id}/events", "/v1/jobs", "/v1/dead"):
        assert SECRET in get(http, operator, path, failed), path


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/jobs", {}),
        ("/documentintelligence/documentModels/prebuilt-read:analyze?api-version=2024-11-30", {}),
    ],
)
def test_a_storage_that_is_away_is_not_named(
    asking: tuple[httpx.Client, str, str], registry: WorkerRegistry, path: str, headers: Mapping[str, str]
) -> None:
    http, tenant, operator = asking
    folder = registry.settings.storage.removeprefix("file://")
    shutil.rmtree(folder)
    sent = {"content-type": "image/jpeg", **headers}
    answers = [
        http.post(path, content=(ROOT / "samples/street-sign.jpg").read_bytes(), headers={**sent, "authorization": key})
        for key in (f"Bearer {tenant}", f"Bearer {operator}")
    ]
    Path(folder).mkdir()
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [folder in answer.text for answer in answers] == [False, True]
    assert "storage.unavailable" in answers[0].text


def _in_general(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").splitlines()[0]
