"""What a tenant's jobs have stored is no image of another's, in whatever way the reference to it is written."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT
from tests.support.gateway_jobs import accepted, ended, problem_of
from tests.support.gateways import gateway_process
from tests.support.processes import as_environment, worker

pytest_plugins = ["tests.support.server_fixtures"]

SIGN: Final = ROOT / "samples/street-sign.jpg"
ASKED: Final = {"engine": "null", "crops": "none", "outputs": "pdf"}


@dataclass
class Pair:
    """Two tenants of an installation whose storage is a folder."""

    queue: OcrQueue
    http: httpx.Client
    store: Path
    acme: dict[str, str]
    globex: dict[str, str]


@pytest.fixture
def pair(settings: WorkerSettings, tmp_path: Path) -> Iterator[Pair]:
    folder = tmp_path / "processes"
    folder.mkdir()
    with (
        OcrQueue(settings) as queue,
        worker(as_environment(settings), folder, "--engine", "null", "--concurrency", "1"),
        gateway_process(settings, folder) as (url, _),
        httpx.Client(base_url=url, timeout=100, trust_env=False) as http,
    ):
        keys = [queue.api_keys.create(tenant=tenant, scopes=["submit", "read"]).text for tenant in ("acme", "globex")]
        acme, globex = ({"authorization": f"Bearer {key}"} for key in keys)
        yield Pair(queue, http, Path(settings.storage.removeprefix("file://")), acme, globex)


def test_another_tenants_file_in_the_storages_folder(pair: Pair, tmp_path: Path) -> None:
    headers = {**pair.acme, "content-type": "image/jpeg"}
    job_id = accepted(pair.http.post("/v1/jobs", params=ASKED, content=SIGN.read_bytes(), headers=headers))
    pair.http.headers.update(pair.acme)
    assert ended(pair.http, job_id)["state"] == "succeeded"
    stored = pair.store / "results" / job_id / "outputs/document.pdf"
    assert stored.is_file()
    (tmp_path / "alias").symlink_to(pair.store)
    below = f"results/{job_id}/outputs/document.pdf"
    references = [
        stored.as_uri(),
        f"file:///{stored}",
        f"file:///proc/self/root{stored}",
        f"file:///proc/thread-self/root{stored}",
        f"file://{pair.store}/inputs/../{below}",
        f"file://{pair.store}/inputs/%2e%2e/{below}",
        f"file://localhost{tmp_path}/alias/{below}",
    ]
    for each in references:
        answer = pair.http.post("/v1/jobs", json={"image": each, "engine": "null"}, headers=pair.globex)
        problem_of(answer, 422, "source.path_not_allowed")
    lines = "".join(f"{json.dumps({'custom_id': each, 'image': each, 'engine': 'null'})}\n" for each in references)
    batch = pair.http.post(
        "/v1/batches", content=lines, headers={**pair.globex, "content-type": "application/x-ndjson"}
    )
    errors = problem_of(batch, 422, "job.malformed")["details"]["errors"]
    assert [each["code"] for each in errors] == ["source.path_not_allowed"] * len(references)
    # nor does a worker read it, for whoever has come past the gateway
    for job in [pair.queue.submit(each, engine="null", tenant="globex") for each in references]:
        error = job.wait(100).error
        assert error is not None
        assert error.code == "source.path_not_allowed"


def test_an_uploaded_image_can_be_referred_to(pair: Pair) -> None:
    pair.http.headers.update(pair.acme)
    given = {"content": SIGN.read_bytes(), "headers": {"content-type": "image/jpeg"}}
    accepted(pair.http.post("/v1/jobs", params=ASKED, **given))  # type: ignore[arg-type]  # of two kinds
    (uploaded,) = (pair.store / "inputs").iterdir()
    job_id = accepted(pair.http.post("/v1/jobs", json={"image": uploaded.as_uri(), "engine": "null"}))
    assert ended(pair.http, job_id)["state"] == "succeeded"


def test_a_tenant_is_not_told_where_the_storage_is(pair: Pair) -> None:
    given = {"params": ASKED, "content": SIGN.read_bytes()}
    headers = {**pair.acme, "content-type": "image/jpeg"}
    job_id = accepted(queued := pair.http.post("/v1/jobs", headers=headers, **given))  # type: ignore[arg-type]  # of several kinds
    told = pair.http.get(f"/v1/jobs/{job_id}?wait=60", headers=pair.acme)
    assert told.json()["state"] == "succeeded"
    (uploaded,) = (pair.store / "inputs").iterdir()
    assert told.json()["image"] == queued.json()["image"] == f"inputs/{uploaded.name}"
    for path in (f"/v1/jobs/{job_id}", "/v1/jobs", f"/v1/jobs/{job_id}/history", f"/v1/jobs/{job_id}/events"):
        answer = pair.http.get(path, headers=pair.acme)
        assert uploaded.name in answer.text, path
        assert str(pair.store) not in answer.text, path
    # an operator is
    operator = {"authorization": f"Bearer {pair.queue.api_keys.create(scopes=['read', 'admin']).text}"}
    assert pair.http.get(f"/v1/jobs/{job_id}", headers=operator).json()["image"] == uploaded.as_uri()
    # what a tenant has named itself stays
    elsewhere = pair.http.post("/v1/jobs", headers=pair.acme, json={"image": "s3://scans/a.png?x", "engine": "null"})
    assert elsewhere.json()["image"] == "s3://scans/a.png?x"


def test_another_tenants_file_in_the_storages_bucket(installation: Installation, tmp_path: Path) -> None:
    queue = installation.queue
    job = queue.submit(SIGN.read_bytes(), engine="null", crops="none", tenant=f"acme-{uuid.uuid4().hex[:8]}")
    assert job.wait(100).state == "succeeded"
    bucket, _, prefix = installation.settings.storage.removeprefix("s3://").partition("/")
    below = f"results/{job.id}/result.json"
    references = [
        f"s3://{bucket}/{prefix}/{below}",
        f"s3://{bucket}/{prefix}%2F{below}",
        f"s3://{bucket}/%{ord(prefix[0]):02x}{prefix[1:]}/{below}",
        f"s3://{bucket}/{prefix}//{below}",
        f"s3://{bucket}/{prefix}/./{below}",
        f"s3://{bucket}//{prefix}/{below}",
        f"s3://{bucket.upper()}/{prefix}/{below}",
        f"gs://{bucket}/{prefix}/{below}",
    ]
    key = queue.api_keys.create(tenant=f"globex-{uuid.uuid4().hex[:8]}", scopes=["submit"]).text
    with gateway_process(installation.settings, tmp_path) as (url, _):
        for each in references:
            asked = {"image": each, "engine": "null"}
            answer = httpx.post(f"{url}/v1/jobs", json=asked, headers={"x-api-key": key}, timeout=100, trust_env=False)
            problem_of(answer, 422, "source.path_not_allowed")
    for job in [queue.submit(each, engine="null") for each in references]:
        error = job.wait(100).error
        assert error is not None
        assert error.code in {"source.path_not_allowed", "source.invalid", "source.scheme_not_allowed"}, error
