"""What operators type about many jobs, and what they are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from ocrqueue import OcrQueue
from ocrqueue.core import Outcome, State, WorkerRegistry
from ocrqueue.errors import EngineFailed, ImageEmpty, StorageUnavailable
from ocrqueue.settings import WorkerSettings
from tests.integration.test_cli import Ask, invoke
from tests.support.moves import begun, job, submit
from tests.support.processes import as_environment

pytest_plugins = ["tests.support.server_fixtures"]


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as made:
        yield made


@pytest.fixture
def ask(settings: WorkerSettings) -> Ask:
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


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("turns", "hash"),
        ("waiting", "hash"),
        ("workers", "hash"),
        ("audit", "hash"),
        ("side_lanes", "set"),
        ("leftovers", "set"),
        ("leases", "sorted set"),
        ("deleted", "sorted set"),
        ("by_tag:x", "sorted set"),
        ("queue:ocr.null:", "sorted set"),
    ],
)
def test_a_key_that_others_have_written_is_told_of_and_check_names_it(
    ask: Ask, settings: WorkerSettings, key: str, kind: str
) -> None:
    with closing(WorkerRegistry(settings)) as registry:
        registry.client.lpush(registry.keys.root + key, "theirs")
        sentence = f"{key} is not a {kind}: another program has written it"
        assert ask("check", status=1).stdout.splitlines() == [sentence]
        registry.client.delete(registry.keys.root + key)
        assert ask("check").stdout == ""


def test_a_command_that_meets_a_key_of_others_says_so(ask: Ask, settings: WorkerSettings) -> None:
    with closing(WorkerRegistry(settings)) as registry:
        registry.client.lpush(registry.keys.turns(), "theirs")
        for command in (["pause", "--tenant", "x"], ["resume", "--all"], ["queues"], ["cancel", "--all"], ["tenants"]):
            refused = ask(*command, status=5)
            assert refused.stderr.startswith(
                "error: broker.unavailable: A key of ocrqueue's in Redis is of another type"
            )
            assert "`ocrqueue check` names it" in refused.stderr
        registry.client.delete(registry.keys.turns())


def test_a_batch_of_an_empty_tenant_is_none(ask: Ask) -> None:
    assert "error: filter.invalid" in ask("batch", "b", "cancel", "--tenant", "", status=2).stderr
    assert "error: pause.invalid" in ask("pause", "--tenant", "", status=2).stderr


def test_a_time_before_all_time_is_a_mistake_of_the_caller(ask: Ask) -> None:
    assert "too long ago" in ask("list", "--since", "99999999d", status=2).stderr


def test_a_list_tells_what_jobs_are_told_apart_by_and_cuts_long_tags(ask: Ask, registry: WorkerRegistry) -> None:
    tags = ("case 7", "x" * 256, "\u202eevil\u2066\x1b[31m", "a\u200db")
    submit(registry, *(job(tag=tag, tenant="acme") for tag in tags), job())
    head, *lines = ask("list").stdout.splitlines()
    assert head.split() == ["job", "state", "engine", "tag", "tenant", "submitted"]
    shown = {re.split("  +", line)[3] for line in lines}
    assert shown == {"case 7", "x" * 57 + "...", "\ufffdevil\ufffd\ufffd[31m", "a\u200db", "-"}
    assert {re.split("  +", line)[4] for line in lines} == {"acme", "-"}


def test_an_empty_list_tells_what_was_looked_for(ask: Ask) -> None:
    assert ask("list").stderr == "no jobs\n"
    looked_for = ask("list", "--tag", "case 7", "--tenant", "-", "--state", "queued", "--state", "failed").stderr
    assert looked_for == "no jobs with tag=case 7, tenant=-, state=failed or queued\n"


def test_the_audit_shows_a_filter_as_it_is_given(ask: Ask, registry: WorkerRegistry, queue: OcrQueue) -> None:
    for wanted in (["--code", "language.missing"], ["--tag", "case 7"], ["--tenant", "-"], ["--all"]):
        ask("dead", "replay", *wanted)
    lines = ask("audit").stdout.splitlines()[1:]
    assert [re.split("  +", line)[5] for line in lines] == ["all", "tenant=-", "tag=case 7", "code=language.missing"]
    queue.cancel_many(tag="x", who="w" * 100_000)
    queue.pause(tenant="acme", who="half \udc80")
    newest, before = queue.audit()[:2]
    assert (newest.who, before.who) == ("half ?", "w" * 300 + "...")
    assert max(map(len, registry.client.hvals(registry.keys.audit()))) < 1000


@pytest.mark.parametrize("command", [["delete"], ["cancel"], ["dead", "replay"], ["dead", "drop"]])
def test_a_dry_run_of_nothing_is_told_of_all(ask: Ask, command: list[str]) -> None:
    for given in ([], ["--dry-run"]):
        assert "Give ids, or filters, or --all." in ask(*command, *given, status=2).stderr
    assert "--dry-run needs filters" in ask(*command, "some-id", "--dry-run", status=2).stderr
    assert "0 jobs would be" in ask(*command, "--all", "--dry-run").stdout


def test_a_deleted_id_is_told_so(ask: Ask, registry: WorkerRegistry) -> None:
    (job_id,) = submit(registry, job())
    assert ask("delete", job_id).stdout == f"{job_id}  deleted\n"
    assert ask("delete", job_id).stdout == f"{job_id}  was deleted before\n"
    assert len(ask("audit", "--json").stdout.splitlines()) == 1
    for command in (["status"], ["history"], ["wait"], ["cancel"], ["dead", "show"], ["dead", "replay"]):
        told = ask(*command, job_id, status=3).stderr
        assert f"error: job.deleted: Job {job_id} was deleted." in told, command
        assert "storage" not in told, command


def test_where_storage_is_away_a_deletion_is_told_to_be_left_to_a_worker(
    ask: Ask, registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageUnavailable("It is away.")

    monkeypatch.setattr("ocrqueue.operations.plan.remove_stored", fails)
    ids = submit(registry, *(job(tag="x", image=f"s3://b/inputs/{number:064}.png") for number in range(20)))
    some = ask("delete", *ids[:2], status=5)
    assert some.stdout == "".join(f"{job_id}  deleted\n" for job_id in ids[:2])
    assert "2 jobs are deleted and in storage still" in some.stderr
    rest = ask("delete", "--tag", "x", status=5)
    assert rest.stdout == "18 jobs deleted\n"
    assert "error: storage.unavailable: It is away." in rest.stderr
    assert "20 jobs are deleted and in storage still" in rest.stderr
    assert "a worker removes that within minutes, or `ocrqueue reconcile`" in rest.stderr


@pytest.mark.parametrize("state", ["succeeded", "partial", "queued"])
def test_a_job_that_has_not_failed_is_told_what_it_is(ask: Ask, registry: WorkerRegistry, state: State) -> None:
    (job_id,) = submit(registry, given := job())
    if state != "queued":
        outcome = Outcome(job_id=job_id, state=state, result="file:///r.json")
        assert registry.finish(begun(registry), given, outcome) == state
    for command in ("replay", "show"):
        told = ask("dead", command, job_id, status=2).stderr
        assert f"error: job.not_failed: Job {job_id} is {state}" in told
        assert ("Wait until" in told) == (state == "queued")
        assert ("It has a result" in told) == (state == "partial")


def test_a_failed_job_is_shown_whether_it_is_a_dead_letter_or_not(ask: Ask, registry: WorkerRegistry) -> None:
    for error, is_listed in ((EngineFailed(), True), (ImageEmpty(), False)):
        (job_id,) = submit(registry, given := job())
        registry.finish(begun(registry), given, Outcome(job_id=job_id, state="failed", error=error.info))
        shown = ask("dead", "show", job_id)
        assert error.code in shown.stdout
        assert ("not a dead letter" in shown.stderr) != is_listed


@pytest.mark.parametrize(
    "command",
    [["status"], ["wait"], ["cancel"], ["delete"], ["history"], ["dead", "show"], ["dead", "replay"], ["dead", "drop"]],
)
def test_an_id_that_is_no_utf_8_is_that_of_no_job(ask: Ask, registry: WorkerRegistry, command: list[str]) -> None:
    assert "error: job.unknown: No job " in ask(*command, "\udcff", status=3).stderr


@pytest.mark.parametrize("seconds", ["1e300", "inf"])
def test_no_clock_can_count_so_long_a_wait(ask: Ask, registry: WorkerRegistry, seconds: str) -> None:
    (job_id,) = submit(registry, job())
    assert "not in the range" in ask("wait", job_id, "--timeout", seconds, status=2).stderr
