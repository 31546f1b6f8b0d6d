"""The clouds' clients for Node: the project that all of them share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.clouds.conftest import Clouds

PROJECT = Path(__file__).parents[1] / "node"


def installed(folder: Path) -> Path:
    """A copy of the project, with its packages as the lock file pins them; skips where they cannot be had."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm or node is not installed")
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        pytest.skip(f"npm does not get the packages: {done.stderr.strip()[-200:]}")
    return folder


def told(project: Path, clouds: Clouds, script: str, *arguments: str) -> Any:
    """The JSON that a script prints; it trusts the gateway's authority, as Node and gRPC do."""
    assert clouds.certificate is not None
    authority = str(clouds.certificate.authority)
    trusted = {"NODE_EXTRA_CA_CERTS": authority, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": authority}
    done = subprocess.run(
        ["node", script, *arguments],
        cwd=project,
        env={**os.environ, **trusted, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
