"""What a type checker says of apps: each call that is misused fails in its line, and none that is right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documentation import ROOT, snippets
from tests.support.processes import unmeasured

APP = """\
import asyncio
from pathlib import Path
from typing import assert_type

from ocrqueue import AsyncOcrQueue, Document, Job, JobStatus, OcrQueue, Page, SubmittedJob

queue = OcrQueue()
OcrQueue(redis_ulr="redis://localhost")  # wrong
OcrQueue(settings="redis://localhost")  # wrong
OcrQueue(redis_timeout_s="5")  # wrong
OcrQueue(redis_url="redis://localhost", storage="s3://b/p", default_languages=["eng"])

job = queue.submit("a.jpg", languages=["eng"], outputs=["pdf", "alto"], dpi=200)
assert_type(job, SubmittedJob)
queue.submit("a.jpg", langauges=["eng"])  # wrong
queue.submit("a.jpg", priority="urgent")  # wrong
queue.submit("a.jpg", crops=True)  # wrong
queue.submit("a.jpg", outputs=["docx"])  # wrong
queue.submit("a.jpg", dpi="300")  # wrong
queue.submit("a.jpg", existing_text="never")  # wrong
queue.submit(7)  # wrong
queue.submit()  # wrong

jobs = queue.submit_many(["a.jpg", Path("b.jpg"), b"data"], tag="t")
assert_type(jobs, list[SubmittedJob])
queue.submit_many(["a.jpg"], tags="t")  # wrong
queue.submit_many(["a.jpg"], wait_for_room="no")  # wrong
queue.submit_iter(3)  # wrong
queue.submit_iter(["a.jpg"], langauge="eng")  # wrong

assert_type(job.result(timeout=5), Document)
assert_type(job.wait(5), JobStatus)
job.result(timeout="5")  # wrong
job.wait(seconds=5)  # wrong
job.pages(ordered=True)  # wrong
job.status().stat  # wrong
job.cancel(now=True)  # wrong
job.history().pop()  # wrong
job.delete(True)  # wrong

for ended in queue.as_completed(jobs, timeout=60):
    assert_type(ended, SubmittedJob)
queue.as_completed("a.jpg")  # wrong
queue.as_completed(jobs, on_progress=print, timeuot=1)  # wrong
for ended, status in queue.watch(jobs):
    assert_type(status, JobStatus)
queue.watch(jobs, timeout="1")  # wrong

queue.status(job)  # wrong
queue.statuses(job.id, job.id)  # wrong
queue.jobs(limit="all")  # wrong
queue.jobs(state="finished")  # wrong
queue.cancel_many(tga="t")  # wrong
queue.delete_many(older_than="1 day")  # wrong
queue.batch("b").wait(timeout="1")  # wrong
queue.pause(engin="tesseract")  # wrong
queue.drain(1)  # wrong

document = job.result()
for word in document.words():
    word.crop.uri  # wrong
document.to_text(layout="yes")  # wrong
document.to_page("1")  # wrong
document.to_pdf(Path("a.pdf"))  # wrong
document.to_dataframe("arrow")  # wrong
document.output("pdf").save()  # wrong
Job(image="s3://b/a.png", langauges=("eng",))  # wrong


async def main() -> None:
    AsyncOcrQueue(strage="s3://b/p")  # wrong
    async with AsyncOcrQueue() as other:
        one = await other.submit("a.jpg", languages=["eng"])
        assert_type(await one.result(timeout=5), Document)
        other.submit("a.jpg").id  # wrong
        await other.submit("a.jpg", langauges=["eng"])  # wrong
        async for page in one.pages():
            assert_type(page, Page)
        for ended in other.as_completed([one]):  # wrong
            pass
        await one.wait(timeout="5")  # wrong
        other.status(one.id).state  # wrong
        with AsyncOcrQueue() as third:  # wrong
            pass


asyncio.run(main)  # wrong
"""


def errors_of(path: Path) -> dict[int, str]:
    """By line: what mypy --strict finds, with the client as apps have it."""
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache/apps'}"]
    environment = unmeasured() | {"MYPYPATH": str(ROOT / "producer")}
    done = subprocess.run(
        [*command, path.name], cwd=path.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    lines = re.findall(rf"^{re.escape(path.name)}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return {int(number): message for number, message in lines}


def test_each_misuse_of_a_call_fails_in_its_line_and_no_right_use_does(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text(APP, encoding="utf-8")
    wrong = {number for number, line in enumerate(APP.splitlines(), 1) if line.endswith("# wrong")}
    found = errors_of(path)
    lines = dict(enumerate(APP.splitlines(), 1))
    assert {lines[number] for number in wrong - set(found)} == set()
    assert {f"{lines[number]}: {message}" for number, message in found.items() if number not in wrong} == set()


def test_the_snippet_in_the_readme_is_typed(tmp_path: Path) -> None:
    code, _ = next(snippets(ROOT / "README.md"))
    path = tmp_path / "readme.py"
    path.write_text(code, encoding="utf-8")
    assert errors_of(path) == {}
