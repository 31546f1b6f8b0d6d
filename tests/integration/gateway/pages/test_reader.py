"""The reader as a person uses it: what is dropped is read, looked at, searched, compared, taken along."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path

import pikepdf
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.integration.gateway.pages.conftest import (
    OpenPage,
    Site,
    choose_files,
    keep_notices,
    reader_ready,
    seen_in,
)
from tests.support.documentation import ROOT
from tests.support.processes import wait_until
from tests.support.servers import answer, http_server
from tests.support.told_documents import Told, told_document

pytest_plugins = ["tests.support.server_fixtures"]
LETTER = ROOT / "samples/letter.pdf"
LINES = [
    [Told("The"), Told("old"), Told("lighthouse"), Told("was", 0.41), Told("lit")],
    [Told("again"), Told("on", 0.75), Told("14"), Told("September"), Told("for")],
    [Told("the"), Told("first"), Told("time", 0.62), Told("since"), Told("1968")],
]


@pytest.fixture(scope="module")
def lit(site: Site) -> str:
    """A job with these lines."""
    return told_document(site.queue, LINES, name="lit.png")


@pytest.fixture(scope="module")
def several(site: Site) -> str:
    """A job of three pages with two doubtful words each."""
    pages = [Image.new("1", (300, 200), 1) for _ in range(3)]
    written = BytesIO()
    pages[0].save(written, "TIFF", save_all=True, append_images=pages[1:])
    options = {"words": 2, "confidence": 0.5}
    job = site.queue.submit(written.getvalue(), engine="null", options=options, tenant="readers", crops="none")
    job.wait(120)
    return job.id


@pytest.fixture(scope="module")
def compared(site: Site) -> str:
    lines = [
        [Told("Total", others={"rapid": "Total"}), Told("17.50", others={"rapid": "17.60"})],
        [Told("Thank", others={"rapid": "Thank"}), Told("you", others={"rapid": None})],
    ]
    return told_document(site.queue, lines, name="compared.png")


def press_at_once(page: Page, keys: Sequence[str]) -> None:
    """Faster than the page can follow."""
    page.evaluate(
        """(keys) => {
            for (const key of keys) document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
        }""",
        list(keys),
    )


def word(page: Page) -> str:
    """The one that is looked at."""
    return page.locator("#word-text").inner_text()


def test_a_pdf_is_dropped_read_searched_and_taken_along(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("/")
    choose_files(page, LETTER)
    reader_ready(page)
    page.locator("#engine").select_option("tesseract")
    page.locator("#drop-zone").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#state")).to_have_text("Succeeded")
    expect(page.locator("#text")).to_contain_text("The Lighthouse Trust of Eastwater")
    expect(page.locator("#strip [role=option]")).to_have_count(2)
    page.keyboard.press("]")
    expect(page.locator("#page-number")).to_have_value("2")
    expect(page).to_have_url(re.compile(r"page=2"))
    # in the whole document, from any page
    page.keyboard.press("/")
    page.keyboard.type("LIGHTHOUSE trust")
    page.keyboard.press("Enter")
    expect(page.locator("#find-count")).to_have_text(re.compile(r"1 / \d"))
    expect(page.locator("#page-number")).to_have_value("1")
    expect(page.locator("#word-text")).to_have_text("Lighthouse")
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Searchable PDF").click()
    path = tmp_path / "letter.pdf"
    download.value.save_as(path)
    assert download.value.suggested_filename.endswith(".pdf")
    with pikepdf.open(path) as pdf:
        assert len(pdf.pages) == 2
    # the page's picture is there, and its tiles are drawn
    expect(page.locator("#picture-problem")).to_be_hidden()
    seen_in(page, "[...document.querySelectorAll('#picture canvas')].some(each => each.width * each.height > 10_000)")


def test_doubtful_words_are_stepped_through_by_keys(open_page: OpenPage, lit: str) -> None:
    page = open_page(f"/jobs/{lit}")
    reader_ready(page)
    keep_notices(page)
    expect(page.locator("#doubtful-count")).to_have_text("3")
    for key, now in (("n", "was"), ("n", "on"), ("n", "time"), ("p", "on")):
        page.keyboard.press(key)
        expect(page.locator("#word-text")).to_have_text(now)
    expect(page.locator("#word-facts")).to_contain_text("75%")
    expect(page.locator("#word-facts")).to_contain_text("null")
    expect(page.locator("#said")).to_contain_text("on, 75%")
    page.keyboard.press("2")
    page.locator("#threshold").fill("50")
    expect(page.locator("#doubtful-list [role=option]")).to_have_count(1)
    # the slider has the focus, and letters do there what they do elsewhere; there is no further one, and nothing moves
    expect(page.locator("#threshold")).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#notices")).to_contain_text("no doubtful word after")
    assert word(page) == "on"
    page.keyboard.press("p")
    expect(page.locator("#word-text")).to_have_text("was")
    # its own keys are the slider's
    page.keyboard.press("ArrowRight")
    expect(page.locator("#threshold-value")).to_have_text("51%")
    assert word(page) == "was"


def test_keys_that_come_faster_than_pages_are_followed_in_turn(open_page: OpenPage, several: str) -> None:
    page = open_page(f"/jobs/{several}")
    reader_ready(page)
    expect(page.locator("#doubtful-count")).to_have_text("2")
    # two words a page: the second of the third page, then back to the first of it
    press_at_once(page, "nnnnnnp")
    expect(page.locator("#page-number")).to_have_value("3")
    expect(page.locator("#word-facts")).to_contain_text("word 1 of 2")
    expect(page).to_have_url(re.compile("page=3&word=p003-w0001"))
    press_at_once(page, ["[", "ArrowRight", "ArrowRight"])
    expect(page.locator("#page-number")).to_have_value("2")
    expect(page.locator("#word-facts")).to_contain_text("word 2 of 2")


def test_what_is_said_last_is_heard(open_page: OpenPage, lit: str) -> None:
    page = open_page(f"/jobs/{lit}")
    reader_ready(page)
    page.evaluate(
        """() => {
            window.heard = [];
            const said = document.getElementById("said");
            new MutationObserver(() => window.heard.push(said.textContent)).observe(said, {childList: true});
        }"""
    )
    press_at_once(page, "nnn")
    expect(page.locator("#said")).to_have_text("time, 62%")
    assert page.evaluate("window.heard.filter(text => text)") == ["time, 62%"]


def test_arrow_keys_go_from_word_to_word_and_line_to_line(open_page: OpenPage, lit: str) -> None:
    page = open_page(f"/jobs/{lit}?word=p001-w0002")
    reader_ready(page)
    expect(page.locator("#word-text")).to_have_text("old")
    for key, now in (("ArrowRight", "lighthouse"), ("ArrowDown", "14"), ("ArrowLeft", "on"), ("ArrowUp", "old")):
        page.keyboard.press(key)
        expect(page.locator("#word-text")).to_have_text(now)
    expect(page).to_have_url(re.compile("word=p001-w0002"))


def test_what_is_selected_in_one_is_marked_in_the_other(open_page: OpenPage, lit: str) -> None:
    page = open_page(f"/jobs/{lit}?word=p001-w0003")
    reader_ready(page)
    keep_notices(page)
    expect(page.locator("#word-text")).to_have_text("lighthouse")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    seen_in(page, "getSelection().toString() === 'lighthouse was lit'")
    # in the text, by the mouse: what is copied is that
    page.evaluate(
        """() => new Promise((told) => {
            const [first] = document.querySelectorAll('#text p');
            document.addEventListener('selectionchange', () => setTimeout(told), {once: true});
            getSelection().setBaseAndExtent(first.firstChild, 0, first.firstChild, 7);
        })"""
    )
    page.locator("#copy").click()
    expect(page.locator("#notices")).to_contain_text("2 words are in the clipboard")


def test_a_word_is_found_in_the_picture_by_pointing_at_it(open_page: OpenPage, lit: str) -> None:
    page = open_page(f"/jobs/{lit}")
    reader_ready(page)
    area, card = page.locator("#picture").bounding_box(), page.locator(".word-card").bounding_box()
    assert area is not None
    # from top to bottom, again and again: the picture may not be there yet
    heights = cycle(range(20, int(area["height"]) - 20, 12))

    def point() -> str:
        page.mouse.move(area["x"] + area["width"] / 2, area["y"] + next(heights))
        page.wait_for_timeout(50)
        return word(page)

    wait_until(point, 120, "a word is pointed at")
    assert word(page) in {"lighthouse", "14", "time"}
    expect(page.locator("#word-crop")).to_be_visible()
    # what is told of a word moves nothing
    assert page.locator(".word-card").bounding_box() == card


def test_two_engines_side_by_side(open_page: OpenPage, compared: str) -> None:
    page = open_page(f"/jobs/{compared}")
    reader_ready(page)
    page.keyboard.press("d")
    expect(page.locator("#compare-first")).to_have_text("null")
    expect(page.locator("#compare-second")).to_have_text("rapid")
    expect(page.locator("#compare-summary")).to_have_text("2 of 4 words read otherwise; 50% alike.")
    expect(page.locator("#compare-lines del")).to_have_text(["17.50", "you"])
    expect(page.locator("#compare-lines ins")).to_have_text(["17.60", "∅"])
    expect(page.locator("#word-text")).to_have_text("17.50")
    expect(page.locator("#word-facts")).to_contain_text("rapid: 17.60")
    page.keyboard.press("d")
    expect(page.locator("#word-text")).to_have_text("you")
    page.keyboard.press("Shift+D")
    expect(page.locator("#word-text")).to_have_text("17.50")


def test_copying_and_sharing(open_page: OpenPage, lit: str, site: Site) -> None:
    page = open_page(f"/jobs/{lit}", permissions=["clipboard-read", "clipboard-write"])
    reader_ready(page)
    keep_notices(page)
    page.keyboard.press("c")
    expect(page.locator("#notices")).to_contain_text("The page's text is in the clipboard")
    assert page.evaluate("navigator.clipboard.readText()").startswith("The old lighthouse was lit\nagain on 14")
    page.keyboard.press("n")
    page.keyboard.press("s")
    expect(page.locator("#notices")).to_contain_text("The link is in the clipboard")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{site.url}/jobs/{lit}?word=p001-w0004"
    # another of the same tenant sees it, and nobody else
    other = open_page(link.removeprefix(site.url))
    expect(other.locator("#word-text")).to_have_text("was")


def test_a_document_of_another_tenant_is_not_there(open_page: OpenPage, lit: str, site: Site) -> None:
    page = open_page("/", key=site.key(tenant="strangers"))
    answer = page.request.get(f"{site.url}/jobs/{lit}")
    assert answer.status == 404
    assert "job.unknown" in answer.text()
    assert page.request.get(f"{site.url}/reader/jobs/{lit}").status == 404
    assert page.request.get(f"{site.url}/reader/jobs/{lit}/pages/1/thumbnail").status == 404


@pytest.mark.parametrize(("name", "start"), [("text", b"The old"), ("json", b"{"), ("csv", b""), ("hocr", b"<?xml")])
def test_formats_are_downloaded(open_page: OpenPage, lit: str, tmp_path: Path, name: str, start: bytes) -> None:
    page = open_page(f"/jobs/{lit}")
    reader_ready(page)
    page.get_by_text("Download", exact=True).click()
    link = page.locator(f"#formats a[href$='format={name}']")
    with page.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_bytes().startswith(start)


def test_a_key_that_only_reads_is_offered_no_more(open_page: OpenPage, site: Site) -> None:
    page = open_page("/", key=site.key(tenant="readers", scopes=("read",)))
    reader_ready(page)
    expect(page.locator("#drop-zone")).to_have_count(0)
    expect(page.locator("body")).to_contain_text("submit nothing itself")


def test_pages_appear_as_they_are_read_and_it_can_be_stopped(open_page: OpenPage, site: Site) -> None:
    pages = [Image.new("1", (300, 200), 1) for _ in range(200)]
    written = BytesIO()
    pages[0].save(written, "TIFF", save_all=True, append_images=pages[1:])
    # it would take minutes
    options = {"split": True, "delay_s": 1, "words": 5, "confidence": 0.5}
    job = site.queue.submit(written.getvalue(), engine="null", options=options, tenant="readers", crops="none")
    page = open_page(f"/jobs/{job.id}")
    expect(page.locator("#state")).to_have_text("Running")
    expect(page.locator("#progress-text")).to_have_text(re.compile(r"\d+ of 200 pages read"))
    expect(page.locator("#text")).not_to_be_empty()
    first = page.locator("#strip [role=option]").first
    expect(first).to_have_attribute("aria-label", "Page 1")
    seen = page.locator("#progress-text").inner_text()
    expect(page.locator("#progress-text")).not_to_have_text(seen)
    # the pause holds what is seen
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "true")
    seen = page.locator("#progress-text").inner_text()
    done = job.status().pages_done
    wait_until(lambda: job.status().pages_done > done, 120, "a page more is read")
    assert page.locator("#progress-text").inner_text() == seen
    page.get_by_role("button", name="Paused").click()
    expect(page.locator("#progress-text")).not_to_have_text(seen)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_have_text("Cancelled")
    expect(page.locator("#failure")).to_contain_text("Nothing of it is kept")


def test_several_files_are_sent_at_once_and_listed(open_page: OpenPage, site: Site, tmp_path: Path) -> None:
    key = site.key(tenant="many")
    page = open_page("/", key=key)
    reader_ready(page)
    expect(page.locator("#jobs-none")).to_be_visible()
    page.locator("#engine").select_option("null")
    files = []
    for number in range(4):
        files.append(tmp_path / f"scan {number}.png")
        files[-1].write_bytes((ROOT / "samples/street-sign.jpg").read_bytes())
    page.locator("#files").set_input_files(files)
    expect(page.locator("#jobs tr[data-id]")).to_have_count(4)
    expect(page.locator("#jobs .state.succeeded")).to_have_count(4)
    expect(page.locator("#jobs")).to_contain_text("scan 3.png")


def test_a_screenshot_is_pasted(open_page: OpenPage, site: Site) -> None:
    page = open_page("/")
    reader_ready(page)
    page.locator("#engine").select_option("null")
    page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement('canvas'), {width: 80, height: 40});
            canvas.getContext('2d').fillText('pasted', 10, 20);
            const blob = await new Promise(done => canvas.toBlob(done));
            const data = new DataTransfer();
            data.items.add(new File([blob], 'image.png', {type: 'image/png'}));
            document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
        }"""
    )
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#state")).to_have_text("Succeeded")


def drop(page: Page, files: Mapping[str, bytes]) -> None:
    """As a hand does it: over the page, and let go."""
    data = page.evaluate_handle(
        """(files) => {
            const data = new DataTransfer();
            for (const [name, text] of files) {
                data.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
            }
            return data;
        }""",
        [[name, b64encode(content).decode()] for name, content in files.items()],
    )
    zone = page.locator("#drop-zone")
    page.dispatch_event("main", "dragenter", {"dataTransfer": data})
    page.dispatch_event("main", "dragover", {"dataTransfer": data})
    expect(zone).to_have_class(re.compile("over"))
    page.dispatch_event("main", "drop", {"dataTransfer": data})
    expect(zone).not_to_have_class(re.compile("over"))


def test_a_file_is_dropped_anywhere_on_the_page(open_page: OpenPage) -> None:
    page = open_page("/")
    reader_ready(page)
    page.locator("#engine").select_option("null")
    drop(page, {"Anna's letter.pdf": LETTER.read_bytes()})
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#state")).to_have_text("Succeeded")
    expect(page.locator("h1")).to_have_text("Anna's letter.pdf")
    expect(page.locator("#strip [role=option]")).to_have_count(2)


def test_what_is_dropped_but_no_file_is_left_alone(open_page: OpenPage) -> None:
    page = open_page("/")
    reader_ready(page)
    taken = page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData('text/plain', 'a text');
            const event = new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true});
            return !document.querySelector('#url').dispatchEvent(event);
        }"""
    )
    assert taken is False


def test_an_address_is_read(open_page: OpenPage) -> None:
    sign = (ROOT / "samples/street-sign.jpg").read_bytes()
    with http_server({"/sign.jpg": answer(200, sign, content_type="image/jpeg")}) as server:
        page = open_page("/")
        reader_ready(page)
        page.locator("#engine").select_option("null")
        field = page.locator("#url")
        page.get_by_role("button", name="Read it").click()
        expect(field).to_be_focused()
        # what is no address is not sent
        field.fill("not an address")
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector('#url').validity.valid") is False
        field.fill(server.url("/sign.jpg"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/*")
        expect(page.locator("#state")).to_have_text("Succeeded")
    # its picture is that of the searchable PDF, which the page has asked for
    expect(page.locator("#picture-problem")).to_be_hidden()


def test_an_address_that_may_not_be_read_says_so(open_page: OpenPage) -> None:
    page = open_page("/")
    reader_ready(page)
    page.locator("#url").fill("https://169.254.169.254/latest/meta-data")
    page.keyboard.press("Enter")
    expect(page.locator("#notices .problem, #failure").first).to_be_visible()


def test_a_job_that_failed_says_what_helps(open_page: OpenPage, site: Site) -> None:
    job = site.queue.submit(b"this is no picture", engine="null", tenant="readers", crops="none")
    job.wait(120)
    page = open_page(f"/jobs/{job.id}")
    reader_ready(page)
    expect(page.locator("#failure")).to_contain_text("image.not_recognised")
    expect(page.locator("#state")).to_have_text("Failed")


def test_the_interface_is_korean_where_the_reader_is(open_page: OpenPage, lit: str) -> None:
    page = open_page(f"/jobs/{lit}", language="ko-KR")
    reader_ready(page)
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("#state")).to_have_text("성공")
    page.locator("#settings summary").click()
    page.locator("#language").select_option("en")
    expect(page.locator("#state")).to_have_text("Succeeded")
