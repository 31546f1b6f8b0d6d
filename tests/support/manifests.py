"""What lies in docker/**: read, and held against the schemas of Kubernetes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]


DOCKER = ROOT / "docker"


KUBERNETES = DOCKER / "kubernetes"


KUBERNETES_VERSION = "1.33"


OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())


Manifest = dict[str, Any]


def documents(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def validated(manifest: Manifest) -> str:
    """The manifest's kind. KEDA's are not among the schemas."""
    if not manifest["apiVersion"].startswith("keda.sh/"):
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)
    return str(manifest["kind"])
