"""The clouds' clients for Node, as their lock file pins them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Installation
from tests.integration.gateway.conftest import patient
from tests.support.textract_gateway import SigningGateway, signing_gateway

PROJECT = Path(__file__).parents[1] / "node"


@pytest.fixture(scope="session")
def node_clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a script for each protocol, and what these import."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm or node is not installed")
    folder = tmp_path_factory.mktemp("clouds") / "node"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm does not get the packages: {done.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="session")
def signing(
    installation: Installation, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SigningGateway]:
    with signing_gateway(patient(installation.settings), s3_bucket, tmp_path_factory.mktemp("signing")) as made:
        yield made
