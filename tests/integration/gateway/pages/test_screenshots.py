"""The pictures of docs/pages.md. To make them anew, set OCRQUEUE_TEST_SCREENSHOTS=docs/images, and run this file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.pages.conftest import OpenPage, Site, reader_ready
from tests.support.documentation import ROOT

pytest_plugins = ["tests.support.server_fixtures"]
pytestmark = pytest.mark.all
SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def jobs(site: Site) -> dict[str, str]:
    """By the sample's name."""
    made = {
        name: site.queue.submit(
            SAMPLES / name, engine="tesseract", languages=["eng", "kor"], tenant="readers", crops="none"
        )
        for name in ("street-sign.jpg", "korean-page.png", "receipt.jpg", "letter.pdf")
    }
    for job in made.values():
        job.wait(240)
    return {name: job.id for name, job in made.items()}


def test_the_start_page(open_page: OpenPage, jobs: dict[str, str], shoot: Callable[[Page, str], None]) -> None:
    page = open_page("/")
    reader_ready(page)
    expect(page.locator(f"#jobs tr[data-id='{jobs['letter.pdf']}']")).to_be_visible()
    shoot(page, "reader-start")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_reader(open_page: OpenPage, jobs: dict[str, str], shoot: Callable[[Page, str], None], theme: str) -> None:
    page = open_page(f"/jobs/{jobs['receipt.jpg']}", theme=theme)
    reader_ready(page)
    page.locator("#tab-doubtful").click()
    page.keyboard.press("n")
    shoot(page, f"reader-doubtful-{theme}")


def test_finding(open_page: OpenPage, jobs: dict[str, str], shoot: Callable[[Page, str], None]) -> None:
    page = open_page(f"/jobs/{jobs['letter.pdf']}")
    reader_ready(page)
    page.keyboard.press("/")
    page.keyboard.type("lighthouse")
    page.keyboard.press("Enter")
    expect(page.locator("#word-text")).to_have_text("Lighthouse")
    shoot(page, "reader-find")


def test_on_a_phone(open_page: OpenPage, jobs: dict[str, str], shoot: Callable[[Page, str], None]) -> None:
    page = open_page(f"/jobs/{jobs['korean-page.png']}", size="phone", language="ko-KR")
    reader_ready(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    shoot(page, "reader-phone")
