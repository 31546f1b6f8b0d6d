"""A TypeScript client whose types are generated from the OpenAPI document submits, waits and fetches."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import Installation
from tests.support.documentation import ROOT

pytest_plugins = ["tests.support.server_fixtures"]

PROJECT = Path(__file__).parent / "typescript"
OPTIONS = ("--default-non-nullable=false",)
"""What has a default need not be given."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's folder, with its packages as the lock file pins them."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm or node is not installed")
    folder = tmp_path_factory.mktemp("typescript") / "project"
    shutil.copytree(PROJECT, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm does not get the packages: {done.stderr.strip()[-200:]}")
    return folder


def node(project: Path, *command: str) -> str:
    program, *arguments = command
    run = ["node", program, *arguments]
    done = subprocess.run(run, cwd=project, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_generated_client_submits_waits_and_fetches(
    project: Path, http: httpx.Client, gateway: str, installation: Installation
) -> None:
    image = installation.file_root / "typescript.jpg"
    shutil.copyfile(ROOT / "samples/street-sign.jpg", image)
    (project / "openapi.json").write_bytes(http.get("/v1/openapi.json").content)
    node(project, "node_modules/openapi-typescript/bin/cli.js", "openapi.json", "--output", "schema.ts", *OPTIONS)
    node(project, "node_modules/typescript/bin/tsc")
    told = json.loads(node(project, "client.js", gateway, image.as_uri()))
    assert told["text"] == http.get(f"/v1/jobs/{told['id']}/result", params={"format": "text"}).text
    assert told["text"].strip()
    assert (told["state"], told["tag"], told["code"]) == ("succeeded", "typescript", "job.unknown")
