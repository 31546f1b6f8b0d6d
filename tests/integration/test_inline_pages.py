"""A large Document in one JSON: what its reading takes, in a process of its own, and through the whole system."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.document import stored_document
from ocrqueue.document.inline_pages import InlinePages
from tests.integration.conftest import Installation
from tests.support.pictures import tiff
from tests.unit.test_document import document, word

pytest_plugins = ["tests.support.server_fixtures"]

PAGES = 50
WORDS = 2000

READ = """
import gc, json, sys, time
from pathlib import Path
from ocrqueue.document import Word, document_from_json, stored_document

def peak():
    # ru_maxrss would be that of the process which has started this one, where it was larger
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024

document_from_json(Path(sys.argv[1]).read_bytes()).text  # all that is built at first use
before, begun = peak(), time.process_time()
document = document_from_json(Path(sys.argv[2]).read_bytes())
told = {"read_s": time.process_time() - begun, "read_bytes": peak() - before}
told["made"] = sum(isinstance(each, Word) for each in gc.get_objects())
told["words"] = sum(1 for _ in document.words())
told["bytes"] = peak() - before
begun = time.process_time()
stored_document(Path(sys.argv[2]).read_bytes())
told |= {"at_once_s": time.process_time() - begun, "at_once_bytes": peak() - before}
print(json.dumps(told))
"""


def test_a_hundred_thousand_words_are_read_in_little_memory(tmp_path: Path) -> None:
    small = document([word(1, "a", 0.5)])
    page = document([word(number, "Rechnung", 0.5) for number in range(WORDS)]).pages[0]
    text = page.model_dump_json()
    pages = ",".join(text.replace('"number":1,', f'"number":{number},', 1) for number in range(1, PAGES + 1))
    large = small.with_pages([]).model_dump_json().replace('"pages":[]', f'"pages":[{pages}]')
    (tmp_path / "small.json").write_text(small.model_dump_json())
    (tmp_path / "large.json").write_text(large)
    command = [sys.executable, "-c", READ, str(tmp_path / "small.json"), str(tmp_path / "large.json")]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (told["made"], told["words"]) == (0, PAGES * WORDS)
    # the JSON, and its copy while pages are looked for; of words those of a page
    assert told["read_bytes"] <= told["bytes"] < 3 * len(large)
    assert told["at_once_bytes"] > 4 * len(large)
    assert told["read_s"] < told["at_once_s"]


async def test_a_job_whose_result_is_one_large_json(installation: Installation, queue: OcrQueue) -> None:
    image = tiff(*(Image.new("L", (600, 900), 255) for _ in range(3)))
    job = queue.submit(
        image, engine="null", options={"words": 1500, "fault": "error", "fault_page": 2}, outputs=["csv"]
    )
    assert job.wait(300).state == "partial"
    read = job.result()
    whole = stored_document(queue.storage.get(f"results/{job.id}/result.json"))
    assert isinstance(read.pages, InlinePages)
    assert isinstance(whole.pages, tuple)
    assert read == whole
    assert (read.page_numbers, [*read.failed_pages], read.word_count) == ((1, 2, 3), [2], 3000)
    assert read.output("csv").open().read().decode() == read.to_csv() == whole.to_csv()
    crop = next(read.page(3).words()).crop
    assert crop is not None
    assert crop.image().format == "PNG"
    assert list(job.pages(60)) == [*whole.pages]
    assert job.page(3) == whole.page(3)
    async with AsyncOcrQueue(installation.settings) as waiting:
        found = waiting.job(job.id)
        assert await found.result() == whole
        assert [page async for page in found.pages(60)] == [*whole.pages]
        assert await found.page(3) == await asyncio.to_thread(read.page, 3)
