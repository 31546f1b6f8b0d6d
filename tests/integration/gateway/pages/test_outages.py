"""What an open page does while Redis or the gateway is away: it says so, asks again, and goes on with what is then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.integration.gateway.pages.conftest import Site, reader_ready, sign_in, site_of
from tests.support.processes import RedisServer, redis_server


@dataclass(frozen=True)
class Alone:
    """An installation with a Redis of its own, which forgets nothing, and no worker."""

    redis: RedisServer
    site: Site


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    with redis_server(tmp_path_factory.mktemp("redis"), append_only=True) as redis:
        settings: WorkerSettings = load_worker_settings(
            redis_url=redis.url, storage=f"file://{tmp_path_factory.mktemp('storage')}", redis_timeout_s=5.0
        )
        with OcrQueue(settings) as queue, site_of(settings, queue, host="0.0.0.0") as site:
            yield Alone(redis, site)


@pytest.fixture
def open_page(alone: Alone, open_context: Callable[..., BrowserContext]) -> Callable[[str], Page]:
    """Signed in as an operator."""

    def make(path: str) -> Page:
        page = open_context().new_page()
        sign_in(page, alone.site, alone.site.key(scopes=("submit", "read", "cancel", "admin")))
        page.goto(f"{alone.site.url}{path}")
        return page

    return make


def waiting(alone: Alone) -> str:
    return alone.site.queue.submit("https://example.org/x.png", engine="null").id


def test_pages_say_that_redis_is_away_and_go_on_once_it_is_back(
    alone: Alone, open_page: Callable[[str], Page], tmp_path: Path
) -> None:
    job = waiting(alone)
    reader, operator = open_page(f"/jobs/{job}"), open_page("/operate")
    reader_ready(reader)
    expect(reader.locator("#state")).to_have_text("Queued")
    expect(operator.locator(".tile dd").first).to_have_text("1")
    alone.redis.kill()
    for page in (reader, operator):
        expect(page.locator(".notice.problem").first).to_contain_text("broker.unavailable")
    alone.redis.start()
    alone.site.queue.cancel(job)
    expect(reader.locator("#state")).to_have_text("Cancelled")
    expect(operator.locator(".tile dd").first).to_have_text("0")
    for page in (reader, operator):
        expect(page.locator(".notice.problem")).to_have_count(0)


def test_a_job_that_is_deleted_while_it_is_watched_is_told_of_once(
    alone: Alone, open_page: Callable[[str], Page]
) -> None:
    job = waiting(alone)
    reader, operator = open_page(f"/jobs/{job}"), open_page(f"/operate/jobs/{job}")
    reader_ready(reader)
    expect(operator.locator(".job-head")).to_be_visible()
    asked: list[str] = []
    alone.site.queue.delete(job)
    # which it was for a moment before it was gone
    expect(reader.locator("#state:text-is('Cancelled'), .notice.problem").first).to_be_visible()
    expect(operator.locator(".job-head :text-is('Cancelled'), .notice.problem").first).to_be_visible()
    for page in (reader, operator):
        page.on("request", lambda request: asked.append(request.url))
    reader.wait_for_timeout(3000)
    assert asked == []


def test_a_key_that_is_revoked_leads_to_the_sign_in(alone: Alone, open_page: Callable[[str], Page]) -> None:
    pages = [open_page(f"/jobs/{waiting(alone)}"), open_page("/operate")]
    reader_ready(pages[0])
    for key in alone.site.queue.api_keys.list():
        alone.site.queue.api_keys.revoke(key.id)
    for page in pages:
        page.wait_for_url("**/sign-in?next=*")


def test_nobody_listens_where_nobody_looks(alone: Alone, open_page: Callable[[str], Page]) -> None:
    page = open_page("/operate")
    expect(page.locator("#queues tr").first).to_be_visible()
    turn = """hidden => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/overview/events")):
        page.evaluate(turn, True)
    with page.expect_request("**/overview/events"):
        page.evaluate(turn, False)


@pytest.mark.parametrize(
    ("path", "part"),
    [("/", "home.js"), ("/", "frame.css"), ("/operate", "overview.js"), ("/operate/jobs", "job_list.js")],
)
def test_a_page_of_which_a_part_did_not_load_says_so(
    alone: Alone, open_page: Callable[[str], Page], path: str, part: str
) -> None:
    page = open_page("/")
    expect(page.locator(".broken")).to_be_hidden()
    page.route(f"**/{part}", lambda route: route.fulfill(status=503))
    page.goto(f"{alone.site.url}{path}")
    expect(page.get_by_role("alert").filter(has_text="a part of it did not load")).to_be_visible()
    page.unroute(f"**/{part}")
    page.get_by_role("link", name="Load it again").click()
    page.wait_for_load_state("load")
    expect(page.locator(".broken")).to_be_hidden()


def test_without_scripts_a_page_says_that_it_needs_them(
    alone: Alone, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto(f"{alone.site.url}/sign-in")
    expect(page.locator(".no-script")).to_be_visible()
    expect(page.locator("p.broken:not(.no-script)")).to_be_hidden()
