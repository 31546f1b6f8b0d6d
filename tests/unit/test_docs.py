"""The documentation names only what exists, and its generated parts are up to date."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from ocrqueue.cli.program import COMMANDS, program
from ocrqueue.core import Outcome
from ocrqueue.document import Document
from ocrqueue.errors import error_classes
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_gateway.program import main as gateway_program
from ocrqueue_gateway.settings import GatewaySettings
from ocrqueue_worker.app import celery_settings
from ocrqueue_worker.cli import main as worker_program
from ocrqueue_worker.images.warnings import CODES
from ocrqueue_worker.pipeline.outputs import FAILED
from tests.support.documentation import PAGES, ROOT, anchors, blocks, code_spans, prose

DOCS = ROOT / "docs"
WHEELS = {"ocrqueue": "producer", "ocrqueue-gateway": "producer/ocrqueue_gateway", "ocrqueue-worker": "worker"}
NOT_MODULES = {"ocrqueue.recognize", "ocrqueue.batch_finished", "ocrqueue.finished", "ocrqueue.engines"}
"""Names of tasks, and the group of entry points."""
BENCHMARKS = ["python", "-m", "tests.benchmarks"]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def test_every_setting_and_error_is_documented() -> None:
    settings, errors = ((DOCS / name).read_text(encoding="utf-8") for name in ("settings.md", "errors.md"))
    assert [name for name in WorkerSettings.model_fields if f"| `OCRQUEUE_{name.upper()}` |" not in settings] == []
    assert [code for code in error_classes() if f"| `{code}` |" not in errors] == []


@each_page
def test_every_link_resolves(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@each_page
def test_every_variable_exists(page: Path) -> None:
    known = {f"OCRQUEUE_{name.upper()}" for name in WorkerSettings.model_fields} | {"OCRQUEUE_TEST_S3_ENDPOINT"}
    known |= {f"OCRQUEUE_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields}
    named = set(re.findall(r"\bOCRQUEUE_[A-Z0-9_]+(?:\*|\b)", page.read_text(encoding="utf-8")))
    families = {name for name in named if name.endswith("_*")}
    assert named - families <= known
    assert all(any(name.startswith(family[:-1]) for name in known) for family in families)


@each_page
def test_every_error_code_exists(page: Path) -> None:
    codes = error_classes()
    families = {code.partition(".")[0] for code in codes}
    named = {span for span in code_spans(page) if re.fullmatch(r"[a-z]+\.[a-z][a-z0-9_]+", span)}
    files = {span for span in named if span.endswith((".py", ".md", ".json", ".txt", ".zip"))}
    assert {span for span in named - files if span.partition(".")[0] in families} <= {*codes, *CODES, FAILED}


@each_page
def test_every_module_and_every_test_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:unit|integration|acceptance)/test_\w+\.py", text):
        assert (ROOT / "tests" / name).is_file(), name
    for name in re.findall(r"\b(?:producer|worker|tests|training)/[\w/]+\.py\b", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"(?:\bfrom |`)(ocrqueue(?:_worker|_gateway)?(?:\.\w+)+)(?: import\b|`)", text):
        assert name in NOT_MODULES or is_module_or_in_one(name), name


def is_module_or_in_one(name: str) -> bool:
    module, _, last = name.rpartition(".")
    return hasattr(import_module(module), last) or find_spec(name) is not None


@each_page
def test_code_blocks_are_what_they_say(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, page.name, "exec")
        elif block.language == "json":
            json.loads(block.text)


@each_page
def test_every_command_and_option_exists(page: Path) -> None:
    for block in blocks(page):
        if block.language != "console":
            continue
        for line in re.findall(r"^[$#] (.+)$", block.text, re.MULTILINE):
            for part in re.split(r"\s*(?:\||;|&&)\s*", line):
                check_command(part)
    for span in code_spans(page):
        if span.startswith(" ".join(BENCHMARKS)):
            check_command(span)


@each_page
def test_what_is_installed_exists_and_is_named_as_in_a_clone(page: Path) -> None:
    told = "\n".join(block.text for block in blocks(page) if block.language == "console")
    commands = [shlex.split(line, comments=True) for line in re.findall(r"\bpip (install .+)$", told, re.MULTILINE)]
    for word in (word for command in commands for word in command):
        if not (found := re.fullmatch(r"(\./[\w/]+|ocrqueue(?:-\w+)?)(?:\[([\w,-]+)\])?", word)):
            continue
        folder = WHEELS.get(found[1], found[1])
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert set(found[2].split(",") if found[2] else []) <= set(project.get("optional-dependencies", {}))
        # only the packages' own pages are read where there is no clone
        assert found[1].startswith("./") == (page.parent not in {ROOT / folder for folder in WHEELS.values()}), word
    for command in commands:
        # the other packages ask for the client's of the same version
        others = ("./worker", "./producer/ocrqueue_gateway")
        assert "./producer" in command or not any(word.startswith(others) for word in command), command


def check_command(text: str) -> None:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # a quoted part that holds one of the separators
        return
    words = [Path(word).name if word.endswith(tuple(f"/{name}" for name in WHEELS)) else word for word in words]
    while words and re.fullmatch(r"[A-Z0-9_]+=.*", words[0]):
        words = words[1:]
    if words[:1] == ["ocrqueue"] and words[1:] and not words[1].startswith("-"):
        assert words[1] in COMMANDS, text
        command = program.get_command(click.Context(program), words[1])
        assert command is not None
        check_subcommand(command, words[2:])
    elif words[:1] == ["ocrqueue-gateway"]:
        check_subcommand(gateway_program, words[1:])
    elif words[:1] == ["ocrqueue-worker"]:
        check_subcommand(worker_program, words[1:])
    elif words[:3] == BENCHMARKS:
        # they import the clients of clouds and a browser's, which no other test here needs
        from tests.benchmarks.__main__ import main as benchmarks

        check_subcommand(benchmarks, words[3:])


def check_subcommand(command: click.Command, words: list[str]) -> None:
    """Down to the subcommand that `words` name."""
    if not isinstance(command, click.Group) or not words or words[0].startswith("-"):
        check_options(command, words)
        return
    subcommand = command.get_command(click.Context(command), words[0])
    assert subcommand is not None, (command.name, words)
    check_subcommand(subcommand, words[1:])


def check_options(command: click.Command, words: list[str]) -> None:
    if command.context_settings.get("ignore_unknown_options"):  # it hands them to another command
        return
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h", "--version"}
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
    assert used <= known, (command.name, words)


@each_page
def test_no_page_shows_a_place_of_one_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"(?:/work/|/home/|/root/|/tmp/\w)[^\s)]*", text) == []


def test_the_example_of_a_result_is_one() -> None:
    example = next(block.text for block in blocks(DOCS / "storage.md") if block.language == "json")
    document = Document.model_validate_json(example)
    assert document.text == "GREEN"
    shown, whole = json.loads(example), document.model_dump(mode="json")
    assert set(shown) == set(whole)
    assert set(shown["pages"][0]) == set(whole["pages"][0])
    assert set(shown["pages"][0]["blocks"][0]) == set(whole["pages"][0]["blocks"][0])


def test_the_example_of_a_summary_is_one() -> None:
    example = json.loads(next(block.text for block in blocks(DOCS / "celery.md") if block.language == "json"))
    assert Outcome.model_validate(example).to_message() == example


def test_every_setting_of_celery_is_explained() -> None:
    explained = set(code_spans(DOCS / "workers.md"))
    settings = celery_settings(load_worker_settings())
    assert set(settings) | set(settings["broker_transport_options"]) <= explained


def test_the_example_of_an_engine_is_short() -> None:
    example = next(block.text for block in blocks(DOCS / "engines.md") if block.language == "python")
    assert len(example.splitlines()) < 60
    assert max(len(line) for line in example.splitlines()) <= 120


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.parent == DOCS and f"(docs/{page.name})" not in readme] == []


def test_every_warning_is_described() -> None:
    text = (ROOT / "docs/images.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `((?:image|pdf)\.\w+)` \| ", text.partition("## Cut off")[0], re.MULTILINE)) == set(
        CODES
    )
