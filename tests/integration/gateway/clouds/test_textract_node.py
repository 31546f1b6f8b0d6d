"""AWS Textract's own client for Node (@aws-sdk/client-textract), unmodified, against the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

from tests.support.documentation import ROOT
from tests.support.textract_gateway import SigningGateway

pytest_plugins = ["tests.support.server_fixtures"]


def test_the_client_for_node_reads_pages_raises_and_tries_again(
    node_project: Path,
    signing: SigningGateway,
) -> None:
    signing.put("letter.pdf", (ROOT / "samples/letter.pdf").read_bytes())
    tenant = f"node-{uuid.uuid4().hex[:8]}"
    key, limited = signing.key(tenant), signing.key(tenant, rate="1/h")
    assert key.signing_secret is not None
    assert limited.signing_secret is not None
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ENDPOINT_URL_TEXTRACT": signing.url,
        "AWS_ACCESS_KEY_ID": key.key.id,
        "AWS_SECRET_ACCESS_KEY": key.signing_secret,
    }
    command = ["node", "textract.js", str(ROOT / "samples/street-sign.jpg"), "scans", "letter.pdf"]
    command += [limited.key.id, limited.signing_secret]
    done = subprocess.run(
        command, cwd=node_project, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["words"]
    assert told["pages"] == [1, 2]
    assert told["blocks"] == told["ids"] > 200
    assert (told["unsupported"]["name"], told["unsupported"]["status"]) == ("UnsupportedDocumentException", 400)
    assert (told["other"]["name"], told["other"]["status"]) == ("UnknownOperationException", 400)
    assert told["unknown"]["name"] == "InvalidJobIdException"
    assert [each["name"] for each in told["slow"]] == ["InvalidSignatureException", "InvalidJobIdException"]
    assert told["unknown"]["request"]
    assert [(each["name"], each["attempts"]) for each in told["limited"]] == [
        ("InvalidJobIdException", 1),
        ("ProvisionedThroughputExceededException", 3),
    ]
