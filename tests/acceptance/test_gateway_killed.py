"""Jobs by HTTP while replicas of the gateway are killed, again and again: none is lost, and none is there twice."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from tests.support.documentation import ROOT
from tests.support.gateways import gateway_process
from tests.support.processes import as_environment, worker

JOBS: Final = 60
CLIENTS: Final = 4
KILLED_AFTER: Final = (12, 18)
"""Jobs that are acknowledged, from the start of a replica to its kill."""
LIMIT_S: Final = 400
"""What a killed replica had begun is let go of after a minute."""
AGAIN: Final = (409, 503)


@dataclass
class Storm:
    """Two replicas, each killed and started anew, and clients that insist."""

    settings: WorkerSettings
    folder: Path
    urls: list[str | None] = field(default_factory=lambda: [None, None])
    left: deque[int] = field(default_factory=lambda: deque(range(JOBS)))
    """What is still to be submitted."""
    ids: dict[int, str] = field(default_factory=dict)
    """Of the jobs that were acknowledged."""
    kills: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def keep(self, number: int) -> None:
        """A replica, until all is over."""
        for generation in count():
            if self.over.is_set():
                return
            folder = self.folder / f"replica-{number}-{generation}"
            folder.mkdir()
            with gateway_process(self.settings, folder) as (url, process):
                self.urls[number], until = url, len(self.ids) + KILLED_AFTER[number]
                while len(self.ids) < until and not self.over.wait(0.01):
                    pass
                if not self.over.is_set():
                    process.kill()
                    self.kills.append(number)

    def submit(self, client: httpx.Client, number: int) -> None:
        """All that is left; what is not acknowledged is sent again later, as it was, to whichever replica."""
        image = (ROOT / "samples/street-sign.jpg").read_bytes()
        deadline = time.monotonic() + LIMIT_S
        while len(self.ids) < JOBS:
            assert time.monotonic() < deadline, f"not taken: {sorted(self.left)}"
            number += 1
            url = self.urls[number % 2]
            if url is None or not self.left:
                time.sleep(0.1)
                continue
            job = self.left.popleft()
            headers = {"idempotency-key": f"job-{job}", "content-type": "image/jpeg"}
            try:
                answer = client.post(f"{url}/v1/jobs", params={"engine": "null"}, content=image, headers=headers)
            except httpx.TransportError:
                self.left.append(job)
                time.sleep(0.1)
                continue
            if answer.status_code in AGAIN:
                self.left.append(job)
                time.sleep(0.1)
                continue
            assert answer.status_code == 202, answer.text
            self.ids[job] = answer.json()["id"]


@pytest.mark.all
def test_no_job_is_lost_with_a_replica_of_the_gateway(settings: WorkerSettings, tmp_path: Path) -> None:
    storm = Storm(settings, tmp_path)
    with (
        httpx.Client(timeout=60, trust_env=False) as client,
        ThreadPoolExecutor(2) as keeping,
        ThreadPoolExecutor(CLIENTS) as asking,
    ):
        kept = [keeping.submit(storm.keep, number) for number in range(2)]
        try:
            for submitted in [asking.submit(storm.submit, client, number) for number in range(CLIENTS)]:
                submitted.result()
        finally:
            storm.over.set()
        for each in kept:
            each.result()
    assert set(storm.kills) == {0, 1}
    assert len(set(storm.ids.values())) == JOBS
    with OcrQueue(settings) as queue:
        assert {status.id for status in queue.jobs(limit=500).jobs} == set(storm.ids.values())
        with worker(as_environment(settings), tmp_path, "--engine", "null", "--concurrency", "2"):
            for job_id in storm.ids.values():
                assert queue.job(job_id).wait(200).state == "succeeded"
