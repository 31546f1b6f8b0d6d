"""Azure's own client for Node, unmodified, asks the gateway for prebuilt-read; by HTTPS, as it insists."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

from ocrqueue import OcrQueue
from tests.integration.conftest import Installation
from tests.integration.gateway.conftest import patient
from tests.support.certificates import make_certificate
from tests.support.gateways import gateway_of
from tests.support.pictures import png, text_picture

pytest_plugins = ["tests.support.server_fixtures"]


def test_azures_client_for_node_reads(
    node_clients: Path, installation: Installation, queue: OcrQueue, tmp_path: Path
) -> None:
    image = tmp_path / "hello.png"
    image.write_bytes(png(text_picture("Hello 42")))
    tls = make_certificate(tmp_path)
    made = queue.api_keys.create(tenant=f"azure-{uuid.uuid4().hex[:8]}", rate="2/s")
    with gateway_of(patient(installation.settings), tls_certificate=tls.certificate, tls_key=tls.key) as url:
        run = ["node", "azure_read.js", url.replace("http://", "https://"), made.text, str(image)]
        trusting = {**os.environ, "NODE_EXTRA_CA_CERTS": str(tls.authority)}
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            trusting.pop(name, None)
        done = subprocess.run(
            run, cwd=node_clients, env=trusting, capture_output=True, text=True, check=False, timeout=300
        )
    queue.api_keys.revoke(made.key.id)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    tries = told.pop("tries")
    assert told == {
        "status": "succeeded",
        "content": "Hello 42",
        "stringIndexType": "utf16CodeUnit",
        "words": [["Hello", "Hello"], ["42", "42"]],
        "pdf": "%PDF-",
        "unknown": "ModelNotFound",
        "refused": ["400", "InvalidArgument"],
        "deleted": "204",
        "gone": "NotFound",
        "throttled": ["202"] * 4,
    }
    assert 429 in tries
