"""The reader by the keyboard alone, from the sign-in to the searchable PDF. The operator's pages: test_operator.py."""

from __future__ import annotations

from pathlib import Path

import pikepdf
from playwright.sync_api import Page, expect

from tests.integration.gateway.pages.conftest import OpenPage, Site, choose_files, reader_ready, tab_to
from tests.support.documentation import ROOT
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]
LETTER = ROOT / "samples/letter.pdf"


def choose(page: Page, selector: str, value: str) -> None:
    """Of a list of choices, by typing its name."""
    tab_to(page, page.locator(selector))

    def is_chosen() -> bool:
        page.keyboard.type(value)
        if page.locator(selector).input_value() == value:
            return True
        # a browser takes a letter that comes a second after the one before for the beginning of another name
        page.wait_for_timeout(1500)
        return False

    wait_until(is_chosen, 60, f"{value} is chosen")


def test_a_pdf_is_read_by_the_keyboard_alone(open_page: OpenPage, site: Site, tmp_path: Path) -> None:
    page = open_page("/sign-in", key=None)
    sign_in_and_send(page, site)
    look_through(page)
    take_along(page, tmp_path / "letter.pdf")
    tab_to(page, page.locator("#settings summary"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in**")


def sign_in_and_send(page: Page, site: Site) -> None:
    choose_files(page, LETTER)
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(site.key(tenant="hands"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    reader_ready(page)
    choose(page, "#engine", "tesseract")
    choose(page, "#compare", "null")
    # back to the place for files
    for _ in range(2):
        page.keyboard.press("Shift+Tab")
    expect(page.locator("#files")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#state")).to_have_text("Succeeded")
    reader_ready(page)


def look_through(page: Page) -> None:
    # doubtful words: the threshold by its slider, then from one to the next
    page.keyboard.press("2")
    tab_to(page, page.locator("#threshold"))
    page.keyboard.press("End")
    expect(page.locator("#threshold-value")).to_have_text("100%")
    page.keyboard.press("n")
    expect(page.locator("#word-text")).not_to_be_empty()
    first = page.locator("#word-text").inner_text()
    page.keyboard.press("n")
    expect(page.locator("#word-text")).not_to_have_text(first)
    # find
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("lighthouse trust")
    page.keyboard.press("Enter")
    expect(page.locator("#word-text")).to_have_text("Lighthouse")
    tab_to(page, page.locator("#find-list"))
    page.keyboard.press("End")
    page.keyboard.press("Home")
    expect(page.locator("#word-text")).to_have_text("Lighthouse")
    # compare
    page.keyboard.press("4")
    expect(page.locator("#tab-compare")).to_be_focused()
    expect(page.locator("#compare-second")).to_have_text("null")
    page.keyboard.press("d")
    expect(page.locator("#compare-lines .current").first).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#panel-find")).to_be_visible()
    # the list of keys
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    # the other page
    page.keyboard.press("]")
    expect(page.locator("#page-number")).to_have_value("2")


def take_along(page: Page, path: Path) -> None:
    tab_to(page, page.locator("#downloads summary"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Searchable PDF"))
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    download.value.save_as(path)
    with pikepdf.open(path) as pdf:
        assert len(pdf.pages) == 2
    page.keyboard.press("Escape")
    expect(page.locator("#formats")).to_be_hidden()
    expect(page.locator("#downloads summary")).to_be_focused()
