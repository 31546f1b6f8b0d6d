"""The reader's page in Chromium: a page of many words, and a document of many pages."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from ocrqueue import OcrQueue
from tests.benchmarks.bare import TIMEOUT_S
from tests.benchmarks.stage import file_stage
from tests.support.gateways import gateway_of
from tests.support.pdfs import PdfPage, pdf_of, text_at
from tests.support.processes import as_environment, worker
from tests.support.told_documents import Told, told_document

_MIB = 1024 * 1024
_KEYS = 20
_READY = "html[data-ready]"


@click.command()
@click.option("--words", type=click.IntRange(10), default=100_000, show_default=True, help="On one page.")
@click.option("--pages", type=click.IntRange(2), default=1000, show_default=True, help="Of one document.")
def reading(words: int, pages: int) -> None:
    """Open both in a browser: when something is seen, when all is there, how soon keys are followed, and memory."""
    with ExitStack() as stack:
        at = stack.enter_context(file_stage(image_max_pixels="150000000"))
        arguments = ("--engine", "null", "--concurrency", "2")
        stack.enter_context(worker(as_environment(at.settings), at.folder, *arguments))
        queue = stack.enter_context(OcrQueue(at.settings))
        url, browser = stack.enter_context(gateway_of(at.settings)), stack.enter_context(_browser())
        told = [Told(f"word{number}", 0.5 if number % 50 == 0 else 0.95) for number in range(words)]
        lines = [told[first : first + 100] for first in range(0, words, 100)]
        dense = told_document(queue, lines, tenant="")
        data = pdf_of(*(PdfPage(text_at(20, 40, f"Page {number}"), size=(200, 80)) for number in range(pages)))
        long = queue.submit(data, engine="null", options={"words": 200, "confidence": 0.9, "split": True})
        long.wait(TIMEOUT_S)
        columns = (
            "first paint",
            "its words",
            "a key, median",
            "worst",
            "of it at work",
            "a page, worst",
            "memory of the tab",
        )
        table = Table("document", *columns)
        for name, job in ((f"{words} words", dense), (f"{pages} pages", long.id)):
            table.add_row(name, *_measured(browser, f"{url}/jobs/{job}"))
        Console(width=140).print(table)
        print(f"The machine's load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


@contextmanager
def _browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        raise click.ClickException("Debian's package chromium is missing.")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def _measured(browser: Browser, address: str) -> list[str]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(1000 * TIMEOUT_S)
    begun = time.monotonic()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(_READY, state="attached")
    page.locator("#text > p").first.wait_for(state="attached")
    all_there_s = time.monotonic() - begun
    painted_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
    # what begins by itself, such as the picture, comes to an end
    page.wait_for_timeout(3000)
    worked = _Worked(page)
    taken = [_key_ms(page, key, worked) for key in ["ArrowRight", "n", "ArrowDown", "]"] * (_KEYS // 4)]
    median = sorted(taken)[len(taken) // 2][0]
    page_s = max((_turned_s(page) for _ in range(5)), default=0.0) if page.locator("#page-next").is_visible() else None
    memory = _memory(browser)
    page.close()
    return [
        f"{painted_ms:.0f} ms",
        f"{all_there_s:.1f} s",
        f"{median:.0f} ms",
        f"{max(waited for waited, _ in taken):.0f} ms",
        f"{max(at_work for _, at_work in taken):.0f} ms",
        "-" if page_s is None else f"{1000 * page_s:.0f} ms",
        f"{memory / _MIB:.0f} MiB",
    ]


class _Worked:
    """How long the page's main thread has been at work: processor time, which a busy machine does not prolong."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def ms(self) -> float:
        told = self._session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(float(each["value"]) for each in told if each["name"] == "TaskDuration")


def _turned_s(page: Page) -> float:
    """From the key to the words of the next page."""
    begun = time.monotonic()
    page.keyboard.press("]")
    page.locator("#text > p").first.wait_for(state="attached")
    taken = time.monotonic() - begun
    page.wait_for_timeout(500)
    return taken


def _key_ms(page: Page, key: str, worked: _Worked) -> tuple[float, float]:
    """From the key to the next frame that is painted after it; and the main thread's work meanwhile."""
    before = worked.ms()
    event = json.dumps({"key": key, "bubbles": True, "cancelable": True})
    taken: float = page.evaluate(
        f"""() => new Promise((done) => {{
            const begun = performance.now();
            document.body.dispatchEvent(new KeyboardEvent('keydown', {event}));
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
        }})"""
    )
    at_work = worked.ms() - before
    page.wait_for_timeout(100)
    return taken, at_work


def _memory(browser: Browser) -> float:
    """Bytes of the process that shows the tab, which is the largest of those that show any: pages that it shares with
    others count in part."""
    session = browser.new_browser_cdp_session()
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return max(_bytes_of(process["id"]) for process in told if process["type"] == "renderer")


def _bytes_of(process_id: int) -> float:
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text("ascii").splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
