"""docker/**: what linters and kubectl say of it, and the script that makes secrets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import DOCKER, KUBERNETES, OVERLAYS, Manifest, documents, validated


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


def kustomized(folder: Path) -> list[Manifest]:
    """Of kubectl's own making, where it is installed: what `kubectl apply -k` would send."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "kustomize", folder]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return list(yaml.safe_load_all(made.stdout))


def test_an_overlay_may_have_the_gateways_port_for_grpc(tmp_path: Path) -> None:
    at = Path(os.path.relpath(KUBERNETES, tmp_path))
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(at / "overlays/cpu")],
        "components": [str(at / "gateway/grpc")],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    found = {each["kind"]: each for each in kustomized(tmp_path) if each["metadata"]["name"] == "gateway"}
    for manifest in found.values():
        validated(manifest)
    [container] = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {"name": "OCRQUEUE_GATEWAY_GRPC_PORT", "value": str(ports["grpc"])} in container["env"]
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} == ports.keys()
    [ingress] = found["NetworkPolicy"]["spec"]["ingress"]
    assert [port["port"] for port in ingress["ports"]] == list(ports.values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_whole(overlay: str) -> None:
    manifests = kustomized(KUBERNETES / "overlays" / overlay)
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
