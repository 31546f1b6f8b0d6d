"""Google's own client for Node, unmodified, over gRPC and REST."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.gateway.clouds.conftest import Clouds
from tests.integration.gateway.clouds.node_clients import told
from tests.support.documentation import ROOT

pytest_plugins = ["tests.support.server_fixtures"]

SIGN = ROOT / "samples/street-sign.jpg"


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_the_client_for_node_reads_polls_and_is_refused(node_project: Path, clouds: Clouds, transport: str) -> None:
    host, _, port = (clouds.grpc if transport == "grpc" else clouds.rest).partition(":")
    found = told(node_project, clouds, "google_vision.js", transport, host, port, clouds.key(), str(SIGN))
    truth = json.loads(SIGN.with_suffix(".json").read_text())
    words = SIGN.with_suffix(".txt").read_text().split()
    assert found["text"].split() == words
    assert found["letters"] == words[0]
    assert 0.5 < found["confidence"] <= 1
    assert found["width"] > 100
    for corner, (x, y) in zip(found["vertices"], truth["words"][0]["polygon"], strict=True):
        assert abs(corner["x"] - x) < 40
        assert abs(corner["y"] - y) < 40
    assert found["bad"]["code"] == 3
    assert found["bad"]["message"].startswith("image.not_recognised: ")
    assert found["refused"]["code"] == 16 or found["refused"]["code"] == 401
    assert "key.invalid" in found["refused"]["message"]
    assert found["operation"] == f"gs://results/node-{transport}/"
    assert json.loads(clouds.buckets.get(f"results/node-{transport}/output-1-to-1.json"))["responses"]
