"""The curl lines of the documentation are run, against a gateway whose worker reads with Tesseract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from tests.support.documentation import ROOT, block_after, blocks
from tests.support.processes import need_program

pytest_plugins = ["tests.support.server_fixtures"]

SHOWN = "http://127.0.0.1:8787"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with samples, as a clone has them."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    return tmp_path


def run(lines: list[str], gateway: str, folder: Path, key: str = "") -> list[str]:
    """What each command prints. ID and BATCH are what the answers before it have named, and $KEY is the key."""
    need_program("curl")
    names: dict[str, str] = {}
    said = []
    for line in lines:
        command = line.replace(SHOWN, gateway)
        if command.startswith("curl "):
            command = command.replace("curl ", "curl --fail-with-body --silent --show-error --max-time 100 ", 1)
        for name, value in names.items():
            command = re.sub(rf"\b{name}\b", value, command)
        variables = {**os.environ, "KEY": key}
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=variables, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if found := re.match(r'{"id":"([^"]+)"', done.stdout):
            names["ID"] = found[1]
        if found := re.search(r'"batch":{"id":"([^"]+)"', done.stdout):
            names["BATCH"] = found[1]
        said.append(done.stdout)
    return said


def commands(text: str) -> list[str]:
    return [line for line in re.findall(r"^\$ (.+)$", text, re.MULTILINE) if line.startswith(("curl ", "printf "))]


def test_the_lines_of_the_page_are_answered(gateway: str, clone: Path, queue: OcrQueue) -> None:
    found = [block.text for block in blocks(ROOT / "docs/gateway.md") if block.language == "console"]
    lines = commands("".join(found))
    assert len(lines) > 15
    # what the reference leads to is not there: the job that was sent as a file is the one to go on with
    by_reference = [line for line in lines if "--json" in line]
    assert "queued" in run(by_reference, gateway, clone)[0]
    with_key = [line for line in lines if "$KEY" in line]
    made = queue.api_keys.create(tenant="acme", scopes=["read"])
    assert '"limits":{"rate":null' in run(with_key, gateway, clone, made.text)[0]
    queue.api_keys.revoke(made.key.id)
    said = run([line for line in lines if line not in (*by_reference, *with_key)], gateway, clone)
    assert said[0].startswith("GREEN LANTERN GROCERY\n")
    assert (clone / "letter.pdf").read_bytes().startswith(b"%PDF-")
    assert any('"read":[1,2],"pages":2' in answer for answer in said)
    assert any(answer.startswith("event: ") or "\nevent: end" in answer for answer in said)


def test_the_lines_for_google_s_clients_are_answered(gateway: str, clone: Path, queue: OcrQueue) -> None:
    lines = commands(block_after(ROOT / "docs/clouds.md", "By REST with curl", "console"))
    made = queue.api_keys.create(tenant="acme", scopes=["submit"])
    said = run(lines, gateway, clone, made.text)
    assert said[-1].startswith('{"responses":[{"textAnnotations":[{"description":')
    queue.api_keys.revoke(made.key.id)


def test_the_lines_of_the_readme_are_answered(gateway: str, clone: Path) -> None:
    lines = commands(block_after(ROOT / "README.md", "## From anything else", "console"))
    assert len(lines) == 3
    said = run(lines, gateway, clone)
    assert said[0].startswith("GREEN LANTERN GROCERY\n")
    assert (clone / "letter.pdf").read_bytes().startswith(b"%PDF-")
