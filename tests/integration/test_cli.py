"""The `ocrqueue` command where it meets Redis, the network or a shell."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from ocrqueue.cli.program import program
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.errors import BrokerUnavailable, EngineFailed
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.moves import hold_of, was_reclaiming
from tests.support.processes import as_environment, wait_until

DEAD_BROKER = {"OCRQUEUE_REDIS_URL": "redis://:hush@127.0.0.1:1/0", "OCRQUEUE_REDIS_TIMEOUT_S": "0.2"}
Ask = Callable[..., Result]


@pytest.fixture
def registry(settings: WorkerSettings) -> Iterator[WorkerRegistry]:
    made = WorkerRegistry(settings)
    yield made
    assert check(made) == []
    made.close()


@pytest.fixture
def ask(settings: WorkerSettings) -> Ask:
    """`ocrqueue ARGUMENTS` of the installation that `registry` has."""
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(settings).items()}

    def invoke_here(*arguments: str, status: int = 0, **environment: str) -> Result:
        return invoke(*arguments, status=status, **(given | environment))

    return invoke_here


def job(**fields: object) -> Job:
    return Job.model_validate({"image": "s3://bucket/page.png", "engine": "null", **fields})


def test_a_dead_broker_is_one_line_and_an_exit_status() -> None:
    result = invoke("status", "x", "--json", status=5, **DEAD_BROKER)
    assert result.stderr.startswith("error: broker.unavailable: ")
    assert result.stderr.count("\n") == 1
    assert json.loads(result.stdout)["error"]["retryable"] is True
    assert "hush" not in result.output


def test_a_dead_broker_is_named_without_its_password() -> None:
    told = invoke("status", "x", status=5, **DEAD_BROKER).stderr
    assert "Redis at 127.0.0.1:1 does not answer (ConnectionError). Check OCRQUEUE_REDIS_URL" in told
    assert "ocrqueue local" not in told


def test_a_dead_broker_that_nobody_has_chosen_is_the_default() -> None:
    settings = load_worker_settings(redis_url=DEAD_BROKER["OCRQUEUE_REDIS_URL"], redis_timeout_s=0.2)
    settings.model_fields_set.discard("redis_url")
    registry = WorkerRegistry(settings)
    with closing(registry), pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1 does not answer") as caught:
        registry.status("x")
    assert caught.value.info.remedy.startswith("OCRQUEUE_REDIS_URL is not set")
    assert "`ocrqueue local`" in caught.value.info.remedy


def test_tables_name_the_image_and_have_a_column_for_tags(ask: Ask, registry: WorkerRegistry) -> None:
    made = [
        job(image=f"s3://bucket/{'0f' * 32}.jpg", name="receipt.jpg", tag="invoice 7"),
        job(image=f"s3://bucket/{'ab' * 32}"),
    ]
    list(registry.submit(made))

    def rows(*arguments: str) -> list[list[str]]:
        return [re.split(r"  +", line.strip()) for line in ask(*arguments).stdout.splitlines()]

    header, tagged, plain = rows("status", *(one.id for one in made))
    assert (tagged[header.index("image")], tagged[header.index("tag")]) == ("receipt.jpg", "invoice 7")
    assert (plain[header.index("image")], plain[header.index("tag")]) == ("abababababab..", "-")
    for one, hold in zip(made, [hold_of(registry) for _ in made], strict=True):
        registry.begin(hold, "w@h", "null")
        outcome = Outcome(job_id=one.id, state="failed", error=EngineFailed().info)
        registry.finish(hold, one, outcome)
    header, *letters = rows("dead", "list")
    found = {letter[0]: (letter[header.index("image")], letter[header.index("tag")]) for letter in letters}
    assert found == {made[0].id: ("receipt.jpg", "invoice 7"), made[1].id: ("abababababab..", "-")}


def test_a_wait_in_vain_says_that_a_worker_is_missing(ask: Ask, registry: WorkerRegistry) -> None:
    hint = "within 0.1 s. No worker takes from ocr.null; start one: ocrqueue-worker --engine null."
    job_id = ask("submit", "s3://bucket/page.png", "-e", "null").stdout.strip()
    for arguments in (("wait", job_id), ("submit", "s3://bucket/other.png", "-e", "null")):
        told = ask(*arguments, "--timeout", "0.1", status=4).stderr
        assert hint in told
        assert "Wait longer" not in told
    ask("pause", "--engine", "null")
    assert "Wait longer" in ask("wait", job_id, "--timeout", "0.1", status=4).stderr
    ask("resume", "--engine", "null")


def test_a_cancelled_job_shows_how_far_it_came(ask: Ask, registry: WorkerRegistry) -> None:
    begun_one, waiting = job(), job()
    list(registry.submit([begun_one, waiting]))
    hold = hold_of(registry)
    registry.begin(hold, "w@h", "null")
    registry.progress(hold, 12, 24)
    for one in (begun_one, waiting):
        ask("cancel", one.id)
    registry.release(hold, None)
    found = [registry.status(one.id) for one in (begun_one, waiting)]
    assert [status.state for status in found] == ["cancelled", "cancelled"]
    assert [(status.pages_done, status.pages) for status in found] == [(12, 24), (0, None)]
    assert ["pages", "12", "of", "24"] in [line.split() for line in ask("status", begun_one.id).stdout.splitlines()]
    assert ["pages", "-"] in [line.split() for line in ask("status", waiting.id).stdout.splitlines()]


def test_queues_leaves_out_engines_without_jobs_and_workers(ask: Ask, registry: WorkerRegistry) -> None:
    list(registry.submit([job()]))
    shown = ask("queues")
    names = {line.split()[0] for line in shown.stdout.splitlines()[1:]}
    assert names == {"ocr.null.high", "ocr.null", "ocr.null.low"}
    assert re.search(
        r"^without jobs and workers: .*tesseract.*; --all shows their queues$", shown.stderr.splitlines()[-1]
    )
    everything = ask("queues", "--all")
    assert "ocr.tesseract.low" in everything.stdout
    assert "without jobs" not in everything.stderr
    assert "ocr.tesseract.low" in ask("queues", "--json").stdout


def test_result_reads_ids_from_stdin(settings: WorkerSettings, registry: WorkerRegistry) -> None:
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(settings).items()}
    made = [job(), job()]
    list(registry.submit(made))
    for one in made:
        registry.cancel(one.id)
    told = CliRunner(env=given).invoke(program, ["result", "-"], input="".join(f"{one.id}\n" for one in made))
    assert told.exit_code == 6, told.stderr
    assert [line.split(": ")[1:3] for line in told.stderr.splitlines()] == [[one.id, "job.cancelled"] for one in made]


def test_a_fallback_without_a_worker_is_named(ask: Ask, registry: WorkerRegistry) -> None:
    given = ("submit", "s3://bucket/page.png", "-e", "null", "--fallback", "rapid")
    assert "rapid has no live worker: it is skipped" in ask(*given).stderr
    assert "no live worker" not in ask(*given, OCRQUEUE_ENGINES_ON_DEMAND="rapid").stderr
    assert "no live worker" not in ask("submit", "s3://bucket/page.png", "-e", "null").stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_each_shell(shell: str) -> None:
    assert f"_OCRQUEUE_COMPLETE={shell}_complete" in invoke("completion", shell).stdout


def test_check_says_nothing_where_all_holds_and_else_what_is_wrong(ask: Ask, registry: WorkerRegistry) -> None:
    list(registry.submit([job(), job(tenant="acme")]))
    assert ask("check").output == ""
    assert json.loads(ask("check", "--json").stdout) == []
    registry.client.hincrby(registry.keys.waiting(), "ocr.null", 3)
    sentence = "2 parts wait in ocr.null, but 5 are counted"
    assert ask("check", status=1).output == f"{sentence}\n"
    assert json.loads(ask("check", "--json", status=1).stdout) == [sentence]
    registry.client.hincrby(registry.keys.waiting(), "ocr.null", -3)


def test_a_tenants_weight_counts_at_once_for_what_waits(ask: Ask, registry: WorkerRegistry) -> None:
    list(registry.submit([job(tenant=name, tag=name) for name in ("one", "two") for _ in range(12)]))
    ask("tenants", "weight", "one=3")
    taken = [registry.take(f"token {turn}", "holder", [("ocr.null", 1)]) for turn in range(8)]
    whose = [json.loads(part.job)["tag"] for each in taken for part in each.parts]
    assert whose.count("one") == 6
    assert whose.count("two") == 2


def test_tenants_shows_who_waits_where_and_with_what_weight(ask: Ask, registry: WorkerRegistry) -> None:
    assert "no tenant waits" in ask("tenants").stderr
    list(registry.submit([job(tenant="acme"), job(tenant="acme", priority="low"), job(engine="keras")]))
    ask("tenants", "weight", "acme=2.5", "later=3")
    rows = [line.split() for line in ask("tenants").stdout.splitlines()]
    assert rows[0] == ["tenant", "weight", "paused", "waiting", "limits", "lanes"]
    assert rows[1] == ["acme", "2.5", "-", "2", "-", "ocr.null", "1,", "ocr.null.low", "1"]
    assert rows[2:] == [["-", "1", "-", "1", "-", "ocr.keras", "1"], ["later", "3", "-", "0", "-", "-"]]
    assert json.loads(ask("tenants", "--json").stdout)[0] == {
        "name": "acme",
        "weight": 2.5,
        "waiting": {"ocr.null": 1, "ocr.null.low": 1},
        "paused": False,
        "limits": {"rate": None, "waiting": None, "pages_a_month": None, "budget_a_month": None},
    }
    ask("tenants", "weight", "acme=1", "later=1")
    assert registry.client.exists(registry.keys.weights()) == 0, "1 is what all have"
    assert "a weight is a number" in ask("tenants", "weight", "acme=0", status=2).stderr


def test_submit_and_status_name_the_tenant(ask: Ask, registry: WorkerRegistry) -> None:
    job_id = ask("submit", "s3://bucket/page.png", "-e", "null", "--tenant", "acme").stdout.strip()
    assert registry.status(job_id).tenant == "acme"
    assert ["tenant", "acme"] in [line.split() for line in ask("status", job_id).stdout.splitlines()]
    assert "job.malformed" in ask("submit", "s3://bucket/page.png", "-e", "null", "--tenant", "a b", status=2).stderr


def test_a_batch_is_filled_shown_closed_and_cancelled(ask: Ask, registry: WorkerRegistry) -> None:
    images = ("s3://bucket/1.png", "s3://bucket/2.png")
    given = ("-e", "null", "--batch", "case-7", "--tenant", "acme")
    ids = ask("submit", *images, *given).stdout.split()
    mine = ("batch", "case-7", "--tenant", "acme")
    assert ["queued", "2"] in [line.split() for line in ask(*mine).stdout.splitlines()]
    assert "batch.unknown" in ask("batch", "case-7", status=3).stderr
    assert "batch.invalid" in ask("batch", "case 7", status=2).stderr
    ids += ask("submit", images[0], *given, "--close").stdout.split()
    assert "batch.closed" in ask("submit", images[0], *given, status=2).stderr
    assert "--close goes with" in ask("submit", images[0], "-e", "null", "--close", status=2).stderr
    assert "--reply-to goes with" in ask(*mine, "--reply-to", "done", status=2).stderr
    listed = json.loads(ask("list", "--batch", "case-7", "--tenant", "acme", "--json").stdout)["jobs"]
    assert [each["id"] for each in listed] == ids[::-1]
    assert ["batch", "case-7"] in [line.split() for line in ask("status", ids[0]).stdout.splitlines()]
    assert "job.wait_timeout" in ask(*mine, "--timeout", "0.1", status=4).stderr
    ask(*mine, "close", "--reply-to", "done")
    told = json.loads(ask(*mine, "cancel", "--json").stdout)
    assert (told["cancelled"], told["ended"], told["progress"]) == (3, 3, 1.0)
    assert told["ended_at"] is not None
    assert registry.client.llen(f"{registry.settings.key_prefix}done") == 1
    ask(*mine, "--wait", status=6)
    ask(*mine)


def test_queues_shows_tenants_that_wait_and_messages_not_taken_in(
    ask: Ask, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    list(registry.submit([job(tenant=f"t{number}") for number in range(12)]))
    send(settings, {"image": "s3://bucket/page.png", "engine": "null"}, "ocr.null")
    send(settings, {"image": "s3://bucket/page.png", "engine": "null"}, "ocr.null", priority=6)
    found = {lane["name"]: lane for lane in json.loads(ask("queues", "--json").stdout)}
    assert (found["ocr.null"]["waiting"], found["ocr.null"]["foreign"]) == (12, 2)
    assert found["ocr.null"]["tenants"] == {f"t{number}": 1 for number in range(12)}
    shown = ask("queues")
    (line,) = [line.split() for line in shown.stdout.splitlines() if line.startswith("ocr.null  ") and "," not in line]
    assert line[:5] == ["ocr.null", "12", "-", "2", "0"]
    assert "and 2 more" in shown.stdout
    assert "ocrqueue reconcile" in shown.stderr
    ask("reconcile", OCRQUEUE_LOST_AFTER_S="2")


def test_messages_that_were_set_aside_are_told_of(ask: Ask, registry: WorkerRegistry, settings: WorkerSettings) -> None:
    registry.client.set(f"{registry.keys.root}by_tag:theirs", "another program's")
    for queue, options in (("ocr.null", {}), ("ocr.null", {"priority": 6}), ("ocr.auto", {})):
        send(settings, {"image": "s3://bucket/page.png", "engine": "null", "tag": "theirs"}, queue, **options)
    ask("reconcile", OCRQUEUE_LOST_AFTER_S="2")
    found = {lane["name"]: lane["set_aside"] for lane in json.loads(ask("queues", "--json").stdout)}
    assert {name: count for name, count in found.items() if count} == {"ocr.null": 2, "ocr.auto": 1}
    said = ask("queues").stderr
    assert "2 messages by name were set aside from ocr.null: ocrqueue check" in said
    assert "1 message by name was set aside from ocr.auto: ocrqueue check" in said
    metrics = ask("metrics", "--once").stdout
    assert 'ocrqueue_queue_messages_set_aside{engine="null",lane="normal"} 2.0' in metrics
    assert 'ocrqueue_queue_messages_set_aside{engine="null",lane="high"} 0.0' in metrics
    wrong = json.loads(ask("check", "--json", status=1).stdout)
    # what was sent to `ocr.null` came by two lists
    assert sum("are set aside in " in sentence for sentence in wrong) == 3
    assert any("by_tag:theirs is not a sorted set" in sentence for sentence in wrong)
    registry.client.delete(f"{registry.keys.root}by_tag:theirs")
    registry.client.delete(*registry.client.keys(f"{registry.keys.aside('')}*"))


def test_reconcile_takes_in_what_came_by_name_where_no_worker_is_up(
    ask: Ask, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    known = send(settings, {"image": "s3://bucket/page.png", "engine": "null"}, "ocr.null")
    routed = send(settings, {"image": "s3://bucket/page.png", "engine": "auto", "languages": ["kor"]}, "ocr.auto.high")
    refused = send(settings, {"image": "s3://bucket/page.png", "engine": "null", "nonsense": 1}, "ocr.null")
    registry.client.lpush(registry.keys.foreign("ocr.null"), "no message at all")
    # one object for each round, which half a second ends
    rounds = [json.loads(line) for line in ask("reconcile", "--json", OCRQUEUE_LOST_AFTER_S="2").stdout.splitlines()]
    assert all((each["requeued"], each["poison"]) == ([], []) for each in rounds)
    by_name = sum((Counter[str](each["by_name"]) for each in rounds), Counter[str]())
    assert by_name == {"taken_in": 2, "refused": 1, "dropped": 1}
    assert registry.status(known).state == "queued"
    assert registry.status(routed).queue == "ocr.tesseract.high", "the queue that it was sent to says which lane"
    assert registry.status(refused).error.code == "job.malformed"  # type: ignore[union-attr]  # it has failed


def test_reconcile_queues_again_what_a_lost_worker_had(ask: Ask, registry: WorkerRegistry) -> None:
    (job_id,) = registry.submit([job()])
    registry.take("token", "holder", [("ocr.null", 1)])
    # its lease is long over, and nobody says that he has it
    registry.client.zadd(registry.keys.leases(), {job_id: 1}, xx=True)
    told: list[str] = []

    def is_requeued() -> bool:
        # whom a busy machine holds up between two rounds grants leases anew, and says that no lost job is due
        told.append(ask("reconcile", OCRQUEUE_LOST_AFTER_S="2").stdout)
        return told[-1] != ""

    wait_until(is_requeued, 100, "it is queued again")
    assert told[-1] == f"{job_id}  requeued\n"
    assert registry.status(job_id).state == "queued"
    assert "no lost job is due" in ask("reconcile", OCRQUEUE_LOST_AFTER_S="2").stderr
    registry.take("another", "holder", [("ocr.null", 1)])
    was_reclaiming(registry)
    # a long time, so that nobody comes too late for a round that counts at once
    assert "1 in workers' hands" in ask("reconcile", OCRQUEUE_LOST_AFTER_S="100").stderr


def test_reconcile_tells_how_long_the_leases_of_others_last(
    ask: Ask, registry: WorkerRegistry, settings: WorkerSettings
) -> None:
    (job_id,) = registry.submit([job()])
    registry.take("token", "holder", [("ocr.null", 1)])
    registry.client.zadd(registry.keys.leases(), {job_id: 1}, xx=True)
    # the first to be in touch: whoever has jobs has as long as its own leases last
    with closing(WorkerRegistry(settings.model_copy(update={"lost_after_s": 36_000.0}))) as slow:
        slow.heartbeat("slow", "", [])
    told = ask("reconcile", OCRQUEUE_LOST_AFTER_S="1", OCRQUEUE_WORKER_HEARTBEAT_S="0.5")
    assert told.stdout == ""
    (seconds,) = re.findall(r"workers have (\d+) s more to say which jobs they have", told.stderr)
    assert 35_000 < int(seconds) < 36_000
    assert "no lost job is due\n" not in told.stderr


def test_an_id_of_which_only_the_end_is_remembered_is_told_so(ask: Ask, registry: WorkerRegistry) -> None:
    (job_id,) = registry.submit([job()])
    (part,) = registry.take("token", "holder", [("ocr.null", 1)]).parts
    registry.begin(part.hold, "worker", "null")
    registry.finish(part.hold, job(id=job_id), Outcome(job_id=job_id, state="succeeded", result="file:///r", pages=1))
    registry.client.delete(registry.keys.record(job_id))
    for command in ("status", "wait", "cancel", "result"):
        assert "error: job.ended: " in ask(command, job_id, status=3).stderr


def send(settings: WorkerSettings, given: dict[str, object], queue: str, **options: object) -> str:
    """As a foreign app does; the id."""
    with Celery("theirs", broker=settings.redis_url.get_secret_value(), set_as_current=False) as theirs:
        theirs.conf.broker_transport_options = {"global_keyprefix": settings.key_prefix}
        sent = theirs.send_task("ocrqueue.recognize", kwargs={"job": given}, queue=queue, **options)
    return str(sent.id)


def invoke(*arguments: str, stdin: str = "", status: int = 0, **environment: str) -> Result:
    result = CliRunner(env=environment).invoke(program, arguments, input=stdin, prog_name="ocrqueue")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
    return result
