"""The OpenAPI document: it is one, it says what there is, and schemathesis finds no answer that it does not tell of."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ocrqueue.job.names import OUTPUTS
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT
from tests.support.gateways import gateway_of
from tests.support.processes import need_program, unmeasured

pytest_plugins = ["tests.support.server_fixtures"]

CONFIG = """
hooks = "tests.support.odd_requests"
[checks.positive_data_acceptance]
# what is well-formed may still ask for an engine that nobody has, or for too much
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "410", "413", "422", "429"]
"""


@pytest.fixture(scope="session")
def described(gateway: str) -> dict[str, Any]:
    answer = httpx.get(f"{gateway}/v1/openapi.json", trust_env=False, timeout=60)
    found: dict[str, Any] = answer.json()
    return found


def test_operations_have_names_of_their_own_and_tell_what_they_do(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    operations = [each for path in described["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+_[a-z_]+", name) for name in names), names
    assert all(each["summary"] and each["description"] for each in operations)


def test_every_route_tells_of_problems(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            problems = {status for status, each in operation["responses"].items() if status >= "400"}
            assert {"401", "403", "429", "503"} <= problems, (method, path)
            for status in problems:
                assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/([\w.-]+)", str(described)))
    assert names <= set(described["components"]["schemas"])
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_models_have_examples(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert all("example" in schemas[name] for name in ("Problem", "JobView", "BatchView", "PagesView"))
    (parameter,) = (
        each for each in described["paths"]["/v1/jobs/{job_id}/result"]["get"]["parameters"] if each["name"] == "format"
    )
    assert tuple(parameter["schema"]["enum"]) == OUTPUTS


WRONG = (True, 3, 3.5, "3", "true")


def kinds_of(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The types of JSON that it allows; none: it does not say."""
    if "$ref" in schema:
        return kinds_of(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if "anyOf" in schema:
        return {kind for each in schema["anyOf"] for kind in kinds_of(each, schemas)}
    told = schema.get("type", [])
    return {told} if isinstance(told, str) else set(told)


def is_of(value: object, kinds: set[str]) -> bool:
    of = {bool: {"boolean"}, int: {"integer", "number"}, float: {"number"}, str: {"string"}}
    return not kinds or bool(kinds & of[type(value)])


def test_values_of_another_type_are_refused(gateway: str, described: dict[str, Any]) -> None:
    schemas, count = described["components"]["schemas"], 0
    with httpx.Client(base_url=gateway, trust_env=False, timeout=60) as client:
        for method, path, schema in bodies(described):
            for name, of_field in schema.get("properties", {}).items():
                for value in (each for each in WRONG if not is_of(each, kinds_of(of_field, schemas))):
                    asked = {**schema.get("example", {"image": "https://example.org/a.png"}), name: value}
                    answer = client.request(method, re.sub(r"\{\w+\}", "x", path), json=asked)
                    assert answer.status_code in {400, 422}, (method, path, name, value, answer.text)
                    count += 1
    assert count > 50


def bodies(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and schema of each body that is a JSON object."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if "$ref" in content.get("schema", {}):
                name = content["schema"]["$ref"].rsplit("/", 1)[1]
                yield method, path, described["components"]["schemas"][name]


def tried(gateway: str, folder: Path, *options: str) -> int:
    """How many requests schemathesis has sent, which finds no fault with any."""
    (folder / "schemathesis.toml").write_text(CONFIG)
    command = [need_program("schemathesis"), "--config-file", str(folder / "schemathesis.toml"), "run"]
    command += [f"{gateway}/v1/openapi.json", "--checks", "all", "--request-timeout", "60", "--no-color", *options]
    # in its place stands purged_jobs_are_gone
    command += ["--exclude-checks", "use_after_free"]
    # it never ends
    command += ["--exclude-path", "/v1/overview/events"]
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = unmeasured() | {"PYTHONPATH": path, "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    found = re.search(r"(\d+) generated, \1 passed", told)
    assert found, told
    return int(found[1])


@pytest.fixture
def guarded(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A gateway that asks for keys, and a key of a tenant that may do everything with its own."""
    # schemathesis shows it wrong keys by the hundred, and wants to be told of each that it is one
    monkeypatch.setattr("ocrqueue_gateway.access.failures.ALLOWED", 1_000_000)
    key = installation.queue.api_keys.create(tenant="odd", scopes=("submit", "read", "cancel", "admin"))
    with gateway_of(installation.settings, host="0.0.0.0") as url:
        yield url, f"Authorization: Bearer {key.text}"


def test_odd_requests_with_a_key_are_answered_as_it_says(guarded: tuple[str, str], tmp_path: Path) -> None:
    url, header = guarded
    count = tried(url, tmp_path, "--header", header, "--phases", "examples,fuzzing", "--max-examples", "6")
    assert count > 150


@pytest.mark.all
@pytest.mark.parametrize("with_key", [True, False])
def test_thousands_of_odd_requests_are_answered_as_it_says(
    gateway: str, guarded: tuple[str, str], tmp_path: Path, with_key: bool
) -> None:
    url, header = guarded
    options = ("--header", header) if with_key else ()
    assert tried(url if with_key else gateway, tmp_path, *options, "--max-examples", "70") > 2500
