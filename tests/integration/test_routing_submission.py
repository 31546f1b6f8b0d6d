"""What becomes of a submission's engines and languages before it is queued, with a real Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.cli.program import program
from ocrqueue.client import registry_of
from ocrqueue.core import EngineOffer, WorkerInfo, WorkerRegistry
from ocrqueue.core.installation import dismiss_worker
from ocrqueue.errors import EngineUnknown, JobMalformed, LanguageUnsupported
from ocrqueue.job import queue_name
from ocrqueue.job.names import LANES
from ocrqueue.job.route import Step
from ocrqueue.routing import make_route, read_engines
from ocrqueue.settings import WorkerSettings
from tests.faults.messages_envelopes import envelope
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment

IMAGE = "s3://bucket/page.png"
HELLO = png(text_picture("Hello 42"))


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    # a worker that was announced once is to stay live: a busy machine asks late
    live = {"worker_heartbeat_s": 600.0, "lost_after_s": 1800.0}
    return settings.model_copy(update={"auto_engines": ("tesseract", "rapid", "keras"), **live})


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as queue:
        yield queue


def announce(queue: OcrQueue, engine: str, *languages: str, fixed: bool = False) -> None:
    """A worker of this engine is alive."""
    offer = EngineOffer(name=engine, version="1.0", model="small 1", languages=languages, fixed_languages=fixed)
    worker = WorkerInfo(
        name=f"{engine}-1@host",
        queues=(f"ocr.{engine}",),
        engines=(offer,),
        concurrency=1,
        pid=1,
        started_at=datetime.now(UTC),
    )
    announcement = worker.model_dump_json(exclude={"seen_at"})
    WorkerRegistry(queue.settings, registry_of(queue).client).heartbeat(worker.name, announcement, [])


def all_keys(queue: OcrQueue) -> set[bytes]:
    return set(registry_of(queue).client.scan_iter(match=f"{queue.settings.key_prefix}*", count=1000))


def waiting(queue: OcrQueue, engine: str) -> list[dict[str, Any]]:
    """The jobs that wait for an engine, as their records have them."""
    client, keys = registry_of(queue).client, registry_of(queue).keys
    lanes = [client.zrange(keys.queue(queue_name(engine, lane), ""), 0, -1) for lane in LANES]
    return [json.loads(client.hget(keys.record(part.decode()), "job")) for lane in lanes for part in lane]


def ocrqueue(settings: WorkerSettings, *arguments: str, **changes: object) -> Result:
    variables = environment(as_environment(settings) | changes)
    names = {name: value for name, value in variables.items() if name.startswith("OCRQUEUE_")}
    return CliRunner().invoke(program, list(arguments), env=names)


# --- languages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alive", [True, False])
def test_korean_for_keras_is_refused_and_nothing_is_written(queue: OcrQueue, tmp_path: Path, alive: bool) -> None:
    if alive:
        announce(queue, "keras", "eng", fixed=True)
    before = all_keys(queue)
    with pytest.raises(LanguageUnsupported, match="keras reads eng") as refused:
        queue.submit(HELLO, engine="keras", languages=["eng", "kor"], idempotency_key="order 4711")
    assert refused.value.code == "language.unsupported"
    assert ("no worker of it is up" in refused.value.message) is not alive
    assert all_keys(queue) == before
    assert list((tmp_path / "storage").rglob("*.*")) == [], "nothing was uploaded"
    assert queue.submit(IMAGE, engine="keras").status().queue == "ocr.keras"


async def test_the_same_for_asyncio(settings: WorkerSettings, queue: OcrQueue) -> None:
    announce(queue, "keras", "eng", fixed=True)
    async with AsyncOcrQueue(settings) as concurrent:
        with pytest.raises(LanguageUnsupported, match="keras reads eng, and not 'kor'"):
            await concurrent.submit(IMAGE, engine="keras", languages="kor")
        with pytest.raises(EngineUnknown):
            await concurrent.submit(IMAGE, engine="nonesuch")
        job = await concurrent.submit(IMAGE, engine="auto")
        status = await job.status()
        assert status.route is not None
        assert (status.engine, status.route.asked) == ("keras", "auto"), "the only one with a worker"
        several = await asyncio.gather(*(concurrent.submit(IMAGE, fallback=["rapid"]) for _ in range(5)))
        assert {(await one.status()).engine for one in several} == {"tesseract"}


def test_what_a_worker_reads_counts_from_its_announcement_on(queue: OcrQueue) -> None:
    announce(queue, "mine", "eng", fixed=True)
    with pytest.raises(LanguageUnsupported, match="mine reads eng"):
        queue.submit(IMAGE, engine="mine", languages="deu")
    announce(queue, "mine", "eng", "deu", fixed=True)
    queue.submit(IMAGE, engine="mine", languages="deu")
    dismiss_worker(registry_of(queue), "mine-1@host")
    queue.submit(IMAGE, engine="tesseract", languages="fra")


# --- routes -----------------------------------------------------------------------------------------------------------


def test_auto_is_decided_at_the_submission_and_the_record_says_why(queue: OcrQueue) -> None:
    for engine, languages in {"tesseract": ("eng", "kor"), "rapid": ("eng", "kor"), "keras": ("eng",)}.items():
        announce(queue, engine, *languages, fixed=engine != "tesseract")
    job = queue.submit(IMAGE, engine="auto", languages="kor", options={"tesseract": {"psm": 6}}, priority="high")
    status = job.status()
    assert (status.engine, status.queue) == ("tesseract", "ocr.tesseract.high")
    assert status.route is not None
    assert status.route.engines == ("tesseract", "rapid")
    assert status.route.reason.endswith("that reads kor; keras left out: reads eng only")
    (message,) = waiting(queue, "tesseract")
    assert message["route"]["engines"] == ["tesseract", "rapid"]
    assert message["options"] == {"tesseract": {"psm": 6}}
    assert waiting(queue, "keras") == waiting(queue, "auto") == []


def test_korean_never_reaches_keras_though_only_its_worker_is_alive(queue: OcrQueue) -> None:
    announce(queue, "keras", "eng", fixed=True)
    status = queue.submit(IMAGE, engine="auto", languages="kor").status()
    assert status.route is not None
    assert status.route.engines == ("tesseract", "rapid")
    lone = queue.settings.model_copy(update={"auto_engines": ("keras",)})
    with OcrQueue(lone) as other, pytest.raises(LanguageUnsupported, match="keras reads eng only"):
        other.submit(IMAGE, engine="auto", languages="kor")
    assert waiting(queue, "keras") == []


def test_auto_as_the_default_engine_and_without_one_for_a_comparison(settings: WorkerSettings) -> None:
    with OcrQueue(settings.model_copy(update={"default_engine": "auto"})) as queue:
        assert queue.submit(IMAGE).status().engine == "tesseract"
        status = queue.submit(IMAGE, compare=["rapid", "tesseract"]).status()
        assert status.route is not None
        assert (status.engine, status.route.mode) == ("rapid", "compare")
        with pytest.raises(JobMalformed, match="named twice"):
            queue.submit(IMAGE, engine="rapid", fallback=["rapid"])


def test_the_shortest_queue_counts_what_waits_and_what_was_just_submitted(settings: WorkerSettings) -> None:
    shortest = settings.model_copy(update={"auto_policy": "shortest", "auto_engines": ("tesseract", "rapid")})
    with OcrQueue(shortest) as queue:
        queue.submit_many([IMAGE] * 20, engine="tesseract")
        found = read_engines(registry_of(queue))
        assert found["tesseract"].waiting == {"high": 0, "normal": 20, "low": 0}
        jobs = queue.submit_many([IMAGE] * 30, engine="auto")
        engines = [status.engine for status in registry_of(queue).statuses([job.id for job in jobs]) if status]
        assert engines[:20] == ["rapid"] * 20
        assert engines.count("tesseract") == 5


def test_a_submission_reads_the_installation_once(queue: OcrQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    executed: list[int] = []
    pipeline = type(registry_of(queue).client.pipeline())
    execute = pipeline.execute
    monkeypatch.setattr(
        pipeline, "execute", lambda self, *arguments, **named: executed.append(1) or execute(self, *arguments, **named)
    )
    begin = time.monotonic()
    queue.submit_many([Job(image=IMAGE, engine="tesseract") for _ in range(1500)])
    queue.submit(IMAGE, engine="auto")
    assert len(executed) <= 1 + (time.monotonic() - begin) // 2


def test_a_worker_makes_the_route_of_a_job_sent_by_name(queue: OcrQueue) -> None:
    announce(queue, "rapid", "eng", "kor", fixed=True)
    job = make_route(Job(image=IMAGE, engine="auto"), queue.settings, read_engines(registry_of(queue)))
    assert job.route is not None
    assert job.route.reason == (
        "rapid: the only one left of auto's engines; tesseract left out: no live worker; keras left out: no live worker"
    )


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_the_queues_of_auto_are_shown_while_something_waits_there(settings: WorkerSettings, queue: OcrQueue) -> None:
    assert not [lane for lane in queue.queues() if lane.engine == "auto"]
    job = Job(image=IMAGE, engine="auto", priority="low")
    message = envelope(job.id, kwargs={"job": job.to_message()})
    registry_of(queue).client.lpush(registry_of(queue).keys.foreign(job.queue), json.dumps(message))
    (lane,) = (lane for lane in queue.queues() if lane.engine == "auto")
    assert (lane.name, lane.waiting, lane.foreign, lane.workers) == ("ocr.auto.low", 0, 1, 0)
    shown = ocrqueue(settings, "queues")
    assert "ocr.auto.low" in shown.stdout
    assert shown.stderr.startswith("messages by name become jobs when a worker is up, or by: ocrqueue reconcile\n")
    assert "auto" not in queue.engines()
    assert "auto" not in {status.name for status in queue.engine_statuses()}


def test_submit_takes_engines_and_options_for_each(settings: WorkerSettings, queue: OcrQueue) -> None:
    def routed(*arguments: str) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        done = ocrqueue(settings, "submit", IMAGE, *arguments)
        assert done.exit_code == 0, done.output
        (job,) = registry_of(queue).jobs([done.stdout.strip()])
        assert job is not None
        assert job.route is not None
        return job.route.mode, job.route.engines, job.options

    auto = routed("-e", "auto", "-o", "tesseract.psm=6", "-o", "rapid.box_thresh=0.4")
    assert auto == (
        "fallback",
        ("tesseract", "rapid", "keras"),
        {"tesseract": {"psm": 6}, "rapid": {"box_thresh": 0.4}},
    )
    assert routed("--fallback", "rapid,vision")[:2] == ("fallback", ("tesseract", "rapid", "vision"))
    assert routed("-e", "rapid", "--fallback", "keras", "--fallback", "vision")[1] == ("rapid", "keras", "vision")
    assert routed("--compare", "rapid,tesseract")[:2] == ("compare", ("rapid", "tesseract"))
    wrong = ocrqueue(settings, "submit", IMAGE, "-e", "auto", "-o", "psm=6")
    assert wrong.exit_code == 2
    assert "ENGINE.KEY, such as tesseract.psm=6" in wrong.stderr
    refused = ocrqueue(settings, "submit", IMAGE, "-e", "keras", "-l", "kor", "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "language.unsupported"


def test_status_shows_the_route_and_how_each_engine_fared(settings: WorkerSettings, queue: OcrQueue) -> None:
    job = make_route(Job(image=IMAGE, engine="tesseract", fallback=("rapid", "vision")), settings, {})
    assert job.route is not None
    step = Step(engine="tesseract", pages=3, pages_sent_on=1, lines_sent_on=4, mean_confidence=0.71, seconds=2.5)
    route = job.route.after(step).after(Step(engine="rapid", error="engine.failed"))
    job = job.model_copy(update={"route": route, "engine": route.engine})
    list(registry_of(queue).submit([job]))
    shown = ocrqueue(settings, "status", job.id).stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for line in (
        "engine vision",
        "asked tesseract",
        "route tesseract -> rapid -> vision",
        "why tesseract, then rapid, then vision, as asked",
        "tesseract 3 pages, confidence 0.71, 2.50 s, 1 pages sent on, 4 lines sent on",
        "rapid 0 pages, confidence -, 0.00 s, engine.failed",
        "vision its turn",
    ):
        assert line in lines, shown
    as_json = json.loads(ocrqueue(settings, "status", job.id, "--json").stdout)
    assert as_json["route"]["trail"][0]["mean_confidence"] == 0.71


def test_engines_show_workers_queues_pace_and_cost(settings: WorkerSettings, queue: OcrQueue) -> None:
    announce(queue, "tesseract", *(f"lang{number}" for number in range(120)))
    announce(queue, "vision")
    queue.submit_many([IMAGE] * 3, engine="vision", priority="low")
    client, keys = registry_of(queue).client, registry_of(queue).keys
    client.hset(keys.billed("vision"), f"{datetime.now(UTC):%Y-%m}", 2500)
    client.hset(keys.pages("vision"), str(int(time.time()) // 10), 20)
    found = {status.name: status for status in queue.engine_statuses()}
    assert found["vision"].waiting == {"high": 0, "normal": 0, "low": 3}
    assert (found["vision"].pages_billed, found["vision"].cost) == (2500, 3.75)
    assert found["vision"].pages_per_minute == pytest.approx(120, abs=61)
    assert (found["tesseract"].cost, found["tesseract"].pages_per_minute) == (None, None)
    shown = ocrqueue(settings, "engines").stdout
    assert ["vision", "1", "-", "0", "0", "3"] in [line.split()[:6] for line in shown.splitlines()]
    assert "3.75" in shown
    assert "lang0 lang1" in shown
    assert "and 110 more" in shown
    as_json = json.loads(ocrqueue(settings, "engines", "--json").stdout)
    assert as_json["vision"]["cost"] == 3.75
    assert [worker["name"] for worker in as_json["tesseract"]["workers"]] == ["tesseract-1@host"]
