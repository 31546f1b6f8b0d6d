"""One browser a module, Debian's Chromium, and a gateway that asks for keys, over the installation of the other tests.

A page of these tests fails its test if the browser's console has an error, or if the page tried what its policy does
not allow.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.settings import GatewaySettings
from tests.integration.conftest import Installation
from tests.integration.gateway.conftest import patient
from tests.support.gateways import served
from tests.support.processes import wait_until

WITHIN_MS = 180_000
"""A busy machine answers late, and reads a page of Tesseract's later still."""
MOST_PICTURE_BYTES = 200_000
SIZES = {"phone": (360, 740), "desktop": (1280, 800), "4k": (3840, 2160)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the session: while it is there, Playwright has the thread's event loop, and no asynchronous test runs."""
    program = shutil.which("chromium")
    assert program, "Debian's package chromium is missing: ./run setup"
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@dataclass(frozen=True)
class Site:
    """A gateway, as a browser meets it."""

    url: str
    app: FastAPI
    queue: OcrQueue

    def key(self, **asked: Any) -> str:
        """A new key."""
        return self.queue.api_keys.create(**asked).text


@contextmanager
def site_of(settings: WorkerSettings, queue: OcrQueue, **given: object) -> Iterator[Site]:
    """A gateway of its own; `given`: of GatewaySettings."""
    app = create_app(GatewaySettings.model_validate(given), patient(settings))
    with served(app) as url:
        yield Site(url, app, queue)


@pytest.fixture(scope="session")
def site(installation: Installation) -> Iterator[Site]:
    """Over the installation with its worker. It asks for keys: a browser reaches it by a name that is not this
    machine's own."""
    with site_of(installation.settings, installation.queue, allowed_hosts="127.0.0.1", host="0.0.0.0") as made:
        yield made


OpenPage = Callable[..., Page]


@pytest.fixture
def open_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes contexts, which are closed at the end: `theme`, `size`, `language`, and options of Playwright's."""
    opened: list[BrowserContext] = []

    def make(theme: str = "light", size: str = "desktop", language: str = "en-GB", **more: Any) -> BrowserContext:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            locale=language,
            accept_downloads=True,
            **more,
        )
        context.set_default_timeout(WITHIN_MS)
        opened.append(context)
        return context

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def open_page(site: Site, open_context: Callable[..., BrowserContext]) -> Iterator[OpenPage]:
    """Opens a page of the site, signed in with a new key of the tenant `readers` if nothing else is said: `key` (None:
    not signed in), and what open_context() takes. At the end no page has an error in its console."""
    complaints: list[str] = []
    before = len(site.app.state.csp_reports.latest)

    def make(path: str = "/", *, key: str | None = "", at: Site = site, **how: Any) -> Page:
        made = open_context(**how).new_page()
        listen(made, complaints)
        if key is not None:
            sign_in(made, at, key or at.key(tenant="readers"))
        made.goto(f"{at.url}{path}")
        return made

    yield make
    assert complaints == []
    assert list(site.app.state.csp_reports.latest)[before:] == []


def listen(page: Page, complaints: list[str]) -> None:
    """Take down what the browser complains of, except that a page itself says that something is wrong or missing."""

    def of_console(message: ConsoleMessage) -> None:
        is_of_page = message.location["url"] == page.url and "status of 4" in message.text
        # containers that come and go on this machine: the browser then drops what is on its way
        is_of_machine = "net::ERR_NETWORK_CHANGED" in message.text
        if message.type == "error" and not is_of_page and not is_of_machine:
            complaints.append(f"{page.url}: {message.text}")

    page.on("console", of_console)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))


def sign_in(page: Page, site: Site, key: str) -> None:
    """As a person does it."""
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("API key").or_(page.get_by_label("API 키")).fill(key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page as it is now."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for each in found
        for node in each["nodes"]
    ]


def reader_ready(page: Page) -> None:
    """Its modules have run, and the page that is looked at is there."""
    page.wait_for_selector("html[data-ready]", state="attached")
    expect(page.locator("#picture-waits:not([hidden])")).to_have_count(0)


def choose_files(page: Page, *paths: Path) -> None:
    """Whenever the page asks for files. To be called well before: the browser is told of it in its own time."""
    page.on("filechooser", lambda chooser: chooser.set_files(paths))


def keep_notices(page: Page) -> None:
    """They stay, in place of some seconds: a busy machine may look when those are over."""
    page.evaluate(
        """() => {
            const begin = window.setTimeout;
            window.setTimeout = (action, ms, ...more) => (ms === 6000 ? 0 : begin(action, ms, ...more));
        }"""
    )


def tab_to(page: Page, target: Locator) -> None:
    """Go on by the tabulator until the focus is there, which is seen."""
    target.first.wait_for(state="attached")
    for _ in range(150):
        page.keyboard.press("Tab")
        if target.first.evaluate("each => each === document.activeElement"):
            assert target.first.evaluate("each => each.matches(':focus-visible')")
            return
    raise AssertionError(f"the tabulator does not come to {target}")


def seen_in(page: Page, expression: str) -> None:
    """Wait until it is true. Playwright's own wait has the page evaluate a text, which its policy forbids."""
    wait_until(lambda: page.evaluate(expression), WITHIN_MS / 1000, expression)


def within_its_window(page: Page) -> None:
    """It is no wider; what is drawn anew when the window or the letters change has time for that."""
    seen_in(page, "document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.fixture
def shoot(tmp_path: Path) -> Callable[[Page, str], None]:
    """Takes a picture of a page for the documentation, under a name; OCRQUEUE_TEST_SCREENSHOTS says where to."""
    folder = Path(os.environ.get("OCRQUEUE_TEST_SCREENSHOTS", tmp_path))

    def take(page: Page, name: str) -> None:
        page.wait_for_load_state("load")
        page.wait_for_timeout(2500)
        picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
        assert len(picture.getcolors(1_000_000) or ()) > 20, "there is nothing on it"
        # few colours make a small file; those that are rare are kept
        path = folder / f"{name}.png"
        picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
        assert path.stat().st_size < MOST_PICTURE_BYTES

    return take
