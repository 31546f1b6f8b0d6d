"""What docs/apps.md shows is run as it stands there."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.text import Text

from ocrqueue import AsyncOcrQueue, BatchStatus, JobStatus, job_progress
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT, block_after
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment

pytest_plugins = ["tests.support.server_fixtures"]

HELLO = png(text_picture("Hello 42"))


@pytest.fixture(autouse=True)
def _scans(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in as_environment(installation.settings).items():
        monkeypatch.setenv(f"OCRQUEUE_{name.upper()}", str(value))
    (tmp_path / "scans").mkdir()
    for name in ("a.png", "receipt.png"):
        (tmp_path / "scans" / name).write_bytes(HELLO)
    monkeypatch.chdir(tmp_path)


def module_of(heading: str) -> types.ModuleType:
    """The code below a heading of the page, as a module."""
    module = types.ModuleType("app")
    code = block_after(ROOT / "docs" / "apps.md", f"## {heading}\n", "python")
    exec(compile(code, heading, "exec"), module.__dict__)
    return module


async def test_fastapi() -> None:
    app = module_of("FastAPI").app
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):

        async def submitted(data: bytes) -> httpx.Response:
            """The answer once the job has ended."""
            answer = await client.post("/scans", files={"scan": ("mine.png", data)})
            assert answer.status_code == 202
            while True:
                told = await client.get(f"/scans/{answer.json()['id']}", params={"wait": 30})
                if told.json().get("done") is not False:
                    return told

        assert (await submitted(HELLO)).json() == {"done": True, "text": "Hello 42"}
        assert (await submitted(b"no picture")).status_code == 422
        assert (await client.get("/scans/never")).status_code == 404


def test_django(installation: Installation) -> None:
    from django.conf import settings
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.test import RequestFactory

    if not settings.configured:
        settings.configure()
    app: Any = module_of("Django")
    request = RequestFactory().post("/", {"scan": SimpleUploadedFile("mine.png", HELLO)})
    request.user = types.SimpleNamespace(get_username=lambda: "me")
    answer = app.submit(request)
    assert answer.status_code == 202
    job = installation.queue.job(json.loads(answer.content)["id"])
    status = job.wait(300)
    assert (status.name, status.tag, status.state) == ("mine.png", "me", "succeeded"), status
    assert b"Hello 42" in app.read(request, job.id).content
    assert app.read(request, "never").status_code == 404
    app.queue().close()


def test_a_script_with_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    module_of("A script with a progress bar")
    assert sorted(capsys.readouterr().out.splitlines()) == ["a.png succeeded", "receipt.png succeeded"]


async def test_the_bar_serves_each_wait_of_both_clients(
    installation: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with job_progress(3) as on_progress:
        assert on_progress is None, "stderr is no terminal"
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with job_progress(3, shown=False) as on_progress:
        assert on_progress is None
    assert capsys.readouterr().err == ""

    def drawn(count: int) -> bool:
        return f"{count}/{count} jobs" in Text.from_ansi(capsys.readouterr().err).plain

    queue = installation.queue
    jobs = queue.submit_many([HELLO] * 3, crops="none", batch="bar")
    with job_progress(len(jobs)) as on_progress:
        assert len(list(queue.as_completed(jobs, 60, on_progress))) == 3
    assert drawn(3)
    with job_progress(1) as on_progress:
        jobs[0].wait(60, on_progress)
    assert drawn(1)
    with job_progress(0) as on_progress:
        queue.batch("bar").wait(60, on_progress)
    assert drawn(3)
    told: list[str] = []

    async def tell(status: JobStatus | BatchStatus) -> None:
        told.append(type(status).__name__)

    async with AsyncOcrQueue(installation.settings) as other:
        with job_progress(len(jobs)) as on_progress:
            handles = [other.job(job.id) for job in jobs]
            assert len([job async for job in other.as_completed(handles, 60, on_progress)]) == 3
        assert drawn(3)
        with job_progress(0) as on_progress:
            await other.batch("bar").wait(60, on_progress)
        assert drawn(3)
        await handles[0].wait(60, tell)
        await other.batch("bar").wait(60, tell)
    assert told == ["JobStatus", "BatchStatus"]


def test_pandas(capsys: pytest.CaptureFixture[str]) -> None:
    module_of("pandas, and a notebook")
    assert capsys.readouterr().out == "True True\n"
