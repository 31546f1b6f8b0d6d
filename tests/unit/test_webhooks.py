"""URLs that may be told of ends, what is told, and when again."""

from __future__ import annotations

import json

import pytest
from standardwebhooks import Webhook

from ocrqueue.core import Outcome
from ocrqueue.errors import SourceUnavailable
from ocrqueue.job.webhook_url import check_webhook_url
from ocrqueue.settings import load_worker_settings
from ocrqueue.webhooks.hosts import check_host
from ocrqueue.webhooks.message import body_of, signed_headers
from ocrqueue.webhooks.notices import log_line, parse_notice
from ocrqueue.webhooks.schedule import ATTEMPTS, DELAYS_S, GIVE_UP_S, delay_s
from ocrqueue.webhooks.secrets import dump, new_secret, parse


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://example.org:8080/a/b?c=d&e=%20",
        "https://[2001:db8::1]:8443/x",
        "https://xn--bcher-kva.example/?q",
        "http://127.0.0.1/",
    ],
)
def test_plain_urls_are_taken(url: str) -> None:
    assert check_webhook_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.org/",
        "https://",
        "https:///path",
        "https://user@example.org/",
        "https://user:password@example.org/",
        "https://example.org/#part",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:/",
        "https://exa mple.org/",
        "https://example.org/a b",
        "https://bücher.example/",
        "https://example.org\\@evil.example/",
        "https://example.org/\r\nHost: evil",
        "https://[::1/",
        "https://[zz]/",
        "https://-example.org/",
        "HTTPS://example.org/",
        f"https://example.org/{'a' * 2048}",
    ],
)
def test_what_parsers_could_read_differently_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be|no IPv6") as refused:
        check_webhook_url(url)
    assert "password@" not in str(refused.value)


def test_hosts_and_schemes_can_be_named() -> None:
    settings = load_worker_settings(webhook_hosts="hooks.example.org,*.example.com", webhook_schemes="https")
    for url in ("https://hooks.example.org/", "https://a.b.example.com:1/", "https://HOOKS.example.org./x"):
        check_host(url, settings)
    for url in ("http://hooks.example.org/", "https://example.com/", "https://hooks.example.org.evil.example/"):
        with pytest.raises(ValueError, match="OCRQUEUE_WEBHOOK_"):
            check_host(url, settings)


def test_ten_attempts_within_75_hours() -> None:
    pauses = [delay_s(attempts) for attempts in range(1, ATTEMPTS + 1)]
    assert pauses[-1] is None
    for pause, longest in zip(pauses[:-1], DELAYS_S, strict=True):
        assert pause is not None
        assert 0.9 * longest <= pause <= longest
    assert sum(DELAYS_S) < 76 * 3600 < GIVE_UP_S < 77 * 3600
    assert delay_s(1, asked_s=120) == 120
    assert delay_s(1, asked_s=1e9) == 24 * 3600
    assert delay_s(ATTEMPTS, asked_s=120) is None


def test_the_summary_is_told_and_not_the_text() -> None:
    outcome = Outcome(job_id="j", state="failed", error=SourceUnavailable("s3://secret/key").info)
    notice = {"job": "j", "tenant": "acme", "outcome": outcome.model_dump_json(), "finished_at": "1770000000123"}
    body = json.loads(body_of(notice))
    assert body["type"] == "job.failed"
    assert body["timestamp"] == body["data"]["finished_at"] == "2026-02-02T02:40:00.123Z"
    assert body["data"]["error"] == {"code": "source.unavailable", "retryable": True}
    assert "secret" not in json.dumps(body)
    assert set(body["data"]) == {
        *("id", "state", "tenant", "tag", "batch", "pages", "error"),
        *("queued_at", "started_at", "finished_at"),
    }


@pytest.mark.parametrize("outcome", ["", "[]", '{"state": "of the future"}'])
def test_what_a_newer_version_has_written_is_told_all_the_same(outcome: str) -> None:
    body = json.loads(body_of({"job": "j", "outcome": outcome, "finished_at": "x"}))
    assert (body["type"], body["data"]["id"], body["timestamp"]) == ("job.unknown", "j", None)
    notice = parse_notice(
        "n", {b"url": b"https://a/?t=1", b"log": b"{}\n[\nx\n{}", b"state": b"new", b"attempts": b"x"}
    )
    assert (notice.state, notice.log, notice.attempts, notice.url) == ("pending", (), 0, "https://a/?...")


def test_a_line_of_the_log_is_read_as_it_was_written() -> None:
    line = log_line(1770000000123, "retry", status=500, error=None, took_s=0.25)
    (told,) = parse_notice("n", {b"url": b"https://a/", b"log": line.encode()}).log
    assert (told.became, told.status, told.error, told.took_s) == ("retry", 500, None, 0.25)


def test_secrets_come_back_from_redis_and_are_not_printed() -> None:
    first, second = new_secret("hmac"), new_secret("ed25519")
    stored = dump((second, first))
    assert parse(stored) == (second, first)
    assert [each.kind for each in parse(stored)] == ["ed25519", "hmac"]
    assert parse(b"no secrets") == parse(None) == ()
    assert second.shown.startswith("whpk_")
    assert first.shown.removeprefix("whsec_") not in repr(first)
    headers = signed_headers("n1", "{}", 1770000000, (first,))
    with pytest.raises(Exception, match="too old"):
        Webhook(first.shown).verify("{}", headers)
