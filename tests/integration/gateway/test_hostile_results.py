"""Searchable PDFs that the gateway is asked for, of files over which what makes them comes to its end."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import Installation
from tests.support.gateway_jobs import accepted, ended, problem_of
from tests.support.gateways import gateway_process
from tests.support.pdfs import PdfPage, pdf_of, text_at
from tests.support.qpdf_traps import object_bomb, object_chain

pytest.importorskip("pikepdf", reason="pip install 'ocrqueue[pdf]'")

pytest_plugins = ["tests.support.server_fixtures"]


def _peak_mib(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def test_the_gateway_outlives_pdfs_over_which_qpdf_dies(installation: Installation, tmp_path: Path) -> None:
    good = pdf_of(PdfPage(text_at(60, 700, "Good")))
    bad_box = pdf_of(PdfPage(text_at(60, 700, "Bad"), entries=b"/CropBox [(a) /b << >> null]"))
    with (
        gateway_process(installation.settings, tmp_path) as (url, process),
        httpx.Client(base_url=url, timeout=120, trust_env=False) as http,
    ):
        given = {"engine": "null", "dpi": "72", "crops": "none", "pages": "1"}
        headers = {"content-type": "application/pdf"}

        def read(data: bytes) -> str:
            job_id = accepted(http.post("/v1/jobs", params=given, content=data, headers=headers))
            assert ended(http, job_id)["state"] == "succeeded"
            return f"/v1/jobs/{job_id}/result"

        chain, bomb, odd, fine = map(read, (object_chain(), object_bomb(), bad_box, good))
        for name in ("pdf", "overlay-pdf"):
            problem = problem_of(http.get(chain, params={"format": name}), 422, "pdf.output_failed")
            assert "signal" in problem["detail"]
            before = _peak_mib(process.pid)
            assert http.get(bomb, params={"format": name}).status_code in (200, 422)
            assert _peak_mib(process.pid) < before + 200
            for each in (odd, fine):
                answer = http.get(each, params={"format": name})
                assert answer.status_code == 200
                assert answer.content.startswith(b"%PDF-")
        assert process.poll() is None
