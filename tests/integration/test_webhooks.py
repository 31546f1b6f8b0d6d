"""Webhooks: what receivers are told, how often, and who is not held up by whom."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.batches import close_batch
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.core.steps import run_steps
from ocrqueue.errors import (
    EngineFailed,
    WebhookInvalid,
    WebhookOff,
    WebhookUnknown,
)
from ocrqueue.job import Job, new_job_id
from ocrqueue.local.webhook_sending import WebhookSending, can_send
from ocrqueue.monitoring.snapshot import read_installation
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.webhooks import posting
from ocrqueue.webhooks.endpoints import (
    enable_url,
    endpoints,
    remove_endpoint,
    retire_secret,
    rotate_secret,
    set_endpoint,
)
from ocrqueue.webhooks.notices import failed_notices, notices_of, replay_notice
from ocrqueue.webhooks.schedule import ATTEMPTS, DELAYS_S
from ocrqueue.webhooks.secrets import StoredSecret
from tests.integration.test_cli import invoke
from tests.support.moves import begun, job, submit, succeeded
from tests.support.processes import as_environment, wait_until
from tests.support.servers import Exchange, HttpServer, answer, certificate, http_server, silent
from tests.support.standstill import time_lost
from tests.support.webhooks import (
    claim,
    in_turn,
    pass_time,
    pauses_s,
    received_headers,
    send_due,
    sending,
    settle,
    told,
    verified,
)


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return load_worker_settings(settings, webhook_allowed_networks="127.0.0.1/32")


@pytest.fixture
def receiver() -> Iterator[HttpServer]:
    """Takes everything at /, and misbehaves at other paths."""
    routes = {
        "/": answer(200, b"thanks"),
        "/fails": answer(500),
        "/gone": answer(410),
        "/redirects": answer(302, location="http://169.254.169.254/latest/meta-data/"),
        "/hangs": silent,
        "/twice": in_turn([answer(500), answer(503, retry_after="600"), answer(204)]),
    }
    with http_server(routes) as server:
        yield server


def ended(registry: WorkerRegistry, *jobs: Job) -> list[str]:
    """Ids of jobs that were cancelled at once."""
    ids = submit(registry, *jobs)
    for job_id in ids:
        registry.cancel(job_id)
    return ids


def secret_of(registry: WorkerRegistry, tenant: str = "") -> str:
    return rotate_secret(registry, tenant).key.get_secret_value()


def test_a_receiver_is_told_of_the_end_and_can_verify_it(registry: WorkerRegistry, receiver: HttpServer) -> None:
    made = set_endpoint(registry, "acme", receiver.url("/"))
    assert made is not None
    given = job(tenant="acme", tag="case ü", batch="b1")
    submit(registry, given)
    hold = begun(registry)
    registry.finish(hold, given, succeeded(hold))
    registry.finish(hold, given, succeeded(hold))
    assert send_due(registry.settings) == {"delivered": 1}
    (exchange,) = receiver.exchanges
    body = verified(exchange, made.shown)
    status = registry.status(given.id)
    assert body["type"] == "job.succeeded"
    data = body["data"]
    assert body["timestamp"] == data["finished_at"]
    assert {name: data[name] for name in ("id", "state", "tag", "tenant", "batch", "pages", "error")} == {
        "id": given.id,
        "state": "succeeded",
        "tag": "case ü",
        "tenant": "acme",
        "batch": "b1",
        "pages": 1,
        "error": None,
    }
    assert status.finished_at is not None
    assert data["finished_at"] == status.finished_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    (notice,) = notices_of(registry, given.id)
    assert (notice.state, notice.attempts, [each.status for each in notice.log]) == ("delivered", 1, [200])
    assert received_headers(exchange)["webhook-id"] == notice.id
    assert send_due(registry.settings) == {}


def test_every_ending_tells_the_jobs_own_url(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret = secret_of(registry)
    set_endpoint(registry, "", receiver.url("/fails"))
    failing, poisonous, dropped = (job(webhook=receiver.url("/?of=job")) for _ in range(3))
    submit(registry, failing)
    hold = begun(registry)
    failure = Outcome(job_id=failing.id, state="failed", error=EngineFailed("It broke.").info)
    registry.finish(hold, failing, failure)
    submit(registry, poisonous)
    for _ in range(registry.settings.delivery_cap):
        registry.lost([begun(registry)])
    ended(registry, dropped)
    assert send_due(registry.settings) == {"delivered": 3}
    bodies = {body["data"]["id"]: body for body in (verified(each, secret) for each in receiver.exchanges)}
    assert {each: body["type"] for each, body in bodies.items()} == {
        failing.id: "job.failed",
        poisonous.id: "job.failed",
        dropped.id: "job.cancelled",
    }
    assert bodies[failing.id]["data"]["error"] == {"code": "engine.failed", "retryable": False}
    assert bodies[poisonous.id]["data"]["error"]["code"] == "job.poison"


def test_a_job_that_was_replayed_and_not_started_since_has_no_start(
    registry: WorkerRegistry, receiver: HttpServer
) -> None:
    secret = secret_of(registry)
    set_endpoint(registry, "", receiver.url("/"))
    given = job()
    failure = Outcome(job_id=given.id, state="failed", error=EngineFailed("It broke.").info)
    submit(registry, given)
    registry.finish(begun(registry), given, failure)
    DeadLetters(registry).replay(given.id)
    registry.cancel(given.id)
    send_due(registry.settings)
    data = {body["type"]: body["data"] for body in (verified(each, secret) for each in receiver.exchanges)}
    assert data["job.failed"]["started_at"] is not None
    assert data["job.cancelled"]["started_at"] is None
    assert registry.status(given.id).started_at is None


def test_a_batch_that_ends_is_told_once(registry: WorkerRegistry, receiver: HttpServer) -> None:
    set_endpoint(registry, "acme", receiver.url("/"))
    jobs = [job(tenant="acme", batch="letters") for _ in range(2)]
    submit(registry, *jobs)
    run_steps(registry, close_batch(registry.arguments, "letters", "acme", None))
    for each in jobs:
        registry.cancel(each.id)
    run_steps(registry, close_batch(registry.arguments, "letters", "acme", None))
    assert send_due(registry.settings) == {"delivered": 3}
    (body,) = [told(each) for each in receiver.exchanges if told(each)["type"] == "batch.ended"]
    assert body["data"]["batch"] == "letters"
    assert (body["data"]["jobs"], body["data"]["cancelled"], body["data"]["failed"]) == (2, 2, 0)


def test_two_secrets_sign_during_a_rotation(registry: WorkerRegistry, receiver: HttpServer) -> None:
    first = secret_of(registry)
    second = secret_of(registry)
    ended(registry, job(webhook=receiver.url("/")))
    send_due(registry.settings)
    for secret in (first, second):
        verified(receiver.exchanges[0], secret)
    pair = rotate_secret(registry, "", "ed25519")
    retire_secret(registry, "")
    ended(registry, job(webhook=receiver.url("/")))
    send_due(registry.settings)
    (endpoint,) = endpoints(registry)
    assert endpoint.secrets == ("ed25519",)
    assert endpoint.public_keys == (pair.shown,)
    _verify_ed25519(receiver, pair)


def _verify_ed25519(receiver: HttpServer, pair: StoredSecret) -> None:
    exchange = receiver.exchanges[-1]
    headers = received_headers(exchange)
    version, _, signature = headers["webhook-signature"].partition(",")
    assert version == "v1a"
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(pair.shown.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + exchange.body
    public.verify(base64.b64decode(signature), signed)


def test_what_fails_is_told_ten_times_within_75_hours(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    (job_id,) = ended(registry, job(webhook=receiver.url("/fails")))
    total = 0.0
    for delay in DELAYS_S:
        assert send_due(registry.settings) == {"retry": 1}
        (pause,) = pauses_s(registry)
        assert 0.89 * delay - 5 < pause <= delay
        assert send_due(registry.settings) == {}
        total += pause
        pass_time(registry, pause + 1)
    assert send_due(registry.settings) == {"failed": 1}
    assert 67 * 3600 < total < 76 * 3600
    assert len({received_headers(each)["webhook-id"] for each in receiver.exchanges}) == 1
    assert len(receiver.exchanges) == ATTEMPTS == 10
    (notice,) = failed_notices(registry)
    assert (notice.job, notice.state, len(notice.log)) == (job_id, "failed", 10)
    now = read_installation(registry)
    assert (now.webhooks_failed, now.webhooks_failing_hosts, now.webhooks_overdue_s) == (1, 0, 0)
    assert pauses_s(registry) == []
    replay_notice(registry, notice.id)
    assert send_due(registry.settings) == {"retry": 1}
    assert failed_notices(registry) == []


def test_a_receiver_that_is_back_is_told_and_may_ask_for_time(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    ended(registry, job(webhook=receiver.url("/twice")))
    assert send_due(registry.settings) == {"retry": 1}
    pass_time(registry, 6)
    assert send_due(registry.settings) == {"retry": 1}
    (pause,) = pauses_s(registry)
    assert 590 < pause <= 600
    pass_time(registry, 601)
    assert send_due(registry.settings) == {"delivered": 1}
    assert len(receiver.exchanges) == 3


def test_a_receiver_that_is_down_for_an_hour_is_told_once_it_is_up(registry: WorkerRegistry) -> None:
    secret = secret_of(registry)
    passed_s, taken = 0.0, []

    def up_after_an_hour(exchange: Exchange) -> None:
        if passed_s < 3600:
            exchange.connection.shutdown(socket.SHUT_RDWR)
            return
        taken.append(verified(exchange, secret))
        answer(204)(exchange)

    with http_server(up_after_an_hour) as server:
        ids = ended(registry, job(webhook=server.url("/")), job(webhook=server.url("/")))
        attempts = 0
        while "delivered" not in (became := send_due(registry.settings)):
            attempts += became.get("retry", 0)
            passed_s += (later := max(pauses_s(registry)) + 1)
            pass_time(registry, later)
    assert sorted(each["data"]["id"] for each in taken) == sorted(ids)
    assert attempts == 2 * 4, "at once, after 5 s, 5 minutes and half an hour"
    assert pauses_s(registry) == []


def test_redirects_are_not_followed_and_private_addresses_not_reached(
    registry: WorkerRegistry, receiver: HttpServer
) -> None:
    secret_of(registry)
    urls = {
        receiver.url("/redirects"): "it redirects, which is not followed",
        "http://169.254.169.254/latest/": "private, loopback, link-local",
        "http://[::1]:1/": "private, loopback, link-local",
        f"http://localhost.localdomain.invalid:{receiver.port}/": "does not resolve",
    }
    ids = [ended(registry, job(webhook=url))[0] for url in urls]
    assert send_due(registry.settings) == {"retry": len(urls)}
    for job_id, error in zip(ids, urls.values(), strict=True):
        ((notice,),) = [notices_of(registry, job_id)]
        assert error in str(notice.log[0].error)
    assert [each.target for each in receiver.exchanges] == ["/redirects"]


def test_a_certificate_is_checked_for_the_host_by_its_name(
    registry: WorkerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the connection goes to an address."""
    secret_of(registry)
    settings = load_worker_settings(registry.settings, webhook_allowed_networks="127.0.0.1/32,::1/128")
    authority, context = certificate(["localhost"], tmp_path)
    with http_server({"/": answer(200)}, tls=context) as server:
        by_name, by_address = server.url("/", "localhost"), server.url("/")
        (unknown,) = ended(registry, job(webhook=by_name))
        posting._tls_context.cache_clear()
        assert send_due(settings) == {"retry": 1}
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        posting._tls_context.cache_clear()
        named, wrong = ended(registry, job(webhook=by_name), job(webhook=by_address))
        assert send_due(settings) == {"delivered": 1, "retry": 1}
    posting._tls_context.cache_clear()
    states = {each: notices_of(registry, each)[0] for each in (unknown, named, wrong)}
    assert states[named].state == "delivered"
    for each in (unknown, wrong):
        assert "certificate is not valid" in str(states[each].log[0].error)


def test_one_private_address_rules_a_host_out(
    registry: WorkerRegistry, receiver: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_of(registry)
    monkeypatch.setattr(posting, "_resolve", lambda *_: ["8.8.8.8", "10.0.0.1"])
    (job_id,) = ended(registry, job(webhook="http://two.example.org/"))
    assert send_due(registry.settings) == {"retry": 1}
    (notice,) = notices_of(registry, job_id)
    assert "private, loopback" in str(notice.log[0].error)


def test_410_ends_and_disables(registry: WorkerRegistry, receiver: HttpServer) -> None:
    url = receiver.url("/gone")
    set_endpoint(registry, "acme", url)
    ids = ended(registry, *(job(tenant="acme") for _ in range(30)))
    became = send_due(registry.settings)
    assert set(became) == {"off"}
    asked = len(receiver.exchanges)
    assert asked <= 10
    assert {notice.state for job_id in ids for notice in notices_of(registry, job_id)} == {"failed"}
    (endpoint,) = endpoints(registry)
    assert (endpoint.off, endpoint.pending) == (True, 0)
    ended(registry, job(tenant="acme"))
    assert send_due(registry.settings) == {}
    (first, *_) = failed_notices(registry)
    with pytest.raises(WebhookOff):
        replay_notice(registry, first.id)
    assert enable_url(registry, "acme", url)
    ended(registry, job(tenant="acme"))
    assert send_due(registry.settings) == {"off": 1}
    assert len(receiver.exchanges) == asked + 1


def test_without_a_secret_nothing_is_sent(registry: WorkerRegistry, receiver: HttpServer) -> None:
    (job_id,) = ended(registry, job(webhook=receiver.url("/"), tenant="acme"))
    assert send_due(registry.settings) == {"retry": 1}
    assert receiver.exchanges == []
    (notice,) = notices_of(registry, job_id)
    assert "no secret" in str(notice.log[0].error)


def test_a_receiver_that_hangs_has_failed_after_its_time(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    settings = load_worker_settings(registry.settings, webhook_timeout_s=0.2)
    (job_id,) = ended(registry, job(webhook=receiver.url("/hangs")))
    assert send_due(settings) == {"retry": 1}
    (notice,) = notices_of(registry, job_id)
    assert notice.log[0].error == "no answer within 0.2 s"


def test_a_dead_host_does_not_hold_up_a_live_one(settings: WorkerSettings, receiver: HttpServer) -> None:
    """10,000 wait for a host that hangs, and 100 for one that answers."""
    # one of its own: to check all of these keys in the end would take as long as the test
    registry = WorkerRegistry(settings)
    secret_of(registry)
    released = threading.Event()

    def hangs(exchange: Exchange) -> None:
        released.wait(60)
        answer(503)(exchange)

    with http_server(hangs) as dead:
        _end_many(registry, dead.url("/"), 10_000)
        _end_many(registry, receiver.url("/"), 100)
        with sending(registry.settings, released.set), time_lost() as lost:
            began = time.monotonic()
            wait_until(lambda: len(receiver.exchanges) >= 100, 60, "the live host is told")
            took = time.monotonic() - began - lost()
        assert took < 5
        assert 0 < len(dead.exchanges) <= 10
    assert len({received_headers(each)["webhook-id"] for each in receiver.exchanges}) == 100
    registry.close()


def _end_many(registry: WorkerRegistry, url: str, count: int) -> None:
    given = job(webhook=url)
    for start in range(0, count, 500):
        ids = [new_job_id() for _ in range(min(500, count - start))]
        submit(registry, *(given.model_copy(update={"id": job_id}) for job_id in ids))
        for begin in range(0, len(ids), 100):
            registry.run("cancel", registry.arguments.cancel(ids[begin : begin + 100]))


def test_two_senders_tell_each_once(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    with sending(registry.settings), sending(registry.settings):
        ids = [ended(registry, job(webhook=receiver.url("/")))[0] for _ in range(50)]
        wait_until(lambda: len(receiver.exchanges) >= 50, 60, "all are told")
    assert sorted(told(each)["data"]["id"] for each in receiver.exchanges) == sorted(ids)


def test_a_local_system_sends_by_itself(registry: WorkerRegistry, receiver: HttpServer) -> None:
    assert can_send()
    secret_of(registry)
    sending_locally = WebhookSending(registry.settings)
    try:
        ended(registry, job(webhook=receiver.url("/")))
        wait_until(lambda: receiver.exchanges, 60, "it is told")
    finally:
        sending_locally.stop()


def test_what_a_killed_sender_had_is_sent_again(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    (job_id,) = ended(registry, job(webhook=receiver.url("/")))
    claimed = claim(registry, "token")
    assert claim(registry, "token") == claimed
    assert claim(registry, "other") == []
    assert send_due(registry.settings) == {}
    pass_time(registry, 3600)
    assert send_due(registry.settings) == {"delivered": 1}
    # the killed one's answer comes late
    assert settle(registry, claimed[0], "token", "retry") == 0
    (notice,) = notices_of(registry, job_id)
    assert (notice.state, notice.attempts) == ("delivered", 2)


def test_a_deleted_job_takes_its_notices_along(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    given = job(webhook=receiver.url("/"))
    ended(registry, given)
    registry.run("delete", registry.arguments.delete([(given.id, given)], ""))
    assert send_due(registry.settings) == {}
    assert notices_of(registry, given.id) == []
    assert list(registry.client.scan_iter(f"{registry.keys.root}notice*")) == []
    registry.forget_deleted([(given.id, None)])


def test_secrets_are_in_one_key_only(registry: WorkerRegistry, receiver: HttpServer) -> None:
    made = set_endpoint(registry, "acme", receiver.url("/fails?token=hidden"))
    assert made is not None
    (job_id,) = ended(registry, job(tenant="acme"))
    send_due(registry.settings)
    notices = notices_of(registry, job_id)
    shown = f"{endpoints(registry)} {notices} {registry.status(job_id)} {made!r}"
    key = made.key.get_secret_value().removeprefix("whsec_")
    assert key not in shown
    assert "hidden" not in shown
    for name in registry.client.scan_iter(f"{registry.keys.root}*"):
        if name.decode() != registry.keys.webhook_secrets():
            assert key.encode() not in (registry.client.dump(name) or b"")


def test_an_endpoint_can_go_and_must_be_a_url(registry: WorkerRegistry) -> None:
    with pytest.raises(WebhookInvalid, match="without a user"):
        set_endpoint(registry, "acme", "https://user:password@example.org/")
    assert endpoints(registry) == []
    with pytest.raises(WebhookUnknown):
        retire_secret(registry, "acme")
    assert set_endpoint(registry, "acme", "https://example.org/") is not None
    assert set_endpoint(registry, "acme", "https://example.org/other") is None
    remove_endpoint(registry, "acme", with_secrets=True)
    with pytest.raises(WebhookUnknown):
        remove_endpoint(registry, "acme")
    with pytest.raises(WebhookUnknown):
        replay_notice(registry, "none")


def test_what_a_host_has_had_no_time_for_is_given_up(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    ended(registry, job(webhook=receiver.url("/fails")))
    send_due(registry.settings)
    pass_time(registry, 77 * 3600)
    assert send_due(registry.settings) == {}
    (notice,) = failed_notices(registry)
    assert notice.log[-1].error == "given up"


def test_a_host_that_is_not_allowed_is_not_asked(registry: WorkerRegistry, receiver: HttpServer) -> None:
    secret_of(registry)
    strict = load_worker_settings(registry.settings, webhook_hosts="*.example.org", webhook_schemes="https")
    (job_id,) = ended(registry, job(webhook=receiver.url("/")))
    send_due(strict)
    (notice,) = notices_of(registry, job_id)
    assert "OCRQUEUE_WEBHOOK_SCHEMES" in str(notice.log[0].error)
    assert receiver.exchanges == []


def test_the_command_sends_shows_and_replays(registry: WorkerRegistry, receiver: HttpServer) -> None:
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(registry.settings).items()}

    def run(*arguments: str, status: int = 0) -> str:
        return invoke("webhooks", *arguments, status=status, **given).stdout

    secret = json.loads(run("set", receiver.url("/"), "--tenant", "acme", "--json"))["secret"]
    (job_id,) = ended(registry, job(tenant="acme"))
    assert json.loads(run("send", "--once", "--json")) == {"delivered": 1}
    verified(receiver.exchanges[0], secret)
    (notice,) = [json.loads(line) for line in run("log", job_id, "--json").splitlines()]
    assert [each["became"] for each in notice["log"]] == ["delivered"]
    run("replay", notice["id"])
    assert json.loads(run("send", "--once", "--json")) == {"delivered": 1}
    assert "acme" in run()
    assert secret not in run() + run("log", job_id) + run("--json")
    run("replay", "none", status=3)
    run("replay", status=2)
