"""What a gateway's machine installs: its wheel beside the client's, in an empty virtual environment."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from tests.support.gateway_jobs import accepted
from tests.support.processes import as_environment, environment, wait_until
from tests.support.wheels import HEAVY, Environment, build_wheel, empty_environment, pinned

MAX_BYTES = 420_000


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("gateway")
    wheels = [build_wheel(project, folder) for project in ("ocrqueue", "ocrqueue-gateway")]
    assert wheels[1].stat().st_size < MAX_BYTES
    made = empty_environment(folder / "venv")
    made.install(*wheels, constraints=pinned("runtime", folder))
    return made


def test_it_brings_the_client_and_no_worker(installed: Environment) -> None:
    names = installed.installed()
    assert {"ocrqueue", "ocrqueue-gateway", "fastapi", "uvicorn"} <= names
    # httpx is for webhooks and the certificates of Amazon SNS
    assert not names & (HEAVY | {"ocrqueue-worker", "structlog"})


def test_it_serves(installed: Environment, settings: WorkerSettings, tmp_path: Path) -> None:
    told = tmp_path / "url"
    command = [installed.python, *installed.program("ocrqueue-gateway"), "--port", "0", "--url-file", told]
    with subprocess.Popen(command, env=environment(as_environment(settings)), cwd=tmp_path) as process:
        try:
            wait_until(lambda: told.exists() or process.poll() is not None, 60, "the gateway listens")
            assert process.poll() is None
            with httpx.Client(base_url=told.read_text().strip(), trust_env=False, timeout=60) as http:
                assert http.get("/readyz").status_code == 200
                assert "/v1/jobs" in http.get("/v1/openapi.json").json()["paths"]
                # the pages come along
                address = http.get("/").text.partition('src="')[2].partition('"')[0]
                assert http.get(address).status_code == 200
                answer = http.post("/v1/jobs?engine=null", content=b"x", headers={"content-type": "image/png"})
                with OcrQueue(settings) as queue:
                    assert queue.job(accepted(answer)).status().state == "queued"
        finally:
            process.terminate()
        # uvicorn ends in good order, and then as the signal would have ended it
        assert process.wait(60) == -signal.SIGTERM
