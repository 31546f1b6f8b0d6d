"""Azure's own client for Node, unmodified, asks the gateway for prebuilt-read; by HTTPS, as it insists."""

from __future__ import annotations

from pathlib import Path

from tests.integration.gateway.clouds.conftest import Clouds
from tests.integration.gateway.clouds.node_clients import told
from tests.support.pictures import png, text_picture

pytest_plugins = ["tests.support.server_fixtures"]


def test_azures_client_for_node_reads_polls_and_is_refused(node_project: Path, clouds: Clouds, tmp_path: Path) -> None:
    image = tmp_path / "hello.png"
    image.write_bytes(png(text_picture("Hello 42")))
    assert told(node_project, clouds, "azure_read.js", clouds.url, clouds.key(rate="2/s"), str(image)) == {
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
