"""docker/**: what linters and kubectl say of it, and the script that makes secrets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import DOCKER, KUBERNETES, OVERLAYS, documents, validated


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "stand-ins/Dockerfile"])
def test_the_linter_of_dockerfiles_has_nothing_to_say(dockerfile: str) -> None:
    command = ["hadolint", "--no-color", "-c", DOCKER / ".hadolint.yaml", DOCKER / dockerfile]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


def test_secrets_are_made_once_and_compose_finds_them(tmp_path: Path) -> None:
    [compose] = documents(DOCKER / "compose.yaml")
    shutil.copy(DOCKER / "secrets" / "make", tmp_path / "make")
    subprocess.run([tmp_path / "make"], check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "make"}
    # the one that only Google can make
    assert made.keys() == compose["secrets"].keys() - {"google_credentials"}
    assert made["redis_password"].strip() in made["ocrqueue_redis_url"]
    [identity] = yaml.safe_load(made["s3_config"])["identities"]
    assert identity["credentials"][0]["secretKey"] in made["aws_credentials"]
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    subprocess.run([tmp_path / "make"], check=True)
    assert made == {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "make"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_whole(overlay: str) -> None:
    """Of kubectl's own making, where it is installed: what `kubectl apply -k` would send."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "kustomize", KUBERNETES / "overlays" / overlay]
    manifests = list(
        yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout)
    )
    for manifest in manifests:
        validated(manifest)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "ocrqueue"
    deployments = {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == "Deployment"}
    accounts = {manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "ServiceAccount"}
    scaled = [
        manifest["spec"]["scaleTargetRef"]["name"] for manifest in manifests if manifest["kind"] == "ScaledObject"
    ]
    assert set(scaled) == deployments.keys() - {"reconciler", "metrics", "gateway", "webhooks"}
    for deployment in deployments.values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in accounts
        assert re.fullmatch(r"ocrqueue/[\w-]+:\d+\.\d+\.\d+", pod["containers"][0]["image"])
