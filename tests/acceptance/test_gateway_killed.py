"""Jobs by HTTP while replicas of the gateway are killed, again and again: none is lost, and none is there twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import Settings
from tests.support.documentation import ROOT
from tests.support.gateways import gateway_process
from tests.support.processes import as_environment, worker

JOBS: Final = 60
CLIENTS: Final = 6
KILLED_EVERY: Final = 10
"""Jobs that are acknowledged between two kills of a replica; the other one's are in the middle."""
LIMIT_S: Final = 400
"""Of a client that insists: what a killed replica had begun is let go of after a minute."""
AGAIN: Final = (409, 503)


@dataclass
class Replicas:
    """Two, each killed and started anew, and what clients have got of them."""

    settings: Settings
    folder: Path
    urls: dict[int, str] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    """Of the jobs that were acknowledged."""
    kills: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def keep(self, number: int) -> None:
        folder = self.folder / f"replica-{number}"
        folder.mkdir()
        while not self.over.is_set():
            with gateway_process(self.settings, folder) as (url, process):
                self.urls[number] = url
                until = len(self.ids) + KILLED_EVERY // (2 - number % 2)
                while len(self.ids) < until and not self.over.wait(0.01):
                    pass
                if not self.over.is_set():
                    process.kill()
                    self.kills += 1
            (folder / "gateway-url").unlink()

    def submit(self, number: int) -> None:
        """As a client that hears nothing asks again: the same, of whichever replica."""
        image = (ROOT / "samples/street-sign.jpg").read_bytes()
        headers = {"idempotency-key": f"job-{number}", "content-type": "image/jpeg"}
        deadline = time.monotonic() + LIMIT_S
        for url in self._asked(number):
            assert time.monotonic() < deadline, f"job {number} was not taken"
            try:
                answer = httpx.post(
                    f"{url}/v1/jobs",
                    params={"engine": "null"},
                    content=image,
                    headers=headers,
                    trust_env=False,
                    timeout=60,
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code not in AGAIN:
                assert answer.status_code == 202, answer.text
                self.ids[number] = answer.json()["id"]
                return
            time.sleep(0.1)

    def _asked(self, number: int) -> Iterator[str]:
        while True:
            number += 1
            if (url := self.urls.get(number % 2)) is not None:
                yield url
            else:
                time.sleep(0.1)


@pytest.mark.all
def test_no_job_is_lost_with_a_replica_of_the_gateway(settings: Settings, tmp_path: Path) -> None:
    replicas = Replicas(settings, tmp_path)
    with ThreadPoolExecutor(2) as keeping, ThreadPoolExecutor(CLIENTS) as asking:
        kept = [keeping.submit(replicas.keep, number) for number in range(2)]
        try:
            for submitted in [asking.submit(replicas.submit, number) for number in range(JOBS)]:
                submitted.result(LIMIT_S)
        finally:
            replicas.over.set()
        for each in kept:
            each.result(120)
    assert replicas.kills >= 4
    assert len(set(replicas.ids.values())) == JOBS
    with OcrQueue(settings) as queue:
        assert {status.id for status in queue.jobs(limit=500).jobs} == set(replicas.ids.values())
        with worker(as_environment(settings), tmp_path, "--engine", "null", "--concurrency", "2"):
            for job_id in replicas.ids.values():
                assert queue.job(job_id).wait(200).state == "succeeded"
