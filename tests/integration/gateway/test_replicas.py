"""Two replicas behind nginx, as the documentation has it: who waits is told in time, also while one of them ends."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.settings import WorkerSettings
from tests.support.certificates import make_certificate
from tests.support.documentation import ROOT
from tests.support.processes import free_port, need_program, wait_until
from tests.support.replicas import Replica, nginx, replica
from tests.support.waiting_clients import Told, wait_for_all

pytest_plugins = ["tests.support.server_fixtures"]

POLLS, STREAMS = 60, 20
IN_FLIGHT = "ocrqueue_gateway_requests_in_flight"


@pytest.fixture
def idle(settings: WorkerSettings) -> Iterator[OcrQueue]:
    """Of an installation without workers."""
    with OcrQueue(settings) as queue:
        queue.storage.ensure()
        yield queue


@contextmanager
def two(settings: WorkerSettings, folder: Path) -> Iterator[tuple[list[Replica], str]]:
    with ExitStack() as stack:
        both = [stack.enter_context(replica(settings, folder, name)) for name in ("one", "other")]
        yield both, stack.enter_context(nginx([each.port for each in both], folder / "nginx"))


def in_flight(each: Replica) -> int:
    """Requests that it is answering, this one aside."""
    text = httpx.get(f"{each.url}/metrics", timeout=60, trust_env=False).text
    (line,) = (line for line in text.splitlines() if line.startswith(f"{IN_FLIGHT} "))
    return int(float(line.split()[1])) - 1


@contextmanager
def waiting(url: str, jobs: list[str], key: str) -> Iterator[Told]:
    """So many clients; at the end of the block all have been told."""
    told = Told()
    task = wait_for_all(url, [jobs[number % len(jobs)] for number in range(POLLS)], jobs[:STREAMS], told, key)
    thread = threading.Thread(target=lambda: asyncio.run(asyncio.wait_for(task, 120)), name="clients")
    thread.start()
    try:
        yield told
    finally:
        thread.join(150)
        assert not thread.is_alive()


def test_all_who_wait_are_told_in_time_and_a_replica_that_ends_loses_nobody(
    idle: OcrQueue, settings: WorkerSettings, tmp_path: Path
) -> None:
    need_program("nginx")
    # what a proxy brings is from anywhere: no key, no answer
    key = idle.api_keys.create(scopes=["read"]).text
    first, second = ([idle.submit("s3://b/page.png", engine="null").id for _ in range(20)] for _ in range(2))
    with two(settings, tmp_path) as (both, url):
        with waiting(url, first, key) as told:
            wait_until(lambda: sum(map(in_flight, both)) == POLLS + STREAMS, 60, "all wait")
            assert min(map(in_flight, both)) > 0, "nginx sends to both"
            assert sum(each.memory_bytes() for each in both) < 400 * 2**20
            for job_id in first:
                idle.cancel(job_id)
        assert told.clients == POLLS + STREAMS
        assert not told.errors
        assert told.asked == 0

        # the last of their streams may be about to end still
        wait_until(lambda: not any(map(in_flight, both)), 60, "all have gone")
        ending, staying = both
        with waiting(url, second, key) as told:
            wait_until(lambda: sum(map(in_flight, both)) == POLLS + STREAMS, 60, "all wait")
            waited_there = in_flight(ending)
            began = time.monotonic()
            ending.tell_to_end()
            ending.process.wait(60)
            # none of these waits is over by itself before
            assert time.monotonic() - began < 50
            wait_until(lambda: in_flight(staying) == POLLS + STREAMS, 60, "all wait at the other one")
            for job_id in second:
                idle.cancel(job_id)
        assert told.clients == POLLS + STREAMS
        assert not told.errors
        assert told.asked == waited_there
        # streams are ended in order, and not cut off
        assert "ERROR" not in ending.log.read_text()
        assert "prematurely closed" not in (tmp_path / "nginx/error.log").read_text()


def test_who_waits_at_a_replica_that_ends_is_answered_with_what_is_known(
    idle: OcrQueue, settings: WorkerSettings, tmp_path: Path
) -> None:
    job = idle.submit("s3://b/page.png", engine="null").id
    with replica(settings, tmp_path) as own, httpx.Client(base_url=own.url, timeout=120, trust_env=False) as http:
        assert http.get("/readyz").status_code == 200
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(http.get(f"/v1/jobs/{job}?wait=60")))
        thread.start()
        wait_until(lambda: in_flight(own) == 1, 60, "it waits")
        own.tell_to_end()
        thread.join(120)
        [answer] = answers
        assert (answer.status_code, answer.json()["state"]) == (200, "queued")
        assert own.process.wait(60) in (0, -15)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_the_images_check_of_health_finds_a_replica_that_is_ready(
    idle: OcrQueue, settings: WorkerSettings, tmp_path: Path, tls: bool
) -> None:
    given: dict[str, object] = {}
    verify: bool | ssl.SSLContext = True
    if tls:
        made = make_certificate(tmp_path)
        given = {"tls_certificate": made.certificate, "tls_key": made.key}
        verify = ssl.create_default_context(cafile=str(made.authority))
    with replica(settings, tmp_path, **given) as own:
        assert own.url.startswith("https://" if tls else "http://")
        assert httpx.get(f"{own.url}/healthz", verify=verify, trust_env=False, timeout=60).status_code == 200
        variables = {"OCRQUEUE_GATEWAY_PORT": str(own.port)} | {
            f"OCRQUEUE_GATEWAY_{name.upper()}": str(value) for name, value in given.items()
        }
        assert check_of_health(variables) == 0
        assert check_of_health({**variables, "OCRQUEUE_GATEWAY_PORT": str(free_port())}) == 1


def check_of_health(variables: dict[str, str]) -> int:
    command = [ROOT / "docker/ocrqueue-gateway-ready"]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_key": "{key}"}, "is of no use without"),
        ({"tls_certificate": "{folder}/none.pem"}, "there is no file"),
        ({"tls_certificate": "{authority}", "tls_key": "{key}"}, "cannot be used"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(
    settings: WorkerSettings, tmp_path: Path, given: dict[str, str], said: str
) -> None:
    made = make_certificate(tmp_path)
    names = {"folder": str(tmp_path), "key": str(made.key), "authority": str(made.authority)}
    files = {name: value.format(**names) for name, value in given.items()}
    with pytest.raises(AssertionError, match=said), replica(settings, tmp_path, **files):
        pass
