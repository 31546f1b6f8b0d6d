"""What a person is shown where there is nothing to show: a page, and never JSON; programs get their problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from tests.integration.gateway.pages.conftest import Site
from tests.support.gateway_jobs import problem_of
from tests.support.gateways import gateway_of
from tests.support.processes import redis_server

pytest_plugins = ["tests.support.server_fixtures"]
PERSON = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PATHS = ("/", "/sign-in", "/jobs/x", "/nothing", "/operate", "/operate/nothing", "/%3Cscript%3E", "/jobs/%00%ff")


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, trust_env=False, timeout=60) as made:
        yield made


def page_of(answer: httpx.Response, status: int, code: str) -> None:
    """It is a page of ours, with the policy of all."""
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert f"<code>{code}</code>" in answer.text
    assert "<script>" not in answer.text


def test_an_address_that_leads_nowhere_is_told_by_a_page(client: httpx.Client) -> None:
    answer = client.get("/nothing", headers=PERSON)
    page_of(answer, 404, "request.not_found")
    assert "Check the address." in answer.text
    page_of(client.get("/%3Cscript%3Ealert(1)", headers=PERSON), 404, "request.not_found")
    page_of(client.get("/sign-out", headers=PERSON), 405, "request.method_not_allowed")
    problem_of(client.get("/nothing"), 404, "request.not_found")
    problem_of(client.get("/v1/nothing", headers=PERSON), 404, "request.not_found")


def test_a_form_that_is_refused_is_told_by_a_page(client: httpx.Client) -> None:
    page_of(client.post("/sign-in", data={"key": "x"}, headers=PERSON), 403, "key.forbidden")
    own = {**PERSON, "sec-fetch-site": "same-origin"}
    page_of(client.post("/sign-in", data={"key": "x" * 5000}, headers=own), 413, "request.too_large")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accept", [PERSON, {}])
def test_every_page_has_the_policy_and_is_kept_nowhere(client: httpx.Client, path: str, accept: dict[str, str]) -> None:
    answer = client.get(path, headers=accept)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe" not in policy.replace("style-src 'unsafe-inline'; sandbox", "")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "referrer-policy" in answer.headers


@pytest.mark.parametrize("language", ["ko;q=0, en", "x" * 20_000, "\xff\xfe".encode("latin-1").hex(), "*", ";q=,;q=9"])
def test_a_language_that_is_none_is_english(client: httpx.Client, language: str) -> None:
    assert '<html lang="en"' in client.get("/sign-in", headers={"accept-language": language}).text


def test_an_outage_of_redis_is_told_by_a_page(site: Site, tmp_path: Path) -> None:
    with redis_server(tmp_path) as own:
        settings = site.queue.settings.model_copy(update={"redis_url": SecretStr(own.url), "redis_timeout_s": 2.0})
        with (
            gateway_of(settings, host="0.0.0.0") as url,
            httpx.Client(base_url=url, trust_env=False, timeout=60, headers=PERSON) as client,
        ):
            client.cookies.set("ocrqueue_session", "x" * 40)
            assert client.get("/").headers["location"] == "/sign-in"
            own.kill()
            answer = client.get("/")
            page_of(answer, 503, "broker.unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert 'href=""' in answer.text
            own.start()
            assert client.get("/").headers["location"] == "/sign-in"
