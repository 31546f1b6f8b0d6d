"""The Lua scripts: Redis compiles each, and each defines every name that it uses, and uses its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ocrqueue.core.scripts import load_script
from tests.support.documentation import ROOT
from tests.support.processes import RedisServer, need_program
from tests.support.scripts import PIECES, SCRIPTS, each_script


@each_script
def test_redis_takes_every_script(redis: RedisServer, package: str, name: str) -> None:
    with redis.client() as client:
        assert client.script_load(load_script(name, package))


def with_pieces_marked(script: str) -> str:
    """A script need not use all that a shared piece has; tests/unit/test_scripts.py looks at whether any does."""
    for piece in PIECES.values():
        script = script.replace(piece, f"-- luacheck: push ignore 211\n{piece}-- luacheck: pop\n")
    return script


def test_luacheck_finds_no_fault(tmp_path: Path) -> None:
    for package, name in SCRIPTS:
        (tmp_path / f"{package}.{name}.lua").write_text(with_pieces_marked(load_script(name, package)))
    command = [need_program("luacheck"), "--config", str(ROOT / ".luacheckrc"), "--no-cache", "--no-color", "."]
    found = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
