"""Waiting by HTTP: long polls, `Prefer: wait`, and events of a job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sse_starlette import EventSourceResponse

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.settings import GatewaySettings
from tests.support.gateway_jobs import accepted, problem_of, submitted
from tests.support.gateways import served
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]

ELSEWHERE = "https://example.org/scan.png"
MANY = httpx.Limits(max_connections=1000)


def test_a_poll_ends_with_the_job(idle: httpx.Client) -> None:
    job_id = submitted(idle, image=ELSEWHERE, engine="null")
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(idle.get, f"/v1/jobs/{job_id}", params={"wait": 60})
        time.sleep(0.2)
        assert not poll.done()
        idle.delete(f"/v1/jobs/{job_id}")
        assert poll.result().json()["state"] == "cancelled"


def test_a_poll_ends_with_the_time(idle: httpx.Client) -> None:
    job_id = submitted(idle, image=ELSEWHERE, engine="null")
    answer = idle.get(f"/v1/jobs/{job_id}", params={"wait": 0.1})
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    problem_of(idle.get(f"/v1/jobs/{job_id}/result", params={"wait": 0.1}), 409, "job.not_finished")
    problem_of(idle.get(f"/v1/jobs/{job_id}", params={"wait": -1}), 422, "request.invalid")
    problem_of(idle.get(f"/v1/jobs/{job_id}", params={"wait": "nan"}), 422, "request.invalid")


def test_a_poll_of_a_job_that_is_deleted(idle: httpx.Client) -> None:
    job_id = submitted(idle, image=ELSEWHERE, engine="null")
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(idle.get, f"/v1/jobs/{job_id}", params={"wait": 60})
        time.sleep(0.2)
        idle.delete(f"/v1/jobs/{job_id}", params={"purge": True})
        answer = poll.result()
    assert answer.status_code == 410 or answer.json()["state"] == "cancelled"


def test_many_polls_cost_two_connections(idle: httpx.Client, settings: WorkerSettings) -> None:
    job_id = submitted(idle, image=ELSEWHERE, engine="null")
    count = 200
    with (
        OcrQueue(settings) as queue,
        httpx.Client(base_url=idle.base_url, timeout=120, trust_env=False, limits=MANY) as http,
        ThreadPoolExecutor(count) as pool,
    ):

        def subscribed() -> int:
            clients: Any = registry_of(queue).client.client_list()  # type: ignore[no-untyped-call]  # redis-py's own
            return sum(client["sub"] != "0" for client in clients)

        before = subscribed()
        polls = [pool.submit(http.get, f"/v1/jobs/{job_id}", params={"wait": 100}) for _ in range(count)]
        channels = registry_of(queue).client.pubsub_channels
        wait_until(lambda: len(channels(f"{settings.key_prefix}*")) == 1, 60, "they wait")
        assert subscribed() == before + 1
        idle.delete(f"/v1/jobs/{job_id}")
        answers = [poll.result() for poll in polls]
        assert [answer.text for answer in answers if answer.status_code != 200] == []
        assert {answer.json()["state"] for answer in answers} == {"cancelled"}


def test_a_submission_may_wait_for_the_result(http: httpx.Client, sign: str) -> None:
    asked = {"image": sign, "engine": "null", "crops": "none"}
    answer = http.post("/v1/jobs", json=asked, headers={"prefer": "wait=60"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["preference-applied"] == "wait=60"
    job_id = answer.headers["location"].rpartition("/")[2]
    assert answer.json()["job_id"] == job_id
    text = http.post("/v1/jobs?format=text", json=asked, headers={"prefer": "handling=lenient, Wait=60"})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_submission_may_say_in_its_url_how_long_it_waits(http: httpx.Client, sign: str) -> None:
    asked = {"image": sign, "engine": "null", "crops": "none"}
    answer = http.post("/v1/jobs", params={"wait": 60, "format": "text"}, json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "preference-applied" not in answer.headers
    # the header goes before it
    accepted(http.post("/v1/jobs?wait=60", json={**asked, "cache": False}, headers={"prefer": "respond-async"}))
    for wrong in ("-1", "nan", "soon"):
        problem_of(http.post("/v1/jobs", params={"wait": wrong}, json=asked), 422, "request.invalid")


def test_a_submission_that_has_waited_in_vain(idle: httpx.Client) -> None:
    given: Any = {"json": {"image": ELSEWHERE, "engine": "null"}}
    accepted(waited := idle.post("/v1/jobs", headers={"prefer": "wait=0"}, **given))
    assert "preference-applied" in waited.headers
    answer = idle.post("/v1/jobs", headers={"prefer": "respond-async, wait=60"}, **given)
    assert answer.headers["preference-applied"] == "respond-async"
    accepted(answer)
    assert "preference-applied" not in idle.post("/v1/jobs", headers={"prefer": "wait=x"}, **given).headers


def events_of(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def test_events_tell_each_step_and_the_end(http: httpx.Client, letter: str) -> None:
    job_id = submitted(http, image=letter, engine="null", cache=False, options={"delay_s": 0.1})
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers={"last-event-id": "1.0.running"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = list(events_of(response))
    names = [name for name, _ in told]
    assert names[-1] == "end"
    assert set(names[:-1]) <= {"state", "place"}
    assert told[-1][1]["state"] == "succeeded"
    done = [job["pages_done"] for _, job in told]
    assert done == sorted(done)
    # who comes later is told the end
    with http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert [name for name, _ in events_of(response)] == ["end"]


def test_events_tell_the_place_in_the_queue(idle: httpx.Client) -> None:
    first, second = (submitted(idle, image=ELSEWHERE, engine="null") for _ in range(2))
    with idle.stream("GET", f"/v1/jobs/{second}/events") as response:
        told = events_of(response)
        name, job = next(told)
        assert (name, job["place"]["ahead"]) == ("state", 1)
        idle.delete(f"/v1/jobs/{first}")
        name, job = next(told)
        assert (name, job["place"]["ahead"]) == ("place", 0)
        idle.delete(f"/v1/jobs/{second}")
        assert next(told)[1]["state"] == "cancelled"
        assert list(told) == []


def test_events_of_nobodys_job(idle: httpx.Client) -> None:
    problem_of(idle.get("/v1/jobs/nobody/events"), 404, "job.unknown")


def test_nobody_is_kept_waiting_by_a_replica_that_ends(settings: WorkerSettings) -> None:
    app = create_app(GatewaySettings(), settings)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool, ExitStack() as after:
        with served(app) as url:
            http = after.enter_context(httpx.Client(base_url=url, timeout=120, trust_env=False))
            job_id = submitted(http, image=ELSEWHERE, engine="null")
            stream = after.enter_context(http.stream("GET", f"/v1/jobs/{job_id}/events"))
            told = events_of(stream)
            assert next(told)[0] == "state"
            poll = pool.submit(httpx.get, f"{url}/v1/jobs/{job_id}?wait=60", timeout=120, trust_env=False)
            # who asks is one of them
            there = "ocrqueue_gateway_requests_in_flight 3.0"
            wait_until(lambda: there in http.get("/metrics").text, 60, "both wait")
        assert poll.result().json()["state"] == "queued"
        assert [name for name, _ in told if name != "place"] == []
    assert time.monotonic() - began < 50


def test_a_stream_is_not_cut_off_by_who_hears_first_that_the_replica_is_to_end(
    idle: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sse-starlette listens for the signal too. It is the application that ends its streams, between two events."""

    async def heard() -> None:
        return

    monkeypatch.setattr(EventSourceResponse, "_listen_for_exit_signal", staticmethod(heard))
    job_id = submitted(idle, image=ELSEWHERE, engine="null")
    with idle.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        told = events_of(response)
        assert next(told)[0] == "state"
        idle.delete(f"/v1/jobs/{job_id}")
        assert next(told)[0] == "end"
        assert list(told) == []
