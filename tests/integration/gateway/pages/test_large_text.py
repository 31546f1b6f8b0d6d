"""Pages with letters twice as large, on small and large screens: nothing is wider than the window, cut off, or on other
text."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.pages.conftest import OpenPage, Site, reader_ready, within_its_window
from tests.integration.gateway.pages.layout import cut_or_overlapping, enlarge
from tests.integration.gateway.pages.test_reader import LINES
from tests.support.told_documents import Told, told_document

pytest_plugins = ["tests.support.server_fixtures"]


@pytest.fixture(scope="module")
def document(site: Site) -> str:
    lines = [[Told(word.text, word.confidence, {"rapid": word.text.upper()}) for word in line] for line in LINES]
    return told_document(site.queue, lines, name="A letter of the Lighthouse Trust, of two pages, scanned in May.png")


def check(page: Page, where: str) -> list[str]:
    found = []
    for scale in (100, 200):
        enlarge(page, scale)
        within_its_window(page)
        found += [f"{where} at {scale} %: {each}" for each in cut_or_overlapping(page)]
    return found


@pytest.mark.parametrize("language", ["en-GB", "ko-KR"])
@pytest.mark.parametrize("size", ["phone", "desktop", "4k"])
def test_the_reader(open_page: OpenPage, document: str, size: str, language: str) -> None:
    page = open_page("/", size=size, language=language)
    reader_ready(page)
    expect(page.locator(f"#jobs tr[data-id='{document}']")).to_be_visible()
    found = check(page, "the start page")
    page.goto(f"{page.url}jobs/{document}")
    reader_ready(page)
    page.keyboard.press("n")
    expect(page.locator("#word-text")).to_have_text("was")
    for tab in ("text", "doubtful", "find", "compare"):
        page.locator(f"#tab-{tab}").click()
        if tab == "find":
            page.locator("#find").fill("the")
            expect(page.locator("#find-list [role=option]").first).to_be_visible()
        found += check(page, tab)
    enlarge(page, 200)
    page.locator("#downloads summary").click()
    found += check(page, "formats")
    page.keyboard.press("Escape")
    page.locator("#help-open").click()
    found += check(page, "keys")
    page.keyboard.press("Escape")
    assert found == [], "\n".join(found)
