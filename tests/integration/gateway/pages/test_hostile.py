"""Texts and names that want to be more than text: they are shown, and do nothing."""

from __future__ import annotations

from json import dumps
from random import Random

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.pages.conftest import OpenPage, Site, reader_ready, within_its_window
from tests.support.odd_texts import CONTROL, DIRECTION, odd_text
from tests.support.told_documents import Told, told_document

pytest_plugins = ["tests.support.server_fixtures"]
HOSTILE = (
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "</p></div></body><svg/onload=window.hit=1>",
    "javascript:window.hit=1",
    "{{7*7}}{% raw %}${7*7}",
    "\u202egnp.exe\u202c",
    "\u2066\u2067\u2068 isolated",
    "\u0007\u001b[31mred\u0000\u0085",
    "W" * 10_000,
    "e" + "\u0301" * 2000,
    "ﷺ" * 500,
    "line\nbreak\u2028and\u2029more\t",
    "עברית العربية",
    "&lt;b&gt;&#x3c;",
    "'\"`; DROP TABLE words; --",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
)


def harmless(page: Page) -> None:
    """Nothing of it has become markup, has run, or has pushed the page out of its width."""
    page.wait_for_timeout(200)
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.querySelectorAll('main script, main img[src=x], main svg[onload]').length") == 0
    within_its_window(page)


@pytest.fixture(scope="module")
def hostile(site: Site) -> str:
    words = [Told(text, 0.5, {"rapid": text[::-1][:500], "vision": None}) for text in HOSTILE]
    name = "<script>window.hit=1</script>\u202egnp.exe"[:200]
    return told_document(site.queue, [words[at : at + 4] for at in range(0, len(words), 4)], name=name)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_what_was_read_stays_text(open_page: OpenPage, hostile: str, size: str) -> None:
    page = open_page(f"/jobs/{hostile}", size=size)
    reader_ready(page)
    expect(page.locator("#text")).to_contain_text("<script>window.hit=1</script>")
    text = page.locator("#text").inner_text()
    assert not set(text) & set("\u202e\u2066\u2067\u0000\u001b\u0007")
    for _ in HOSTILE:
        page.keyboard.press("n")
    for tab in ("doubtful", "find", "compare"):
        page.locator(f"#tab-{tab}").click()
        harmless(page)
    page.locator("#tab-find").click()
    page.locator("#find").fill("<script>")
    expect(page.locator("#find-count")).to_have_text("One place")
    page.keyboard.press("Enter")
    harmless(page)


def test_names_stay_text(open_page: OpenPage, hostile: str) -> None:
    page = open_page("/")
    reader_ready(page)
    expect(page.locator(f"#jobs tr[data-id='{hostile}']")).to_contain_text("<script>window.hit=1</script>")
    harmless(page)


@pytest.mark.parametrize("seed", range(3))
def test_random_texts_stay_text(open_page: OpenPage, site: Site, seed: int) -> None:
    random = Random(seed)

    def text() -> str:
        return odd_text(random, 10_000)

    lines = [[Told(text(), random.random(), {"rapid": text()}) for _ in range(6)] for _ in range(25)]
    job = told_document(site.queue, lines, name="at random.png")
    page = open_page(f"/jobs/{job}")
    reader_ready(page)
    expect(page.locator("#doubtful-count")).not_to_be_empty()
    page.locator("#tab-compare").click()
    for key in ("d", "n", "ArrowDown", "n", "p"):
        page.keyboard.press(key)
    harmless(page)
    for tab in ("doubtful", "text"):
        page.locator(f"#tab-{tab}").click()
        harmless(page)


def test_random_names_of_dropped_files_stay_text(open_page: OpenPage, site: Site) -> None:
    random = Random(4)
    names = [odd_text(random, 250).replace("\0", "") + ".png" for _ in range(40)] + ["\ud800 half a pair\udc00.png"]
    page = open_page("/", key=site.key(tenant="odd-names"))
    reader_ready(page)
    page.locator("#engine").select_option("null")
    page.evaluate(
        """(names) => {
            const data = new DataTransfer();
            for (const name of names) data.items.add(new File(['no picture'], JSON.parse(name)));
            document.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        [dumps(name) for name in names],
    )
    # each is a job with a name, or it is said why it is none
    expect(page.locator("#jobs tr[data-id]")).to_have_count(len(names))
    assert not set(page.locator("#jobs").inner_text()) & set(DIRECTION + CONTROL)
    assert not set("".join(page.locator("#jobs a").evaluate_all("all => all.map(each => each.title)"))) & set(DIRECTION)
    harmless(page)


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=window.hit=1>.png", "\u202egnp.js", "a" * 300 + ".png", "';--\".png", "..\\..\\x.png"]
)
def test_names_of_files_that_are_sent_stay_text(open_page: OpenPage, site: Site, name: str) -> None:
    page = open_page("/")
    reader_ready(page)
    page.locator("#engine").select_option("null")
    page.locator("#files").set_input_files({"name": name, "mimeType": "image/png", "buffer": b"\x89PNG no picture"})
    page.wait_for_url("**/jobs/*")
    reader_ready(page)
    expect(page.locator("#state")).to_have_text("Failed")
    harmless(page)


@pytest.mark.parametrize(
    "query", ["page=<script>", "page=-1&word=%00", "page=999999&word=" + "x" * 1000, "word=p001-w9999"]
)
def test_addresses_that_lead_nowhere_show_the_first_page(open_page: OpenPage, hostile: str, query: str) -> None:
    page = open_page(f"/jobs/{hostile}?{query}")
    reader_ready(page)
    expect(page.locator("#text")).to_contain_text("DROP TABLE")
    harmless(page)
