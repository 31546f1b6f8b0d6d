"""What operators type about many jobs, and what they are told."""

from __future__ import annotations

import pytest

from ocrqueue.core import WorkerRegistry
from ocrqueue.settings import Settings
from tests.integration.test_cli import Ask, invoke
from tests.support.moves import job, submit
from tests.support.processes import as_environment

pytest_plugins = ["tests.support.server_fixtures"]


@pytest.fixture
def ask(settings: Settings) -> Ask:
    """`ocrqueue ARGUMENTS` of the installation that `registry` has."""
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(settings).items()}
    return lambda *arguments, status=0, **environment: invoke(*arguments, status=status, **(given | environment))


@pytest.mark.parametrize(
    "command", [["list"], ["cancel"], ["dead", "replay"], ["dead", "drop"], ["delete"], ["delete", "--dry-run"]]
)
@pytest.mark.parametrize("option", ["--tag", "--tenant", "--batch", "--code"])
def test_a_variable_that_is_not_set_means_no_job(
    ask: Ask, registry: WorkerRegistry, command: list[str], option: str
) -> None:
    (job_id,) = submit(registry, job())
    refused = ask(*command, option, "", status=2)
    assert refused.stderr.startswith("error: filter.invalid: The "), "and not all that have none"
    assert registry.status(job_id).state == "queued"


def test_a_batch_of_an_empty_tenant_is_none(ask: Ask) -> None:
    assert "error: filter.invalid" in ask("batch", "b", "cancel", "--tenant", "", status=2).stderr
    assert "error: pause.invalid" in ask("pause", "--tenant", "", status=2).stderr


def test_a_time_before_all_time_is_a_mistake_of_the_caller(ask: Ask) -> None:
    assert "too long ago" in ask("list", "--since", "99999999d", status=2).stderr
