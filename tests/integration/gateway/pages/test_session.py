"""Signing in and out: what the cookie is, when it counts, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest
from playwright.sync_api import BrowserContext, Error, Route, expect

from ocrqueue_gateway.access import failures
from tests.integration.gateway.pages.conftest import OpenPage, Site, sign_in, site_of
from tests.support.gateway_jobs import problem_of
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, trust_env=False, timeout=60) as made:
        yield made


def _signed_in(client: httpx.Client, key: str, **headers: str) -> httpx.Response:
    return client.post("/sign-in", data={"key": key, "next": "/jobs/x"}, headers={**OWN, **headers})


def test_a_person_signs_in_and_out(site: Site, open_page: OpenPage) -> None:
    page = open_page("/", key=None)
    assert page.url == f"{site.url}/sign-in"
    page.get_by_label("API key").fill("ocrq_wrong")
    with page.expect_response(lambda response: response.request.method == "POST") as answered:
        page.get_by_role("button", name="Sign in").click()
    assert answered.value.status == 401
    expect(page.get_by_role("alert")).to_contain_text("key.invalid")
    sign_in(page, site, site.key(tenant="readers"))
    assert page.evaluate("document.cookie") == ""
    page.locator("#settings summary").click()
    expect(page.locator(".who")).to_contain_text("readers")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto(site.url)
    assert page.url == f"{site.url}/sign-in"


def test_an_answer_that_comes_while_a_person_signs_out_leads_nowhere_else(site: Site, open_page: OpenPage) -> None:
    page = open_page("/")
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    def sign_out(route: Route) -> None:
        answer = route.fetch(max_redirects=0)
        for each in asked:
            # dropped by the page meanwhile
            with suppress(Error):
                each.fulfill(status=401, json={"status": 401, "code": "key.missing"})
        route.fulfill(response=answer)

    page.route("**/v1/jobs?*", hold)
    page.route("**/sign-out", sign_out)
    with page.expect_request("**/v1/jobs?*"):
        pass
    page.locator("#settings summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{site.url}/sign-in")


def test_the_cookie_is_for_this_site_alone_and_for_no_script(site: Site, client: httpx.Client) -> None:
    answer = _signed_in(client, site.key(tenant="readers"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/x")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "ocrq_" not in cookie
    client.cookies.clear()
    over_tls = _signed_in(client, site.key(tenant="readers"), **{"x-forwarded-proto": "https"}).headers["set-cookie"]
    assert over_tls.startswith("__Host-ocrqueue_session=")
    assert "Secure" in over_tls


def test_a_key_that_is_revoked_ends_the_session_at_once(site: Site, client: httpx.Client) -> None:
    made = site.queue.api_keys.create(tenant="readers")
    _signed_in(client, made.text)
    assert client.get("/v1/jobs").status_code == 200
    site.queue.api_keys.revoke(made.key.id)
    problem_of(client.get("/v1/jobs"), 401, "key.invalid")
    assert client.get("/").headers["location"] == "/sign-in"


def test_signing_out_ends_it_for_who_has_the_cookie_too(site: Site, client: httpx.Client) -> None:
    _signed_in(client, site.key(tenant="readers"))
    kept = dict(client.cookies)
    assert client.post("/sign-out", headers=OWN).status_code == 303
    assert not client.cookies
    client.cookies.update(kept)
    problem_of(client.get("/v1/jobs"), 401, "key.missing")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
def test_no_page_of_another_site_changes_anything(site: Site, client: httpx.Client, headers: dict[str, str]) -> None:
    _signed_in(client, site.key(tenant="readers"))
    answer = client.post("/v1/jobs", json={"image": "https://example.org/x.png", "engine": "null"}, headers=headers)
    problem_of(answer, 401, "key.missing")
    problem_of(client.post("/sign-out", headers=headers), 403, "key.forbidden")
    problem_of(_signed_in_from(client, headers, site.key()), 403, "key.forbidden")
    assert client.get("/v1/jobs").status_code == 200


def _signed_in_from(client: httpx.Client, headers: dict[str, str], key: str) -> httpx.Response:
    return client.post("/sign-in", data={"key": key}, headers=headers)


def test_a_page_of_another_site_sees_nothing(site: Site, client: httpx.Client) -> None:
    _signed_in(client, site.key(tenant="readers"))
    embedded = {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}
    problem_of(client.get("/v1/jobs", headers=embedded), 401, "key.missing")


def test_scopes_hold_in_a_session_too(site: Site, client: httpx.Client) -> None:
    _signed_in(client, site.key(tenant="readers", scopes=("read",)))
    answer = client.post("/v1/jobs", json={"image": "https://example.org/x.png"}, headers=OWN)
    problem_of(answer, 403, "key.forbidden")


def test_wrong_keys_are_slowed_down_here_too(site: Site, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # however slow the machine is, nothing is allowed anew meanwhile
    monkeypatch.setattr(failures, "_REFILL_S", 3600.0)
    # the failures of this test are nobody else's
    site.app.state.failed_attempts = failures.FailedAttempts()
    told = [client.post("/sign-in", data={"key": "x"}, headers=OWN).status_code for _ in range(25)]
    assert told[0] == 401
    assert told[-1] == 429
    site.app.state.failed_attempts = failures.FailedAttempts()


def test_a_form_that_is_none_is_refused(client: httpx.Client) -> None:
    problem_of(client.post("/sign-in", json={"key": "x"}, headers=OWN), 415, "request.media_type")
    problem_of(client.post("/sign-in", data={"key": "x" * 5000}, headers=OWN), 413, "request.too_large")


def test_who_comes_by_a_link_from_elsewhere_goes_on_where_it_led(
    site: Site, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    sign_in(page, site, site.key(tenant="readers"))
    page.goto("data:text/html,<p>elsewhere")
    page.evaluate(f"location.href = '{site.url}/?a=1'")
    page.wait_for_url(f"{site.url}/?a=1")


def test_reports_of_browsers_are_taken_and_bounded(site: Site, client: httpx.Client) -> None:
    kept = site.app.state.csp_reports.latest
    before = list(kept)
    told = {"csp-report": {"violated-directive": "script-src", "blocked-uri": "x" * 10_000}}
    assert client.post("/csp-reports", json=told).status_code == 204
    assert kept[-1]["violated-directive"] == "script-src"
    assert len(kept[-1]["blocked-uri"]) == 200
    for body in (b"", b"[]", b'{"csp-report": 1}', b"[" * 10_000):
        assert client.post("/csp-reports", content=body).status_code == 204
    assert client.post("/csp-reports", content=b"x" * 100_000).status_code == 413
    kept.clear()
    kept.extend(before)


def test_files_of_the_pages_are_kept_for_ever_under_their_sum(client: httpx.Client) -> None:
    at = client.get("/sign-in").text.split('href="/static/')[1].split('"')[0]
    answer = client.get(f"/static/{at}")
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(f"/static/other/{at.partition('/')[2]}").headers["cache-control"] == "no-store"
    problem_of(client.get("/static/x/../../app.py"), 404, "request.not_found")
    problem_of(client.get("/static/x/%2e%2e/routes.py"), 404, "request.not_found")


@pytest.mark.parametrize("forwarded", ["https", "HTTPS", "https, http", "https ,https"])
def test_a_proxy_that_speaks_tls_is_heard(site: Site, client: httpx.Client, forwarded: str) -> None:
    cookie = _signed_in(client, site.key(tenant="readers"), **{"x-forwarded-proto": forwarded}).headers["set-cookie"]
    assert cookie.startswith("__Host-ocrqueue_session=")
    assert "Secure" in cookie


def test_over_tls_a_cookie_that_came_without_it_counts_for_nothing(site: Site, client: httpx.Client) -> None:
    # which somebody between may have written, to lead a person into a session of theirs
    _signed_in(client, site.key(tenant="strangers"))
    assert client.get("/v1/jobs").status_code == 200
    problem_of(client.get("/v1/jobs", headers={"x-forwarded-proto": "https"}), 401, "key.missing")


def test_signing_in_ends_the_session_before_and_gives_a_new_one(site: Site, client: httpx.Client) -> None:
    client.cookies.set("ocrqueue_session", "chosen-by-somebody-else")
    answer = _signed_in(client, site.key(tenant="readers"))
    assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]
    client.cookies.clear()
    _signed_in(client, site.key(tenant="readers"))
    before = dict(client.cookies)
    _signed_in(client, site.key(tenant="readers"))
    assert dict(client.cookies) != before
    client.cookies.clear()
    client.cookies.update(before)
    problem_of(client.get("/v1/jobs"), 401, "key.missing")


@pytest.mark.parametrize("cookie", ["", "x" * 8000, "a b", '"', "../../keys", "'; drop", "ocrq_" + "x" * 60])
def test_a_cookie_that_is_none_is_no_session(client: httpx.Client, cookie: str) -> None:
    headers = {"cookie": f"ocrqueue_session={cookie}".encode()}
    problem_of(client.get("/v1/jobs", headers=headers), 401, "key.missing")
    assert client.get("/", headers=headers).headers["location"] == "/sign-in"


def test_a_key_that_expires_ends_the_session(site: Site, client: httpx.Client) -> None:
    def begins() -> bool:
        made = site.queue.api_keys.create(tenant="readers", expires_in_s=2)
        return _signed_in(client, made.text).status_code == 303

    def has_ended() -> bool:
        return client.get("/v1/jobs").status_code == 401

    # on a busy machine a key may be over before anybody comes with it
    wait_until(begins, 60, "the session has begun")
    wait_until(has_ended, 60, "the key has expired")
    problem_of(client.get("/v1/jobs"), 401, "key.expired")
    assert client.get("/").headers["location"] == "/sign-in"


CHANGING = [
    ("POST", "/v1/jobs"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/uploads"),
    ("POST", "/v1/actions"),
    ("POST", "/v1/jobs/{job}/replay"),
    ("DELETE", "/v1/jobs/{job}"),
    ("POST", "/v1/queues/tesseract/pause"),
    ("POST", "/v1/queues/tesseract/resume"),
    ("POST", "/v1/tenants/acme/pause"),
    ("POST", "/v1/tenants/acme/resume"),
]


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_nothing_is_changed_for_another_sites_page(site: Site, client: httpx.Client, method: str, path: str) -> None:
    _signed_in(client, site.key(scopes=("submit", "read", "cancel", "admin")))
    path = path.format(job="01a2044a-3e16-70e1-81e9-41923328665c")
    elsewhere = [
        {"sec-fetch-site": "cross-site"},
        {"origin": "null"},
        {},
        {"origin": f"{site.url}0"},
    ]
    for headers in elsewhere:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = client.request(method, path, content=b'{"a": 1}', headers={**headers, "content-type": kind})
            problem_of(answer, 401, "key.missing")


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_a_key_that_may_only_read_changes_nothing(site: Site, client: httpx.Client, method: str, path: str) -> None:
    _signed_in(client, site.key(scopes=("read",)))
    path = path.format(job="01a2044a-3e16-70e1-81e9-41923328665c")
    body = {"action": "cancel", "all_jobs": True, "image": "https://example.org/x.png", "engine": "null"}
    problem_of(client.request(method, path, json=body, headers=OWN), 403, "key.forbidden")


def test_a_session_knows_nothing_of_another_tenants_job(site: Site, client: httpx.Client) -> None:
    job = site.queue.submit("https://example.org/secret-name.png", engine="keras", tenant="readers").id
    _signed_in(client, site.key(tenant="strangers", scopes=("submit", "read", "cancel", "admin")))
    parts = (
        "",
        "/history",
        "/result",
        "/result?format=pdf",
        "/outputs/pdf",
        "/pages",
        "/pages/1",
        "/overlay",
        "/events",
    )
    for part in (*parts, "/crops/p001-w0001"):
        problem_of(client.get(f"/v1/jobs/{job}{part}", headers=OWN), 404, "job.unknown")
    for part in ("", "/pages/1", "/find?text=x", "/pages/1/picture", "/pages/1/tiles/0/0/0", "/pages/1/thumbnail"):
        problem_of(client.get(f"/reader/jobs/{job}{part}", headers=OWN), 404, "job.unknown")
    for method, part in (("DELETE", ""), ("DELETE", "?purge=true"), ("POST", "/replay")):
        problem_of(client.request(method, f"/v1/jobs/{job}{part}", headers=OWN), 404, "job.unknown")
    assert client.get(f"/v1/jobs?id={job}&tenant=readers", headers=OWN).json()["jobs"] == []
    asked = {"action": "cancel", "filter": {"ids": [job]}, "dry_run": True}
    action = client.post("/v1/actions", json=asked, headers=OWN).json()["id"]
    wait_until(lambda: client.get(f"/v1/actions/{action}").json()["state"] == "done", 60, "it is counted")
    assert client.get(f"/v1/actions/{action}").json()["matched"] == 0
    site.queue.delete(job)


def test_what_is_for_operators_is_for_nobody_else(site: Site, client: httpx.Client) -> None:
    _signed_in(client, site.key(tenant="readers", scopes=("submit", "read", "cancel", "admin")))
    for path in ("", "/jobs", "/workers", "/dead", "/jobs/01a2044a-3e16-70e1-81e9-41923328665c"):
        answer = client.get(f"/operate{path}", headers=OWN)
        assert answer.status_code == 403
        assert "key.forbidden" in answer.text
    for path in ("overview", "overview/events", "workers", "tenants", "counts", "pauses", "audit"):
        problem_of(client.get(f"/v1/{path}", headers=OWN), 403, "key.forbidden")


def test_a_key_that_may_not_read_opens_no_document(site: Site, client: httpx.Client) -> None:
    job = site.queue.submit(b"no picture", engine="null", name="secret name", tenant="readers")
    _signed_in(client, site.key(tenant="readers", scopes=("submit",)))
    answer = client.get(f"/jobs/{job.id}", headers=OWN)
    assert answer.status_code == 403
    assert "secret name" not in answer.text
    _signed_in(client, site.key(tenant="strangers"))
    answer = client.get(f"/jobs/{job.id}", headers=OWN)
    assert answer.status_code == 404
    assert "secret name" not in answer.text


@pytest.mark.parametrize(
    "address",
    [
        *("//evil.example", "/\\evil.example", "/%2fevil.example", "/%5cevil.example", "https://evil.example", "evil"),
        *("javascript:x", "/\t/evil", "/%09/evil", "/%0d%0aset-cookie:a=b", "/sign-in", "/" + "x" * 500, "\\\\evil"),
    ],
)
def test_no_link_leads_elsewhere_after_signing_in(site: Site, client: httpx.Client, address: str) -> None:
    answer = client.post("/sign-in", data={"key": site.key(tenant="readers"), "next": address}, headers=OWN)
    assert answer.headers["location"] == "/"
    assert 'value="/"' in client.get("/sign-in", params={"next": address}).text


def test_on_ones_own_machine_a_session_that_has_ended_is_no_hindrance(site: Site) -> None:
    made = site.queue.api_keys.create(tenant="readers")
    with (
        site_of(site.queue.settings, site.queue) as local,
        httpx.Client(base_url=local.url, trust_env=False, timeout=60) as client,
    ):
        _signed_in(client, made.text)
        assert "Sign out" in client.get("/").text
        site.queue.api_keys.revoke(made.key.id)
        assert client.get("/").status_code == 200
        assert client.get("/v1/overview").status_code == 200
