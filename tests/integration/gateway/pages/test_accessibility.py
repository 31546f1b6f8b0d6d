"""Every page by axe-core, light and dark, on a desktop and a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.pages.conftest import OpenPage, Site, reader_ready, violations
from tests.integration.gateway.pages.test_reader import LINES
from tests.support.told_documents import Told, told_document

pytest_plugins = ["tests.support.server_fixtures"]
LOOKS = [("light", "desktop"), ("dark", "desktop"), ("light", "phone"), ("dark", "phone")]


@pytest.fixture(scope="module")
def document(site: Site) -> str:
    lines = [[Told(word.text, word.confidence, {"rapid": word.text.upper()}) for word in line] for line in LINES]
    return told_document(site.queue, lines, name="seen.png")


def check(page: Page) -> None:
    assert violations(page) == []


@pytest.mark.parametrize(("theme", "size"), LOOKS)
def test_axe_finds_nothing_in_the_reader(open_page: OpenPage, document: str, theme: str, size: str) -> None:
    page = open_page(f"/jobs/{document}", theme=theme, size=size)
    reader_ready(page)
    page.keyboard.press("n")
    check(page)
    for tab in ("doubtful", "find", "compare"):
        page.locator(f"#tab-{tab}").click()
        if tab == "find":
            page.locator("#find").fill("the")
            expect(page.locator("#find-list [role=option]").first).to_be_visible()
        check(page)
    page.get_by_text("Download", exact=True).click()
    check(page)
    page.keyboard.press("Escape")
    page.locator("#help-open").click()
    check(page)


@pytest.mark.parametrize(("theme", "size"), LOOKS)
def test_axe_finds_nothing_elsewhere(open_page: OpenPage, document: str, theme: str, size: str) -> None:
    page = open_page("/", theme=theme, size=size)
    reader_ready(page)
    expect(page.locator(f"#jobs tr[data-id='{document}']")).to_be_visible()
    check(page)
    page.locator("#languages summary").click()
    check(page)
    page.locator("#settings summary").click()
    check(page)
    page.goto(page.url + "jobs/01a229c6-0000-7000-8000-000000000000")
    check(page)
    page.goto(page.url.partition("/jobs")[0] + "/sign-in?next=/")
    check(open_page("/sign-in", key=None, theme=theme, size=size))


def test_single_keys_can_be_switched_off(open_page: OpenPage, document: str) -> None:
    page = open_page(f"/jobs/{document}")
    reader_ready(page)
    page.keyboard.press("?")
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("n")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#word-text")).to_have_text("The")
