"""The operator's pages in a browser: many jobs at once, dead letters, pauses, histories; by mouse and by keyboard."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Route, expect

from ocrqueue import OcrQueue
from ocrqueue.core import WorkerRegistry
from ocrqueue.errors import EngineFailed
from ocrqueue.settings import load_worker_settings
from tests.integration.gateway.pages.conftest import (
    SIZES,
    Site,
    listen,
    sign_in,
    site_of,
    tab_to,
    violations,
)
from tests.integration.gateway.pages.layout import cut_or_overlapping, enlarge
from tests.support.busy_installation import finish, job, make_busy
from tests.support.processes import RedisServer, wait_until

PAGES: Final = ("", "/jobs", "/workers", "/dead", "/jobs/{routed}", "/jobs/{succeeded}", "/jobs/{running}")
HOSTILE: Final = "<img src=x onerror=alert(1)>\u202egpj.exe\u202c \u0007 ]]>{{7*7}}"
MANY: Final = 500


@dataclass(frozen=True)
class Operated:
    """An installation in which much goes on, its pages, and an operator's key."""

    site: Site
    registry: WorkerRegistry
    ids: dict[str, str]
    key: str


@pytest.fixture(scope="module")
def operated(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    settings = load_worker_settings(
        redis_url=redis.url,
        key_prefix="operated:",
        storage=f"file://{tmp_path_factory.mktemp('operated')}",
        worker_heartbeat_s=600,
        lost_after_s=3600,
    )
    registry = WorkerRegistry(settings)
    with OcrQueue(settings) as queue, site_of(settings, queue, host="0.0.0.0") as site:
        yield Operated(site, registry, make_busy(registry), site.key(scopes=("submit", "read", "cancel", "admin")))
    registry.close()


@pytest.fixture
def open_page(operated: Operated, open_context: Callable[..., BrowserContext]) -> Iterator[Callable[..., Page]]:
    """Opens an operator's page, and signs in; nothing is complained of at the end."""
    complaints: list[str] = []

    def make(path: str = "", *, key: str | None = None, **how: object) -> Page:
        page = open_context(**how).new_page()
        listen(page, complaints)
        sign_in(page, operated.site, key or operated.key)
        page.goto(f"{operated.site.url}/operate{path.format(**operated.ids)}")
        return page

    yield make
    assert complaints == []
    assert list(operated.site.app.state.csp_reports.latest) == []


def submitted(operated: Operated, count: int, **fields: object) -> list[str]:
    return list(operated.registry.submit([job(number, **fields) for number in range(count)]))


def failed(operated: Operated, count: int, **fields: object) -> list[str]:
    """Jobs that failed with `engine.failed`; in a lane of their own, so that they stay by themselves."""
    fault, engine = EngineFailed("It broke.").info, f"e{uuid.uuid4().hex[:8]}"
    return [finish(operated.registry, job(number, engine=engine, **fields), error=fault) for number in range(count)]


def states(operated: Operated, ids: list[str]) -> set[str]:
    return {status.state if status else "gone" for status in operated.site.queue.statuses(ids)}


def test_500_jobs_are_cancelled_by_a_filter(operated: Operated, open_page: Callable[..., Page]) -> None:
    ids = submitted(operated, MANY, tag="too many")
    page = open_page("/jobs")
    page.get_by_label("Tag").fill("too many")
    expect(page.locator("#about")).to_have_text("All that match:")
    expect(page.locator("#loaded")).to_have_text(re.compile(r"^\d+ jobs"))
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("500 jobs are at work and would be cancelled.")
    assert states(operated, ids) == {"queued"}
    dialog.get_by_role("button", name="Cancel 500 jobs").click()
    expect(dialog).to_contain_text("500 jobs were cancelled.")
    assert states(operated, ids) == {"cancelled"}
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".virtual-sheet .state.cancelled").first).to_be_visible()
    assert "tag=too+many" in page.url
    # only those in sight are elements
    assert page.locator(".virtual-sheet .job-row").count() < 60


def test_the_selected_jobs_alone_are_deleted(operated: Operated, open_page: Callable[..., Page]) -> None:
    ids = submitted(operated, 5, tag="some")
    page = open_page("/jobs?tag=some")
    for row in (0, 2):
        page.locator(f"#row-{row} .tick").click()
    expect(page.locator("#about")).to_have_text("2 jobs selected")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 jobs would be deleted for good")
    dialog.get_by_role("button", name="Delete 2 jobs").click()
    expect(dialog).to_contain_text("2 jobs were deleted.")
    found = [status and status.state for status in operated.site.queue.statuses(ids)]
    assert found.count(None) == 2
    assert found.count("queued") == 3


def test_dead_letters_are_replayed_by_their_error(operated: Operated, open_page: Callable[..., Page]) -> None:
    ids = failed(operated, 3, tag="dead")
    page = open_page("/dead")
    group = page.locator(".group").filter(has=page.locator("code", has_text="engine.failed"))
    group.get_by_role("button", name="engine.failed").click()
    expect(group.locator("tbody")).to_contain_text(ids[0])
    group.get_by_role("button", name=re.compile("^Retry all")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=re.compile(r"^Retry \d+ jobs")).click()
    expect(dialog).to_contain_text("jobs are queued again.")
    assert states(operated, ids) == {"queued"}
    dialog.get_by_role("button", name="Close").click()
    expect(group).to_have_count(0)
    operated.site.queue.cancel_many(tag="dead")


def test_a_queue_is_paused_and_goes_on(operated: Operated, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_role("button", name="Pause vision", exact=True).click()
    page.get_by_role("dialog").get_by_label("Why").fill("the quota is used up")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    banner = page.locator("#pauses li")
    expect(banner).to_contain_text("vision")
    expect(banner).to_contain_text("the quota is used up")
    assert [pause.name for pause in operated.site.queue.pauses()] == ["vision"]
    expect(page.get_by_role("button", name="Pause vision", exact=True)).to_have_count(0)
    banner.get_by_role("button", name="Resume vision").click()
    expect(banner).to_have_count(0)
    assert operated.site.queue.pauses() == []


def test_jobs_are_cancelled_by_keyboard_alone(operated: Operated, open_page: Callable[..., Page]) -> None:
    ids = submitted(operated, 4, tag="keys")
    page = open_page("/jobs?tag=keys")
    expect(page.locator("#row-3")).to_be_visible()
    tab_to(page, page.locator("#list"))
    for key in ("Space", "Shift+ArrowDown", "ArrowDown", "End", "Home"):
        page.keyboard.press(key)
    expect(page.locator("#about")).to_have_text("2 jobs selected")
    assert page.locator("#list").get_attribute("aria-activedescendant") == "row-0"
    cancel = page.get_by_role("button", name="Cancel")
    for _ in range(8):
        page.keyboard.press("Shift+Tab")
        if cancel.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel 2 jobs")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("2 jobs were cancelled.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert sorted(status.state if status else "" for status in operated.site.queue.statuses(ids)) == [
        *["cancelled"] * 2,
        *["queued"] * 2,
    ]
    # by a filter: the others of them
    page.goto(f"{operated.site.url}/operate/jobs")
    tab_to(page, page.get_by_label("Tag"))
    page.keyboard.type("keys")
    expect(page.locator("#about")).to_have_text("All that match:")
    expect(page.locator("#loaded")).to_have_text("4 jobs")
    tab_to(page, page.get_by_role("button", name="Cancel"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel 2 jobs")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("2 jobs were cancelled.")
    page.keyboard.press("Escape")
    assert states(operated, ids) == {"cancelled"}


def test_dead_letters_are_replayed_by_keyboard_alone(operated: Operated, open_page: Callable[..., Page]) -> None:
    dead = failed(operated, 2, tag="dead keys")
    page = open_page("/dead")
    code = page.locator(".group").filter(has=page.locator("code", has_text="engine.failed"))
    tab_to(page, code.get_by_role("button", name=re.compile("^Retry all")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile(r"^Retry \d+ jobs"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("jobs are queued again.")
    page.keyboard.press("Escape")
    assert states(operated, dead) == {"queued"}
    # one, by its id
    dead = failed(operated, 1, tag="dead keys")
    page.goto(f"{operated.site.url}/operate/jobs")
    page.locator("#row-0").wait_for()
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type(f"https://ocr.example.org/jobs/{dead[0]}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/operate/jobs/{dead[0]}")
    retry = page.get_by_role("button", name="Retry")
    retry.wait_for()
    tab_to(page, retry)
    page.keyboard.press("Enter")
    expect(page.locator(".job-head .state")).to_have_text("Queued")
    operated.site.queue.cancel_many(tag="dead keys")


def test_a_queue_is_paused_by_keyboard_alone(operated: Operated, open_page: Callable[..., Page]) -> None:
    page = open_page()
    pause = page.get_by_role("button", name="Pause keras", exact=True)
    pause.wait_for()
    tab_to(page, pause)
    page.keyboard.press("Enter")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    resume = page.get_by_role("button", name="Resume keras", exact=True).first
    resume.wait_for()
    tab_to(page, resume)
    page.keyboard.press("Enter")
    expect(page.locator("#pauses li")).to_have_count(0)
    # the bars come by an answer of their own, and without them there is none to go to
    expect(page.locator(".plot rect.well").first).to_be_visible()
    chart = page.get_by_role("slider", name="Jobs that ended")
    tab_to(page, chart)
    page.keyboard.press("Home")
    assert chart.get_attribute("aria-valuenow") == "0"
    assert "not failed" in (chart.get_attribute("aria-valuetext") or "")


def test_a_jobs_history(operated: Operated, open_page: Callable[..., Page]) -> None:
    page = open_page("/jobs/{routed}")
    expect(page.locator(".problem").first).to_contain_text("RapidOCR ran out of memory.")
    attempts = page.get_by_role("region", name="Attempts").locator("tbody tr")
    expect(attempts).to_have_count(2)
    expect(attempts.nth(0)).to_contain_text("sent on to the next engine")
    expect(attempts.nth(0)).to_contain_text("ocr1")
    expect(attempts.nth(1)).to_contain_text("engine.failed")
    expect(page.locator(".facts")).to_contain_text("tesseract → rapid")
    expect(page.get_by_role("region", name="Deliveries to webhooks")).to_contain_text("https://hooks.example.org/ocr")
    page.goto(f"{operated.site.url}/operate/jobs/{operated.ids['succeeded']}")
    expect(page.get_by_text("Reading 3.4 sec")).to_be_visible()
    # what has gone is told of, and deleting leads back to the list
    [gone] = submitted(operated, 1, tag="to be deleted")
    page.goto(f"{operated.site.url}/operate/jobs/{gone}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/operate/jobs")
    assert states(operated, [gone]) == {"gone"}


def test_what_was_asked_of_a_job_before_it_was_deleted_is_no_error(
    operated: Operated, open_page: Callable[..., Page]
) -> None:
    [gone] = submitted(operated, 1, engine="null", tag="to be deleted")
    page = open_page(f"/jobs/{gone}")
    expect(page.locator(".job-head .state")).to_have_text("Queued")
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    def delete(route: Route) -> None:
        answer = route.fetch()
        for each in asked:
            # dropped by the page meanwhile
            with suppress(Error):
                each.fulfill(status=410, json={"status": 410, "code": "job.ended"})
        route.fulfill(response=answer)

    page.route("**/history", hold)
    page.route("**?purge=true", delete)
    with page.expect_request("**/history"):
        operated.registry.cancel(gone)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/operate/jobs")


def test_a_running_job_is_followed_live(operated: Operated, open_page: Callable[..., Page]) -> None:
    [moving] = submitted(operated, 1, engine="null", tag="moving")
    page = open_page(f"/jobs/{moving}")
    expect(page.locator(".job-head .state")).to_have_text("Queued")
    operated.registry.cancel(moving)
    expect(page.locator(".job-head .state")).to_have_text("Cancelled")


def test_workers_and_what_they_read(operated: Operated, open_page: Callable[..., Page]) -> None:
    page = open_page("/workers")
    first = page.locator("tbody#workers > tr").nth(0)
    expect(first).to_contain_text("ocr1")
    expect(first).to_contain_text("3 of 4")
    expect(first).to_contain_text("612 MB")
    expect(first.get_by_role("link")).to_have_count(3)
    expect(page.locator(".troubles").nth(1)).to_contain_text("language.missing")
    first.get_by_role("link").first.click()
    expect(page.locator(".job-head .state")).to_have_text("Running")


def test_live_updates_move_nothing_and_can_be_stopped(operated: Operated, open_page: Callable[..., Page]) -> None:
    page = open_page("/jobs?tag=live")
    expect(page.locator("#none")).to_be_visible()
    submitted(operated, 3, engine="null", tag="live")
    expect(page.locator("#row-2")).to_be_visible()
    before = page.locator("#row-0").bounding_box()
    submitted(operated, 2, engine="null", tag="live")
    newer = page.locator("#newer")
    expect(newer).to_have_text("2 new jobs")
    assert page.locator("#row-0").bounding_box() == before
    newer.click()
    expect(page.locator("#loaded")).to_have_text("5 jobs")
    page.get_by_role("button", name="Live").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    submitted(operated, 1, engine="null", tag="live")
    page.goto(f"{operated.site.url}/operate")
    shift = "new PerformanceObserver(list => { window.moved = (window.moved ?? 0) + list.getEntries().length })"
    expect(page.locator("#queues tr").first).to_be_visible()
    expect(page.locator(".plot rect.well").first).to_be_visible()
    page.evaluate(f"{shift}.observe({{type: 'layout-shift'}})")
    waiting = page.locator(".tile dd").first
    now = waiting.inner_text()
    submitted(operated, 2, engine="null", tag="live")
    expect(waiting).not_to_have_text(now)
    assert page.evaluate("window.moved") is None
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Paused")).to_be_visible()
    asked.clear()
    page.wait_for_timeout(2500)
    assert asked == []
    operated.site.queue.cancel_many(tag="live")


def test_an_empty_installation_says_what_to_do_first(
    redis: RedisServer, tmp_path: Path, open_context: Callable[..., BrowserContext]
) -> None:
    settings = load_worker_settings(redis_url=redis.url, key_prefix="nothing:", storage=f"file://{tmp_path}")
    complaints: list[str] = []
    with OcrQueue(settings) as queue, site_of(settings, queue, host="0.0.0.0") as site:
        page = open_context().new_page()
        listen(page, complaints)
        sign_in(page, site, site.key(scopes=("read", "admin")))
        page.goto(f"{site.url}/operate")
        first = page.locator("#first")
        expect(first).to_contain_text("Start a worker.")
        expect(first.get_by_role("link", name="open the reader")).to_have_attribute("href", "/")
        assert violations(page) == []
        page.goto(f"{site.url}/operate/jobs")
        expect(page.locator("#none")).to_contain_text("There are no jobs yet.")
        # whose key may not cancel is not shown that it could
        expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
        assert violations(page) == []
        page.goto(f"{site.url}/operate/dead")
        expect(page.locator("#no-dead")).to_be_visible()
        page.goto(f"{site.url}/operate/workers")
        expect(page.locator("#no-workers")).to_contain_text("ocrqueue-worker --engine tesseract")
        page.close()
    assert complaints == []


def test_the_pages_are_for_operators(operated: Operated, open_context: Callable[..., BrowserContext]) -> None:
    page = open_context().new_page()
    sign_in(page, operated.site, operated.site.key(tenant="acme"))
    for path in ("", "/jobs", "/dead", "/workers", f"/jobs/{operated.ids['failed']}"):
        answer = page.goto(f"{operated.site.url}/operate{path}")
        assert answer is not None
        assert answer.status == 403
        expect(page.locator(".problem")).to_contain_text("This page is for operators.")
    expect(page.get_by_role("link", name="Overview")).to_have_count(0)
    page.context.clear_cookies()
    page.goto(f"{operated.site.url}/operate/jobs?tag=a")
    assert page.url == f"{operated.site.url}/sign-in?next=%2Foperate%2Fjobs%3Ftag%3Da"


def test_what_comes_from_outside_is_text(operated: Operated, open_page: Callable[..., Page]) -> None:
    fields = {"tag": HOSTILE, "name": f"{HOSTILE}.pdf", "image": "https://images.invalid/<script>.png"}
    [hostile] = failed(operated, 1, **fields)
    page = open_page("/jobs?state=failed")
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    row = page.locator(".job-row").filter(has_text="gpj.exe").first
    expect(row).to_contain_text("<img src=x onerror=alert(1)>")
    assert "\u202e" not in row.inner_text()
    page.goto(f"{operated.site.url}/operate/jobs/{hostile}")
    expect(page.locator("h1")).to_contain_text("<img src=x onerror=alert(1)>")
    page.goto(f"{operated.site.url}/operate/dead")
    page.get_by_role("button", name="engine.failed").click()
    expect(page.locator(".group tbody").first).to_contain_text("<img src=x")
    assert page.locator("main img").count() == 0
    operated.site.queue.delete(hostile)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(
    operated: Operated, open_page: Callable[..., Page], theme: str
) -> None:
    page = open_page(theme=theme, language="en-GB" if theme == "light" else "ko-KR")
    found: list[str] = []
    for path in PAGES:
        page.goto(f"{operated.site.url}/operate{path.format(**operated.ids)}")
        page.locator("tbody tr, .job-row[id], .facts, .group").first.wait_for()
        found += [f"{path}: {each}" for each in violations(page)]
        for name, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for scale in (100, 200):
                enlarge(page, scale)
                found += [f"{path}, {name} at {scale} %: {each}" for each in cut_or_overlapping(page)]
        enlarge(page, 100)
        page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{operated.site.url}/operate/jobs")
    page.locator("#row-0 .tick").click()
    page.locator("[data-action=delete]").click()
    expect(page.get_by_role("dialog").locator("button.main")).to_be_enabled()
    found += violations(page)
    assert found == [], "\n".join(found)


@pytest.mark.all
def test_ten_thousand_jobs_in_the_list(operated: Operated, open_page: Callable[..., Page]) -> None:
    count = 10_000
    submitted(operated, count, engine="null", tag="ten thousand")
    page = open_page("/jobs?tag=ten+thousand")
    page.locator("#row-0").wait_for()
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.locator("#list").focus()
    wait_until(lambda: _at_end(page, count), 300, "all of them are in the list")
    took = page.evaluate(
        """async () => {
            const times = [];
            for (const key of ["Home", "End", "PageUp", "ArrowUp", " ", "Home", "PageDown"]) {
                const began = performance.now();
                document.getElementById("list").dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
                document.body.getBoundingClientRect();
                times.push(performance.now() - began);
            }
            return Math.max(...times);
        }"""
    )
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    print(f"first paint {painted:.0f} ms, slowest key {took:.1f} ms, heap {heap:.0f} MB")
    assert page.locator(".virtual-sheet .job-row").count() < 60
    assert heap < 400
    operated.site.queue.cancel_many(tag="ten thousand")


def _at_end(page: Page, count: int) -> bool:
    page.keyboard.press("End")
    time.sleep(0.1)
    return page.locator("#loaded").inner_text() == f"{count:,} jobs"


@pytest.mark.all
def test_pictures_for_the_documentation(
    operated: Operated, open_page: Callable[..., Page], shoot: Callable[[Page, str], None]
) -> None:
    for name, path, how in (
        ("operate-overview", "", {}),
        ("operate-jobs", "/jobs?state=failed", {"theme": "dark"}),
        ("operate-job", "/jobs/{succeeded}", {}),
        ("operate-phone", "", {"size": "phone"}),
    ):
        page = open_page(path, **how)
        page.locator("tbody tr, .job-row[id], .facts, .group").first.wait_for()
        shoot(page, name)
