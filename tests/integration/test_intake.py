"""What foreign Celery apps send by name becomes jobs: each once, whoever takes it in, and whatever it holds."""

from __future__ import annotations

import gc
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from redis._parsers.base import BaseParser
from redis.exceptions import ResponseError

from ocrqueue.core import Outcome, Taken, WorkerRegistry, intake, queues
from ocrqueue.core.check import check
from ocrqueue.core.foreign_messages import MAX_ENTRY_BYTES
from ocrqueue.core.intake import foreign_lists, take_in_foreign
from ocrqueue.errors import BrokerUnavailable, EngineUnknown, JobEnded
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from tests.faults.messages import message_case
from tests.faults.messages_envelopes import envelope
from tests.support.moves import (
    LANE,
    LANES,
    all_parts,
    begun,
    end_pauses,
    job,
    reclaimed,
    submit,
    succeeded,
    take,
    taken_in,
)

JOB = {"image": "s3://b/k", "engine": "null"}


def as_it_is(job: Job) -> Job:
    return job


def push(registry: WorkerRegistry, message: object, queue: str = LANE) -> bytes:
    entry = message if isinstance(message, bytes) else json.dumps(message).encode()
    registry.client.lpush(registry.keys.foreign(queue), entry)
    return entry


def call(task_id: str, **headers: Any) -> dict[str, Any]:
    return envelope(task_id, kwargs={"job": JOB}, headers={"ignore_result": False, **headers})


def result_of(registry: WorkerRegistry, task_id: str) -> dict[str, Any]:
    stored = registry.client.get(f"{registry.settings.key_prefix}celery-task-meta-{task_id}")
    assert stored is not None
    found: dict[str, Any] = json.loads(stored)
    return found


def test_messages_become_jobs_in_their_order(registry: WorkerRegistry) -> None:
    for number in range(120):
        push(registry, call(f"job-{number}"))
    assert taken_in(registry, as_it_is) == {"taken_in": 120}
    assert taken_in(registry, as_it_is) == {}
    assert registry.client.exists(registry.keys.foreign(LANE)) == 0
    assert all_parts(registry) == [f"job-{number}" for number in range(120)]


@pytest.mark.parametrize("queue", [*LANES, "ocr.auto"])
@pytest.mark.parametrize("suffix", ["", "\x06\x163", "\x06\x166", "\x06\x169"], ids=["0", "3", "6", "9"])
def test_every_list_that_kombu_knows_is_looked_at(registry: WorkerRegistry, queue: str, suffix: str) -> None:
    push(registry, call("x"), queue + suffix)
    assert taken_in(registry, as_it_is) == {"taken_in": 1}
    assert registry.status("x").state == "queued"


def test_a_key_of_another_type_in_the_place_of_a_list_holds_up_no_other(registry: WorkerRegistry) -> None:
    registry.client.set(registry.keys.foreign("ocr.null.high"), "no list")
    push(registry, call("x"))
    assert taken_in(registry, as_it_is) == {"taken_in": 1}
    assert [(info.waiting, info.foreign) for info in queues(registry) if info.name == LANE] == [(1, 0)]


def test_the_job_is_prepared_as_a_client_does(registry: WorkerRegistry) -> None:
    push(registry, call("x"))
    assert taken_in(registry, lambda job: job.model_copy(update={"tenant": "acme"})) == {"taken_in": 1}
    assert registry.status("x").tenant == "acme"


def test_what_a_client_would_refuse_ends_with_its_code(registry: WorkerRegistry) -> None:
    def refuse(_: Job) -> Job:
        raise EngineUnknown("No engine mine.")

    push(registry, envelope("x", kwargs={"job": {**JOB, "reply_to": "theirs"}}, headers={"ignore_result": False}))
    assert taken_in(registry, refuse) == {"refused": 1}
    status = registry.status("x")
    assert (status.state, status.error and status.error.code) == ("failed", "engine.unknown")
    result = result_of(registry, "x")
    assert (result["status"], result["task_id"], result["result"]["exc_type"]) == ("FAILURE", "x", "JobFailed")
    assert registry.client.llen(f"{registry.settings.key_prefix}theirs") == 1
    assert take(registry) == Taken()
    assert isinstance(registry.why_unknown("x"), JobEnded)


def test_where_the_check_cannot_be_made_now_the_message_stays(registry: WorkerRegistry) -> None:
    def unavailable(_: Job) -> Job:
        raise BrokerUnavailable("Redis does not answer.")

    push(registry, call("x"))
    with pytest.raises(BrokerUnavailable):
        taken_in(registry, unavailable)
    assert taken_in(registry, as_it_is) == {"taken_in": 1}


def test_a_check_that_fails_by_a_fault_of_ours_ends_its_job_and_holds_up_no_other(registry: WorkerRegistry) -> None:
    def fails_on_x(job: Job) -> Job:
        if job.id == "x":
            raise ZeroDivisionError
        return job

    push(registry, call("x"))
    push(registry, call("y"))
    assert taken_in(registry, fails_on_x) == {"refused": 1, "taken_in": 1}
    error = registry.status("x").error
    assert error is not None
    assert error.code == "internal.error"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (envelope("x", body="%%%"), "job.malformed"),
        (envelope("x", kwargs={"job": {"image": 5}}), "job.malformed"),
        (envelope("x", kwargs={"job": {**JOB, "schema_version": 9}}), "job.schema_unsupported"),
        (call("x", expires=(datetime.now(UTC) - timedelta(hours=1)).isoformat()), "job.expired"),
    ],
    ids=["body", "job", "schema", "expired"],
)
def test_what_is_malformed_or_expired_is_a_job_that_has_failed(
    registry: WorkerRegistry, message: dict[str, Any], code: str
) -> None:
    push(registry, message)
    assert taken_in(registry, as_it_is) == {"refused": 1}
    error = registry.status("x").error
    assert error is not None
    assert error.code == code


@pytest.mark.parametrize("entry", [b"", b"\xff", b"5", b"[" * 100_000], ids=range(4))
def test_what_is_no_message_is_dropped(registry: WorkerRegistry, entry: bytes) -> None:
    push(registry, entry)
    push(registry, call("x"))
    assert taken_in(registry, as_it_is) == {"dropped": 1, "taken_in": 1}


def test_whose_task_id_can_be_no_jobs_hears_of_it_all_the_same(registry: WorkerRegistry) -> None:
    push(registry, call("../x"))
    assert taken_in(registry, as_it_is) == {"refused": 1}
    answer = result_of(registry, "../x")
    assert (answer["status"], answer["task_id"]) == ("FAILURE", "../x")
    assert answer["result"]["exc_message"][0].startswith("job.malformed")


def test_nothing_of_a_refused_message_stays_in_memory(registry: WorkerRegistry) -> None:
    for number in range(10):
        push(registry, envelope(f"x-{number}", kwargs={"job": {**JOB, "reply_to": "ocrqueue:dead"}}))
    assert taken_in(registry, as_it_is) == {"refused": 10}
    gc.collect()
    assert [thing for thing in gc.get_objects() if isinstance(thing, Job) and thing.id.startswith("x-")] == []


def test_what_is_too_large_for_a_job_is_dropped_without_being_fetched(registry: WorkerRegistry) -> None:
    for number in range(60):
        push(registry, call(f"before-{number}"))
    for _ in range(60):
        push(registry, b"x" * (MAX_ENTRY_BYTES + 1))
        push(registry, b"y" * (MAX_ENTRY_BYTES + 1), "ocr.null.low")
    push(registry, call("after"))
    before = registry.client.info("stats")["total_net_output_bytes"]
    assert taken_in(registry, as_it_is) == {"taken_in": 61, "dropped": 120}
    assert registry.client.info("stats")["total_net_output_bytes"] - before < MAX_ENTRY_BYTES
    assert registry.client.exists(registry.keys.foreign(LANE), registry.keys.foreign("ocr.null.low")) == 0
    assert all_parts(registry) == [*(f"before-{number}" for number in range(60)), "after"]


def test_messages_as_large_as_may_be_are_all_taken_in(registry: WorkerRegistry) -> None:
    for number in range(10):
        message = json.dumps(call(f"large-{number}"))
        push(registry, f"{message[:-1]}, {json.dumps('x' * (MAX_ENTRY_BYTES - len(message) - 20))}: 1}}".encode())
    assert taken_in(registry, as_it_is) == {"taken_in": 10}


def test_a_key_that_is_no_list_holds_up_no_other(registry: WorkerRegistry) -> None:
    registry.client.set(registry.keys.foreign("ocr.null.high"), "no list")
    push(registry, call("x"))
    assert taken_in(registry, as_it_is) == {"taken_in": 1}


def test_an_eta_is_a_pause_that_a_cancel_ends(registry: WorkerRegistry) -> None:
    when = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for task_id in "xy":
        push(registry, call(task_id, eta=when))
    assert taken_in(registry, as_it_is) == {"taken_in": 2}
    assert (take(registry), reclaimed(registry).due) == (Taken(), 0)
    assert registry.cancel("x") == "cancelled"
    end_pauses(registry)
    assert reclaimed(registry).due == 1
    assert all_parts(registry) == ["y"]


def test_an_eta_of_the_farthest_future_or_past_is_no_fault(registry: WorkerRegistry) -> None:
    push(registry, call("x", eta="9999-12-31T23:59:59+00:00"))
    push(registry, call("y", eta="0001-01-01T00:00:00+00:00"))
    assert taken_in(registry, as_it_is) == {"taken_in": 2}
    assert all_parts(registry) == ["y"]


def test_an_id_that_has_ended_or_waits_is_not_a_second_job(registry: WorkerRegistry) -> None:
    given = job(id="x")
    submit(registry, given)
    push(registry, call("x"))
    assert taken_in(registry, as_it_is) == {"known": 1}
    hold = begun(registry)
    registry.finish(hold, given, succeeded(hold))
    push(registry, call("x"))
    assert taken_in(registry, as_it_is) == {"known": 1}
    registry.client.delete(registry.keys.record("x"))
    push(registry, call("x"))
    assert taken_in(registry, as_it_is) == {"known": 1}
    assert take(registry) == Taken()


def test_several_who_take_in_at_once_take_each_once(settings: WorkerSettings, registry: WorkerRegistry) -> None:
    for number in range(200):
        push(registry, call(f"job-{number}"))
    for _ in range(20):
        push(registry, b"no message")

    def run(_: int) -> Counter[str]:
        with closing(WorkerRegistry(settings)) as own:
            return Counter(dict(taken_in(own, as_it_is)))

    with ThreadPoolExecutor(4) as pool:
        became = sum(pool.map(run, range(4)), Counter[str]())
    assert (became["taken_in"], became["dropped"], became["known"]) == (200, 20, 0)
    assert sorted(all_parts(registry)) == sorted(f"job-{number}" for number in range(200))


def test_who_dies_before_the_last_step_leaves_the_message(
    registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, call("x"))
    with monkeypatch.context() as death:
        death.setattr(registry, "run", _raise)
        with pytest.raises(KeyboardInterrupt):
            taken_in(registry, as_it_is)
    assert registry.client.llen(registry.keys.foreign(LANE)) == 1
    assert taken_in(registry, as_it_is) == {"taken_in": 1}


def _raise(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("ends", [False, True], ids=["queued", "ended"])
def test_a_step_that_redis_breaks_off_leaves_the_message(registry: WorkerRegistry, ends: bool) -> None:
    given = job(id="x", tag="t")
    outcome = Outcome(job_id="x", state="cancelled") if ends else None
    entry = push(registry, call("x"))
    step = registry.arguments.take_in(LANE, entry, given, outcome, {})
    registry.client.set(f"{registry.keys.root}by_tag:t", "theirs")
    with pytest.raises(ResponseError):
        registry.run("take_in", step)
    assert registry.client.lrange(registry.keys.foreign(LANE), 0, -1) == [entry]
    registry.client.delete(f"{registry.keys.root}by_tag:t")
    assert registry.run("take_in", step) == (b"cancelled" if ends else b"taken in")
    assert registry.client.llen(registry.keys.foreign(LANE)) == 0
    assert registry.status("x").state == ("cancelled" if ends else "queued")


def test_the_trace_of_the_sender_goes_on(registry: WorkerRegistry) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    push(registry, call("x", traceparent=trace))
    taken_in(registry, as_it_is)
    (part,) = take(registry).parts
    assert (part.trace, part.by_name) == (trace, True)


@pytest.mark.parametrize("end", ["finish", "cancel", "poison"])
def test_the_result_goes_by_the_task_id_however_the_job_ends(registry: WorkerRegistry, end: str) -> None:
    push(registry, envelope("task", kwargs={"job": {**JOB, "id": "own"}}, headers={"ignore_result": False}))
    taken_in(registry, as_it_is)
    (given,) = registry.jobs(["own"])
    assert given is not None
    with registry.client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(f"{registry.settings.key_prefix}celery-task-meta-task")
        heard.get_message(timeout=5)
        _end(registry, given, end)
        message = heard.get_message(timeout=5) or heard.get_message(timeout=5)
    result = result_of(registry, "task")
    assert message is not None
    assert json.loads(message["data"]) == result
    status = {"finish": "SUCCESS", "cancel": "REVOKED", "poison": "FAILURE"}[end]
    assert (result["task_id"], result["status"]) == ("task", status)
    if end == "finish":
        assert Outcome.model_validate(result["result"]).job_id == "own"


def _end(registry: WorkerRegistry, given: Job, how: str) -> None:
    if how == "cancel":
        assert registry.cancel(given.id) == "cancelled"
        return
    hold = begun(registry)
    if how == "finish":
        assert registry.finish(hold, given, succeeded(hold), by_name=True) == "succeeded"
        return
    for _ in range(2):
        assert registry.lost([hold]) == ["requeued"]
        hold = begun(registry)
    assert registry.lost([hold]) == ["poison"]


def test_who_wants_no_result_gets_none(registry: WorkerRegistry) -> None:
    push(registry, call("x", ignore_result=True))
    taken_in(registry, as_it_is)
    registry.cancel("x")
    assert not registry.client.exists(f"{registry.settings.key_prefix}celery-task-meta-x")


def test_at_the_memory_limit_messages_stay_where_they_are(registry: WorkerRegistry) -> None:
    push(registry, call("x"))
    registry.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnavailable, match="memory limit"):
            taken_in(registry, as_it_is)
    finally:
        registry.client.config_set("maxmemory", 0)
    assert taken_in(registry, as_it_is) == {"taken_in": 1}


@pytest.mark.parametrize("seed", range(3))
def test_no_hostile_message_holds_up_the_others(registry: WorkerRegistry, seed: int) -> None:
    for number in range(300):
        push(registry, message_case(seed, number).entry)
    push(registry, call("the-last"))
    became = taken_in(registry, as_it_is)
    assert sum(became.values()) == 301
    assert registry.status("the-last").state == "queued"
    for part in all_parts(registry):
        assert list(registry.statuses([part])) != [None]


@pytest.mark.parametrize(
    "field",
    [
        {"options": {"x": "\ud800"}},
        {"tag": "\ud800"},
        {"tag": '"},{"'},
        {"image": "s3://b/k@ID@@REPLY@"},
        {"tenant": "a b"},
        {"options": {"x": 1e400}},
    ],
    ids=str,
)
def test_no_value_of_a_job_is_more_than_the_scripts_can_hold(registry: WorkerRegistry, field: dict[str, Any]) -> None:
    push(registry, envelope("x", kwargs={"job": {**JOB, **field}}))
    became = taken_in(registry, as_it_is)
    assert sum(became.values()) == 1
    assert registry.status("x").state in ("queued", "failed")
    registry.cancel("x")


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ({"password": "\ud800"}, "job.malformed"),
        ({"options": {"x": "\ud800"}}, "job.malformed"),
        ({"schema_version": {"__type__": "decimal", "__value__": "sNaN"}}, "job.schema_unsupported"),
    ],
    ids=["password", "options", "schema_version"],
)
def test_a_value_that_no_script_can_read_ends_its_job_and_holds_up_no_other(
    registry: WorkerRegistry, field: dict[str, Any], code: str
) -> None:
    push(registry, envelope("x", kwargs={"job": {**JOB, **field}}))
    push(registry, call("y"))
    assert taken_in(registry, as_it_is) == {"refused": 1, "taken_in": 1}
    error = registry.status("x").error
    assert error is not None
    assert error.code == code


def test_a_job_that_redis_cannot_read_is_refused(registry: WorkerRegistry) -> None:
    def spoil(job: Job) -> Job:
        return job.model_copy(update={"password": SecretStr("\ud800")}) if job.id == "x" else job

    push(registry, envelope("x", kwargs={"job": {**JOB, "tag": "t"}}, headers={"ignore_result": False}))
    push(registry, call("y"))
    assert taken_in(registry, spoil) == {"refused": 1, "taken_in": 1}
    error = registry.status("x").error
    assert error is not None
    assert error.code == "job.malformed"
    assert result_of(registry, "x")["status"] == "FAILURE"


def test_what_cannot_be_read_for_a_fault_of_ours_is_dropped_and_told(
    registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: bytes) -> None:
        raise ZeroDivisionError

    push(registry, call("x"))
    monkeypatch.setattr(intake, "read_entry", fail)
    assert taken_in(registry, as_it_is) == {"dropped": 1}
    assert "dropped an invalid message from ocr.null: reading it fails (ZeroDivisionError)" in caplog.text


@pytest.mark.parametrize("key", ["by_tag:t", "batch:acme:b", "by_tenant:acme", "queue:ocr.null:acme"])
def test_what_meets_a_key_of_others_is_set_aside_and_can_be_sent_again(
    registry: WorkerRegistry, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    client, theirs = registry.client, registry.keys.root + key
    client.set(theirs, "theirs")
    entry = push(registry, envelope("x", kwargs={"job": {**JOB, "tag": "t", "tenant": "acme", "batch": "b"}}))
    push(registry, call("y"))
    assert taken_in(registry, as_it_is) == {"set_aside": 1, "taken_in": 1}
    assert client.lrange(registry.keys.aside(LANE), 0, -1) == [entry]
    assert registry.keys.aside(LANE) in caplog.text
    (told,) = [sentence for sentence in check(registry) if "set aside" in sentence]
    assert told.startswith(f"1 messages to {LANE} are set aside in {registry.keys.aside(LANE)}: ")
    assert f"redis-cli lmove {registry.keys.aside(LANE)} {registry.keys.foreign(LANE)} right left" in told
    client.delete(theirs)
    assert client.lmove(registry.keys.aside(LANE), registry.keys.foreign(LANE), "RIGHT", "LEFT") == entry
    assert taken_in(registry, as_it_is) == {"taken_in": 1}
    assert sorted(all_parts(registry)) == ["x", "y"]


@pytest.mark.parametrize("key", ["by_tag:t", "batch:acme:b", "by_batch:acme:b", "by_tenant:acme"])
@pytest.mark.parametrize("why", ["refused", "revoked"])
def test_an_end_that_meets_a_key_of_others_is_told_once_the_message_is_sent_again(
    registry: WorkerRegistry, key: str, why: str
) -> None:
    """Nobody waits for ever on its result, and what was revoked stays so."""

    def prepare(given: Job) -> Job:
        if why == "refused":
            raise EngineUnknown("No engine mine.")
        return given

    client, theirs = registry.client, registry.keys.root + key
    headers = {"ignore_result": False}
    push(registry, envelope("x", kwargs={"job": {**JOB, "tag": "t", "tenant": "acme", "batch": "b"}}, headers=headers))
    if why == "revoked":
        registry.revoke("x")
    client.set(theirs, "theirs")
    assert taken_in(registry, prepare) == {"set_aside": 1}
    client.delete(theirs)
    client.lmove(registry.keys.aside(LANE), registry.keys.foreign(LANE), "RIGHT", "LEFT")
    assert taken_in(registry, prepare) == {"refused" if why == "refused" else "cancelled": 1}
    assert result_of(registry, "x")["status"] == ("FAILURE" if why == "refused" else "REVOKED")
    assert registry.status("x").state == ("failed" if why == "refused" else "cancelled")
    assert not client.exists(registry.keys.revoked("x"))


def test_who_sets_a_message_aside_that_another_has_taken_does_nothing(registry: WorkerRegistry) -> None:
    entry = push(registry, call("x"))
    taken_in(registry, as_it_is)
    assert registry.run("set_aside", registry.arguments.set_aside(LANE, entry)) == b"gone"
    assert not registry.client.exists(registry.keys.aside(LANE))


@pytest.mark.parametrize(
    "said",
    [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica. script: x, on @user_script:1.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "BUSY Redis is busy running a script.",
        "UNKILLABLE Sorry the script already executed write commands",
        "NOREPLICAS Not enough good replicas to write.",
        "MASTERDOWN Link with MASTER is down",
        "CLUSTERDOWN The cluster is down",
        "MISCONF Redis is configured to save RDB snapshots",
        "NOSCRIPT No matching script.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "ERR The user executing the script can't access at least one of the keys script: x, on @user_script:1.",
        "ERR ACL failure in script: User acme has no permissions to run the 'lrem' command",
        "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'",
    ],
    ids=lambda said: said.split()[0],
)
def test_no_state_of_redis_itself_costs_a_message_its_place(
    registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    script = registry._scripts["take_in"]

    def refuse(**_: object) -> None:
        raise parsed(said)

    push(registry, call("x"))
    with monkeypatch.context() as state:
        state.setattr(registry, "_scripts", {**registry._scripts, "take_in": refuse})
        with pytest.raises(BrokerUnavailable):
            taken_in(registry, as_it_is)
    assert registry._scripts["take_in"] is script
    assert taken_in(registry, as_it_is) == {"taken_in": 1}


def parsed(said: str) -> Exception:
    """What redis-py makes of such an answer."""
    made: Exception = BaseParser.parse_error(said)
    return made


def test_a_round_takes_in_some_hundred_and_says_that_more_waits(registry: WorkerRegistry) -> None:
    for number in range(1200):
        push(registry, call(f"job-{number}"))
    push(registry, call("of-another-list"), "ocr.null.high")
    lists = foreign_lists([], registry.settings)
    first = take_in_foreign(registry, as_it_is, lists)
    assert (first.more, 0 < first.became["taken_in"] <= 500) == (True, True)
    assert registry.status("of-another-list").state == "queued", "the longer list is not first"
    assert taken_in(registry, as_it_is) == {"taken_in": 1201 - first.became["taken_in"]}
    assert all_parts(registry) == ["of-another-list", *(f"job-{number}" for number in range(1200))]


def test_a_round_is_over_after_its_time_however_slow_the_checks_are(
    registry: WorkerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_ROUND_S", 0.0)
    for number in range(3):
        push(registry, call(f"job-{number}"))
    found = take_in_foreign(registry, as_it_is, foreign_lists([], registry.settings))
    assert (dict(found.became), found.more) == ({}, True)
    monkeypatch.undo()
    assert taken_in(registry, as_it_is) == {"taken_in": 3}
