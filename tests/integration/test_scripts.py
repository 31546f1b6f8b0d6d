"""The Lua scripts: Redis compiles each, and each defines and uses every name."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ocrqueue.core.scripts import load_script
from tests.support.documentation import ROOT
from tests.support.processes import RedisServer, need_program
from tests.support.scripts import SCRIPTS, each_script


@each_script
def test_redis_takes_every_script(redis: RedisServer, package: str, name: str) -> None:
    with redis.client() as client:
        assert client.script_load(load_script(name, package))


def test_luacheck_finds_no_fault(tmp_path: Path) -> None:
    for package, name in SCRIPTS:
        (tmp_path / f"{package}.{name}.lua").write_text(load_script(name, package))
    command = [need_program("luacheck"), "--config", str(ROOT / ".luacheckrc"), "--no-cache", "--no-color", "."]
    found = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
