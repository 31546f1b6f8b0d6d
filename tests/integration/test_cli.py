"""The `ocrqueue` command where it meets the network or a shell."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from ocrqueue.cli.program import program

DEAD_BROKER = {"OCRQUEUE_REDIS_URL": "redis://:hush@127.0.0.1:1/0", "OCRQUEUE_REDIS_TIMEOUT_S": "0.2"}


def test_a_dead_broker_is_one_line_and_an_exit_status() -> None:
    result = invoke("status", "x", "--json", status=5, **DEAD_BROKER)
    assert result.stderr.startswith("error: broker.unavailable: ")
    assert result.stderr.count("\n") == 1
    assert json.loads(result.stdout)["error"]["retryable"] is True
    assert "hush" not in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_each_shell(shell: str) -> None:
    assert f"_OCRQUEUE_COMPLETE={shell}_complete" in invoke("completion", shell).stdout


def invoke(*arguments: str, stdin: str = "", status: int = 0, **environment: str) -> Result:
    result = CliRunner(env=environment).invoke(program, arguments, input=stdin, prog_name="ocrqueue")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
    return result
