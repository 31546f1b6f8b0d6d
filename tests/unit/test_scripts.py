"""The Lua scripts as they are packaged and loaded; tests/integration/test_scripts.py gives them to Redis."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from ocrqueue.core.scripts import expand, load_script
from tests.support.documentation import ROOT
from tests.support.scripts import PACKAGES, PIECES, SCRIPTS, each_script

SOURCES = [*(ROOT / "producer").rglob("*.py"), *(ROOT / "worker").rglob("*.py")]


def test_every_script_of_the_repository_is_known_here() -> None:
    files = [file for part in ("producer", "worker") for file in (ROOT / part).rglob("*.lua")]
    folders = {f"{package.replace('.', '/')}/scripts" for package in PACKAGES}
    known = [file for file in files if any(file.parent.as_posix().endswith(folder) for folder in folders)]
    shared = [file for file in files if file.parent.as_posix().endswith("ocrqueue/core/scripts/shared")]
    assert len(known) == len(SCRIPTS) > 0
    assert len(known) + len(shared) == len(files)


@each_script
def test_the_first_line_says_what_redis_may_expect(package: str, name: str) -> None:
    first_line, _, rest = load_script(name, package).partition("\n")
    assert re.fullmatch(r"#!lua( flags=[a-z,-]+)?", first_line)
    assert "#!" not in rest


@each_script
def test_what_a_script_is_given_gets_names_before_all_else(package: str, name: str) -> None:
    file = resources.files(package).joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
    code = [line for line in file.splitlines() if line and not line.startswith(("#", "--"))]
    # a script that is given nothing but the root has it from a shared piece
    last = max((number for number, line in enumerate(code) if re.search(r"\b(KEYS|ARGV)\b", line)), default=-1)
    assert all(line.startswith("local ") and "redis." not in line for line in code[: last + 1])
    assert not re.search(r"(KEYS|ARGV)\[(?!\d+\])", file)


@each_script
def test_every_script_is_run_by_some_module(package: str, name: str) -> None:
    folder = ROOT.joinpath("producer" if package.startswith("ocrqueue.") else "worker")
    assert any(f'"{name}"' in source.read_text() for source in folder.rglob("*.py"))


def test_every_name_of_a_shared_piece_is_used_by_another_or_by_a_script() -> None:
    own = [file.read_text() for part in ("producer", "worker") for file in (ROOT / part).rglob("scripts/*.lua")]
    code = [re.sub(r"--.*", "", text) for text in [*own, *PIECES.values()]]
    for piece in PIECES.values():
        for names in re.findall(r"^local (?:function )?([\w, ]+)", piece, re.MULTILINE):
            for name in names.split(", "):
                uses = sum(len(re.findall(rf"\b{name.strip()}\b", text)) for text in code)
                assert uses > 1, name


def test_a_script_names_every_piece_that_it_builds_on_once() -> None:
    for package, name in SCRIPTS:
        script = load_script(name, package)
        for piece in PIECES.values():
            assert script.count(piece) <= 1, name


def test_no_module_holds_lua() -> None:
    assert [source for source in SOURCES if "redis.call" in source.read_text()] == []


def test_shared_pieces_stand_after_the_first_line_in_the_order_named() -> None:
    expanded = expand("#!lua flags=allow-oom\n-- uses: clock, as_text\nreturn as_text(now)\n")
    assert expanded.startswith("#!lua flags=allow-oom\n")
    assert expanded.index("local now =") < expanded.index("function as_text") < expanded.index("return as_text(now)")
    assert expand("#!lua\nreturn 1\n") == "#!lua\nreturn 1\n"


def test_a_piece_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        expand("#!lua\n-- uses: calendar\nreturn 1\n")


def surplus(script: str, pieces: dict[str, str]) -> list[str]:
    """The pieces that a script's lines `-- uses:` name, and neither it nor a later piece builds on; or names twice."""
    lines = re.findall(r"^-- uses: (.+)$", script, re.MULTILINE)
    named = [name for line in lines for name in line.split(", ")]
    texts = [*(pieces[name] for name in named), script]
    code = [re.sub(r"--.*", "", text) for text in texts]
    listed = []
    for position, name in enumerate(named):
        later = "\n".join(code[position + 1 :])
        if name in named[:position] or not any(re.search(rf"\b{own}\b", later) for own in names_in(pieces[name])):
            listed.append(name)
    return listed


def names_in(piece: str) -> list[str]:
    """What a shared piece defines for others."""
    lines = re.findall(r"^local (?:function )?([\w, ]+)", piece, re.MULTILINE)
    return [name.strip() for line in lines for name in line.split(",")]


@each_script
def test_a_script_names_no_piece_that_it_does_not_need(package: str, name: str) -> None:
    shared = resources.files("ocrqueue.core").joinpath("scripts", "shared").iterdir()
    pieces = {file.name.removesuffix(".lua"): file.read_text(encoding="utf-8") for file in shared}
    script = resources.files(package).joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
    assert surplus(script, pieces) == []


def test_a_piece_that_is_not_needed_is_found() -> None:
    pieces = {"clock": "local now = 1\n", "age": "-- It needs clock.\nlocal function age(at) return now - at end\n"}
    assert surplus("#!lua\n-- uses: clock, age\nreturn age(1)\n", pieces) == []
    assert surplus("#!lua\n-- uses: clock\nreturn now\n", pieces) == []
    assert surplus("#!lua\nreturn 1\n", pieces) == []
    assert surplus("#!lua\n-- uses: clock, age\nreturn now\n", pieces) == ["age"]
    assert surplus("#!lua\n-- uses: clock\n-- now\nreturn 1\n", pieces) == ["clock"]
    assert surplus("#!lua\n-- uses: age, clock\nreturn age(1)\n", pieces) == ["clock"]
    assert surplus("#!lua\n-- uses: clock, clock\nreturn now\n", pieces) == ["clock"]
