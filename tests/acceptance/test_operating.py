"""Every command of docs/operating.md, in the order of the page, beside workers that work."""

from __future__ import annotations

import shlex
from pathlib import Path

from click.testing import CliRunner

from ocrqueue import OcrQueue
from ocrqueue.cli.program import program
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.documentation import ROOT, blocks
from tests.support.gates import page
from tests.support.processes import as_environment, environment, wait_until, worker

pytest_plugins = ["tests.support.server_fixtures"]

PAGE = ROOT / "docs" / "operating.md"


def commands() -> list[str]:
    lines = [line for block in blocks(PAGE) if block.language == "console" for line in block.text.splitlines()]
    assert all(line.startswith("$ ocrqueue ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


def test_every_command_of_the_page_does_what_is_said(
    settings: WorkerSettings, s3_settings: WorkerSettings, tmp_path: Path
) -> None:
    given = as_environment(settings) | {"storage": s3_settings.storage, "s3_endpoint": s3_settings.s3_endpoint}
    with (
        worker(given, tmp_path, "--engine", "null", "-c", "1", "-n", "first@here") as first,
        worker(given, tmp_path, "--engine", "null", "-c", "1", "-n", "second@here") as second,
        OcrQueue(load_worker_settings(**given)) as queue,
    ):
        wait_until(lambda: len(queue.workers()) == 2, 60, "both workers are there")
        read = queue.submit(page(60), engine="null", tag="invoices")
        assert read.wait(60).state == "succeeded"
        failed = queue.submit(page(60), engine="null", tenant="acme", options={"fault": "error"})
        assert failed.wait(60).state == "failed"
        queue.pause(tenant="acme")
        waiting = [queue.submit(page(60), engine="null", tenant="acme") for _ in range(3)]
        # in this order: none of them is taken in between
        queue.pause(lane="ocr.null")
        queue.resume(tenant="acme")
        told: dict[str, str] = {}
        for command in commands():
            named = command.replace("JOB", read.id).replace("WORKER", "second@here")
            variables = environment(given) | {"NO_COLOR": "1"}
            done = CliRunner().invoke(program, shlex.split(named)[1:], env=variables, prog_name="ocrqueue")
            assert done.exit_code == 0, (command, done.output, done.exception)
            told[command] = done.output
        assert "ocr.null" in told["ocrqueue queues"]
        assert "paused" in told["ocrqueue queues"]
        assert "second@here" in told["ocrqueue workers"]
        assert told["ocrqueue check"] == ""
        assert "succeeded" in told["ocrqueue history JOB"]
        assert read.id in told["ocrqueue list --tag invoices"]
        assert failed.id in told["ocrqueue list --tenant acme --state failed --since 12h"]
        assert "3" in told["ocrqueue cancel --tenant acme --state queued --dry-run"]
        assert "maintenance until 14:00" in told["ocrqueue pause"]
        assert failed.id in told["ocrqueue dead list"]
        assert "1" in told["ocrqueue dead replay --code engine.failed"]
        assert second.process.wait(60) == 0
        assert first.alive()
        assert "acme" in told["ocrqueue audit"]
        for action in ("cancel", "replay", "delete", "clean", "pause", "resume", "drain"):
            assert f" {action} " in told["ocrqueue audit"]
        known = list(registry_of(queue).statuses([job.id for job in (read, failed, *waiting)]))
        assert known == [None] * 5, "they were deleted"
