"""The three packages: one version, and each declares what its own code imports; the images have all of it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.wheels import PROJECTS, ROOT

CLIENT = ROOT / "producer/ocrqueue"
GATEWAY = ROOT / "producer/ocrqueue_gateway"
WORKER = ROOT / "worker/ocrqueue_worker"
OWN = {"ocrqueue", "ocrqueue_gateway", "ocrqueue_worker"}
# where an extra's packages may be imported; other code of the worker has its base alone
ENGINE_FILES = {
    "engines/tesseract": ["tesseract"],
    "engines/keras/exporting.py": ["keras-export"],
    "engine_contract/pytest_plugin.py": ["pytest"],
    "engines/keras/onnx_networks.py": ["keras-onnx"],
    "engines/keras": ["keras"],
    "engines/rapid": ["rapid"],
    "engines/rapid/runtimes.py": ["rapid-openvino"],
    "engines/vision": ["vision"],
    "images/heif.py": ["heif"],
    "images/codecs.py": ["codecs"],
    "sources/gs.py": ["vision"],
    "layout": ["keras", "keras-onnx", "rapid", "vision"],
    "preparation": ["tesseract", "keras", "keras-onnx", "rapid", "vision"],
    "telemetry/tracing.py": ["tracing"],
}
# another build of the same
SAME = {"tensorflow-cpu": "tensorflow", "opencv-python-headless": "opencv-python"}
# by the first two parts of a module's name, where many packages have the first in common
SHARED = {
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud": "google-cloud-vision",
    "google.longrunning": "googleapis-common-protos",
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "opentelemetry.exporter": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.trace": "opentelemetry-api",
}
IMAGES = {
    "producer": ("ocrqueue", "metrics,tracing"),
    "gateway": ("ocrqueue-gateway", "google,tracing"),
    "tesseract": ("ocrqueue-worker", "tesseract,tracing"),
    "vision": ("ocrqueue-worker", "vision,tracing"),
    "rapid": ("ocrqueue-worker", "rapid,tracing"),
    "keras-cpu": ("ocrqueue-worker", "keras,keras-onnx,tracing"),
    "keras-gpu": ("ocrqueue-worker", "keras-gpu,tracing"),
}


@cache
def project(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def declared(name: str, extras: str = "") -> set[str]:
    """The packages that `name[extras]` asks for itself; its own extras and those of `ocrqueue` are followed."""
    table = project(name)
    lines = [*table["dependencies"]]
    for extra in filter(None, extras.split(",")):
        lines += table["optional-dependencies"][extra]
    found = set()
    for requirement in map(Requirement, lines):
        wanted = canonicalize_name(requirement.name)
        if wanted in PROJECTS and requirement.extras:
            found |= declared(wanted, ",".join(requirement.extras))
        found.add(SAME.get(wanted, wanted))
    return found


@cache
def imported(path: Path) -> frozenset[str]:
    """The packages that a module imports when it runs, also within functions."""
    names = set()
    for statement in _run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names |= {f"{statement.module}.{alias.name}" for alias in statement.names}
    return frozenset(
        _distribution(name) for name in names if name.partition(".")[0] not in sys.stdlib_module_names | OWN
    )


def _run(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run(child)


def _distribution(name: str) -> str:
    part, _, rest = name.partition(".")
    if part in ("google", "opentelemetry"):
        return SHARED[f"{part}.{rest.partition('.')[0]}"]
    found = {canonicalize_name(distribution) for distribution in _distributions()[part]}
    [distribution] = {SAME.get(each, each) for each in found}
    return distribution


@cache
def _distributions() -> dict[str, list[str]]:
    return {module: list(names) for module, names in packages_distributions().items()}


def extras_of(path: Path) -> list[str]:
    """Those with any of which the module must work; the longest entry that fits decides."""
    inside = path.relative_to(WORKER).as_posix()
    fitting = [entry for entry in ENGINE_FILES if inside == entry or inside.startswith(f"{entry}/")]
    return ENGINE_FILES[max(fitting, key=len)] if fitting else [""]


def test_all_wheels_have_one_version_and_go_together() -> None:
    versions = {project(name)["version"] for name in PROJECTS}
    assert len(versions) == 1
    [version] = versions
    for name in ("ocrqueue-worker", "ocrqueue-gateway"):
        table = project(name)
        extras = table.get("optional-dependencies", {}).values()
        lines = [*table["dependencies"], *(line for extra in extras for line in extra)]
        for requirement in map(Requirement, lines):
            if requirement.name == "ocrqueue":
                assert str(requirement.specifier) == f"=={version}"
        assert "ocrqueue" in declared(name)


def pythons(project: str) -> set[str]:
    """Those that the wheel's classifiers name."""
    with (PROJECTS[project] / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    found = (each.removeprefix("Programming Language :: Python :: ") for each in classifiers)
    return {each for each in found if re.fullmatch(r"3\.\d+", each)}


def test_each_wheel_names_the_pythons_that_it_is_tested_on() -> None:
    (loop,) = re.findall(r"for version in ([\d. ]+);", (ROOT / "run").read_text(encoding="utf-8"))
    (pinned,) = re.findall(r"with Python (\S+)", (ROOT / "requirements/dev.txt").read_text(encoding="utf-8"))
    assert {pinned, "3.12", "3.13"} == pythons("ocrqueue") <= set(loop.split())
    assert pythons("ocrqueue-worker") == pythons("ocrqueue-gateway") == {pinned}


def test_each_wheel_has_the_licence_of_the_whole() -> None:
    """Copies: a source distribution would have a link that leads out of it."""
    for folder in PROJECTS.values():
        assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_client_declares_what_it_imports_and_no_more() -> None:
    used = frozenset().union(*map(imported, CLIENT.rglob("*.py")))
    assert used == declared("ocrqueue", "metrics,tracing,pdf,webhooks")


def test_the_gateway_declares_what_it_imports_and_no_more() -> None:
    of_google = GATEWAY / "clouds/google_vision"
    used = frozenset().union(*(imported(path) for path in GATEWAY.rglob("*.py") if path.parent != of_google))
    by_google = frozenset().union(*map(imported, of_google.glob("*.py")))
    own = {canonicalize_name(Requirement(line).name) for line in project("ocrqueue-gateway")["dependencies"]}
    assert used <= declared("ocrqueue-gateway")
    assert by_google <= declared("ocrqueue-gateway", "google")
    extra = {
        canonicalize_name(Requirement(line).name)
        for line in project("ocrqueue-gateway")["optional-dependencies"]["google"]
    }
    assert by_google >= extra
    # FastAPI reads forms by python-multipart, which nobody imports
    assert used >= own - {"ocrqueue", "python-multipart"}


@pytest.mark.parametrize("path", sorted(WORKER.rglob("*.py")), ids=lambda path: path.relative_to(WORKER).as_posix())
def test_a_module_of_the_worker_imports_what_is_declared(path: Path) -> None:
    for extra in extras_of(path):
        assert imported(path) <= declared("ocrqueue-worker", extra)


def test_the_worker_declares_no_more_than_it_imports() -> None:
    paths = [path for path in WORKER.rglob("*.py") if extras_of(path) == [""]]
    own = {canonicalize_name(Requirement(line).name) for line in project("ocrqueue-worker")["dependencies"]}
    # kombu's Redis transport imports packaging, and leaves it to an extra that fits no redis of these ranges
    assert frozenset().union(*map(imported, paths)) >= own - {"ocrqueue", "packaging"}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_all_that_its_extras_name(image: str) -> None:
    lines = (ROOT / "requirements/images" / f"{image}.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    assert declared(*IMAGES[image]) - set(PROJECTS) <= {SAME.get(name, name) for name in pinned}
