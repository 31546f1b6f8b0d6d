"""Azure's own client for Node, unmodified, asks the gateway for prebuilt-read; by HTTPS, as it insists."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.integration.gateway.clouds.conftest import Clouds
from tests.support.pictures import png, text_picture

pytest_plugins = ["tests.support.server_fixtures"]


def test_azures_client_for_node_reads(node_clients: Path, clouds: Clouds, tmp_path: Path) -> None:
    assert clouds.certificate is not None
    image = tmp_path / "hello.png"
    image.write_bytes(png(text_picture("Hello 42")))
    run = ["node", "azure_read.js", clouds.url, clouds.key(rate="2/s"), str(image)]
    variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    variables["NODE_EXTRA_CA_CERTS"] = str(clouds.certificate.authority)
    done = subprocess.run(
        run, cwd=node_clients, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {
        "status": "succeeded",
        "content": "Hello 42",
        "stringIndexType": "utf16CodeUnit",
        "words": [["Hello", "Hello"], ["42", "42"]],
        "pdf": "%PDF-",
        "unknown": "ModelNotFound",
        "refused": ["400", "InvalidArgument"],
        "deleted": "204",
        "gone": "NotFound",
        "throttled": True,
    }
