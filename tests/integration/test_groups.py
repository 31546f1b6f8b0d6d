"""Groups: several jobs in one message. What is in it, what counts, and how each of its jobs ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from ocrqueue import AsyncOcrQueue, Job, OcrQueue
from ocrqueue.cli.program import program
from ocrqueue.core import Holder, Registry
from ocrqueue.core.celery_messages import celery_message, job_in_message, jobs_in_message
from ocrqueue.core.reconciler import Reconciler, Reconciliation
from ocrqueue.core.script_arguments import job_json
from ocrqueue.errors import EngineTimeout, JobMalformed, QueueFull, SourceUnavailable
from ocrqueue.job.groups import MOST_JOBS
from ocrqueue.settings import Settings
from ocrqueue.settings.per_engine import PerEngine
from ocrqueue_worker.broker.envelopes import MAX_ENTRY_BYTES, accepted
from tests.integration.conftest import Installation
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import Worker, as_environment, environment, wait_until

pytest_plugins = ["tests.support.server_fixtures"]

IMAGE = "s3://bucket/page.png"


@pytest.fixture
def lone_queue(settings: Settings) -> Iterator[OcrQueue]:
    """Without workers."""
    with OcrQueue(settings) as queue:
        yield queue


@pytest.fixture
def registry(lone_queue: OcrQueue) -> Registry:
    return lone_queue.registry


def raw(registry: Registry, queue: str = "ocr.null") -> list[bytes]:
    """The messages that wait, the first to be taken first."""
    return list(reversed(registry.client.lrange(registry.keys.queue(queue), 0, -1)))


def groups(registry: Registry, queue: str = "ocr.null") -> list[list[str]]:
    return [[job["id"] for job in jobs_in_message(message)] for message in raw(registry, queue)]


def jobs(number: int, **fields: Any) -> list[Job]:
    return [Job(image=f"{IMAGE}?{position}", engine="null", **fields) for position in range(number)]


def submit(registry: Registry, to_submit: list[Job], group: int) -> list[str]:
    return list(registry.submit(to_submit, group=group))


def lane_length(queue: OcrQueue, name: str = "ocr.null") -> int:
    return next(lane.waiting for lane in queue.queues() if lane.name == name)


# --- what is in a message ---------------------------------------------------------------------------------------------


def test_so_many_jobs_travel_in_one_message_and_each_has_its_record(lone_queue: OcrQueue, registry: Registry) -> None:
    images = [f"{IMAGE}?{number}" for number in range(10)]
    submitted = [job.id for job in lone_queue.submit_many(images, engine="null", group=4, tag='Größe "\\/\n\x7f')]
    assert groups(registry) == [submitted[:4], submitted[4:8], submitted[8:]]
    first = jobs_in_message(raw(registry)[0])
    assert [Job.model_validate(job) for job in first] == [registry.job(job_id) for job_id in submitted[:4]]
    assert {lone_queue.job(job_id).status().state for job_id in submitted} == {"queued"}
    assert [job["image"] for job in first] == images[:4]


def test_what_is_left_over_is_a_group_of_its_own_and_without_a_group_nothing_is(registry: Registry) -> None:
    submit(registry, jobs(4), 3)
    submit(registry, jobs(2), 1)
    assert [len(group) for group in groups(registry)] == [3, 1, 1, 1]
    is_group = ["'jobs'" in json.loads(message)["headers"]["kwargsrepr"] for message in raw(registry)]
    assert is_group == [True, True, False, False]


def test_the_message_is_celerys_but_for_its_body(registry: Registry) -> None:
    two = jobs(2, options={"words": 3}, tag="x")
    submit(registry, two, 2)
    ours, single = json.loads(raw(registry)[0]), json.loads(celery_message(two[0]))
    assert set(ours) == set(single)
    assert set(ours["headers"]) == set(single["headers"])
    assert set(single["properties"]) - set(ours["properties"]) == {"body_encoding"}
    assert json.loads(ours["body"]) == [[], {"jobs": [json.loads(job_json(job)) for job in two]}, {}]
    assert "bucket" not in json.dumps(ours["headers"]), "monitors see no reference"
    taken = json.loads(accepted(raw(registry)[0], "ocr.null", 60))
    assert [job["id"] for job in jobs_in_message(json.dumps(taken))] == [job.id for job in two]
    assert taken["headers"]["id"] == ours["headers"]["id"] not in {job.id for job in two}
    assert taken["headers"]["ignore_result"] is True


def test_only_what_can_be_read_together_is_in_one_group(registry: Registry) -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {"options": {"words": 2}},
        {"languages": ("kor",)},
        {"time_limit_s": 5},
        {"tag": "its own", "crops": "none", "cache": False},
    ]
    mixed = [job for _ in range(2) for kind in kinds for job in jobs(1, **kind)]
    mixed += [Job(image=IMAGE, engine="tesseract"), *jobs(1, priority="high")]
    submit(registry, mixed, 8)
    ids = [job.id for job in mixed]
    together = [[ids[n] for n in positions] for positions in ((0, 4, 5, 9), (1, 6), (2, 7), (3, 8))]
    assert sorted(groups(registry)) == sorted(together)
    assert groups(registry, "ocr.tesseract") == [[ids[10]]]
    assert groups(registry, "ocr.null.high") == [[ids[11]]]


def test_a_group_stays_far_below_what_workers_take(registry: Registry) -> None:
    large = jobs(40, options={"words": '"' * 30_000})
    assert submit(registry, large, MOST_JOBS) == [job.id for job in large]
    assert len(raw(registry)) > 1
    assert max(map(len, raw(registry))) < MAX_ENTRY_BYTES
    assert [job_id for group in groups(registry) for job_id in group] == [job.id for job in large]


@pytest.mark.parametrize("size", [0, -1, MOST_JOBS + 1, 2.0, True, "8"])
async def test_a_group_has_a_size(lone_queue: OcrQueue, size: Any) -> None:
    with pytest.raises(JobMalformed, match="1 to 64"):
        lone_queue.submit_many([IMAGE], engine="null", group=size)
    async with AsyncOcrQueue(lone_queue.settings) as queue:
        with pytest.raises(JobMalformed):
            await queue.submit_many([IMAGE], engine="null", group=size)
    assert groups(lone_queue.registry) == []


def test_what_was_submitted_before_is_not_in_the_group(registry: Registry) -> None:
    known, keyed = jobs(1)[0], jobs(1, idempotency_key="order 4711")[0]
    submit(registry, [known, keyed], 1)
    fresh, again = jobs(2), jobs(1, idempotency_key="order 4711")[0]
    twice = jobs(1, idempotency_key="order 4712") + jobs(1, idempotency_key="order 4712")
    stands = submit(registry, [fresh[0], known, again, *twice, fresh[1]], 8)
    assert stands == [fresh[0].id, known.id, keyed.id, twice[0].id, twice[0].id, fresh[1].id]
    assert groups(registry)[2:] == [[fresh[0].id, twice[0].id, fresh[1].id]]
    assert registry.client.exists(registry.keys.record(again.id)) == 0
    assert submit(registry, [*fresh, known], 8) == [fresh[0].id, fresh[1].id, known.id]
    assert len(raw(registry)) == 3, "nothing new, no message"


async def test_asyncio_and_the_command_line_make_the_same_groups(settings: Settings, registry: Registry) -> None:
    async with AsyncOcrQueue(settings) as queue:
        submitted = await queue.submit_many([IMAGE] * 5, engine="null", group=5)
    variables: dict[str, str | None] = {**environment(as_environment(settings))}
    names = "".join(f"{IMAGE}?{number}\n" for number in range(5))
    done = CliRunner(env=variables).invoke(program, ["submit", "-", "-e", "null", "--group", "3"], input=names)
    printed = done.stdout.split()
    assert groups(registry) == [[job.id for job in submitted], printed[:3], printed[3:]]
    refused = CliRunner(env=variables).invoke(program, ["submit", IMAGE, "--group", "65"])
    assert refused.exit_code == 2


# --- how long a queue is ----------------------------------------------------------------------------------------------


def test_a_queue_is_as_long_as_its_jobs_are_many(settings: Settings) -> None:
    with OcrQueue(settings.model_copy(update={"max_queue_length": PerEngine(10)})) as queue:
        queue.submit_many(jobs(6), group=4)
        assert lane_length(queue) == 6
        with pytest.raises(QueueFull) as refused:
            queue.submit_many(jobs(9), group=4)
        assert [len(group) for group in groups(queue.registry)] == [4, 2, 4]
        assert [len(refused.value.submitted), len(refused.value.refused)] == [4, 5]
        assert refused.value.info.details["waiting"] == 10
        (first, *_) = raw(queue.registry)
        queue.registry.client.rpop(queue.registry.keys.queue("ocr.null"))
        group_id = json.loads(first)["headers"]["id"]
        for _ in range(2):
            queue.registry.taken("ocr.null", group_id)
            assert lane_length(queue) == 6
        assert len(queue.submit_many(refused.value.refused[:4], group=4)) == 4
        with pytest.raises(QueueFull):
            queue.submit(IMAGE, engine="null")


def test_a_group_whose_message_was_lost_does_not_count_for_ever(lone_queue: OcrQueue) -> None:
    lone_queue.submit_many(jobs(8), group=8)
    registry = lone_queue.registry
    registry.client.rpop(registry.keys.queue("ocr.null"))
    assert lane_length(lone_queue) == 0
    lone_queue.submit_many(jobs(2), group=2)
    assert lane_length(lone_queue) == 2


# --- lost, and delivered again ----------------------------------------------------------------------------------------


def age(registry: Registry, seconds: float) -> None:
    """Make every sign of life older."""
    for index in (registry.keys.queued(), registry.keys.running()):
        for job_id in registry.client.zrange(index, 0, -1):
            registry.client.zincrby(index, -seconds * 1000, job_id)


def test_a_job_in_a_waiting_group_is_not_lost_and_in_one_that_is_gone_it_is(registry: Registry) -> None:
    here, gone = jobs(3), jobs(3)
    submit(registry, gone, 3)
    submit(registry, here, 3)
    registry.client.rpop(registry.keys.queue("ocr.null"))
    registry.begin(gone[0], "w", in_group=True)
    registry.cancel(gone[1].id)
    reconciler = Reconciler(registry, storage=None)
    age(registry, 31)
    assert reconciler.run() == Reconciliation(requeued=(gone[0].id,), republished=(gone[2].id,))
    assert sorted(groups(registry)) == sorted([[gone[0].id], [gone[2].id], [job.id for job in here]])
    age(registry, 31)
    assert reconciler.run() == Reconciliation()


def test_in_a_long_queue_the_jobs_of_a_group_tell_how_far_it_was_searched(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrqueue.core.reconciler._SEARCHED", 2)
    batches = []
    for _ in range(4):
        age(registry, 1)
        batches.append(jobs(2))
        submit(registry, batches[-1], 2)
    registry.cancel(batches[2][0].id)
    messages = raw(registry)
    for lost in (messages[0], messages[3]):
        registry.client.lrem(registry.keys.queue("ocr.null"), 1, lost)  # type: ignore[arg-type]  # redis-py wants str
    age(registry, 31)
    found = Reconciler(registry, storage=None).run().republished
    assert set(found) == {job.id for job in batches[0]}, "the last may stand behind what was searched"


def test_a_job_is_begun_in_a_group_once_and_then_goes_alone(registry: Registry) -> None:
    job = jobs(1)[0]
    submit(registry, [job], 1)
    registry.client.rpop(registry.keys.queue("ocr.null"))
    begun = registry.begin(job, "w", in_group=True, delivery="first")
    assert (begun.verdict, begun.number) == ("run", 1)
    assert registry.begin(job, "w", in_group=True, delivery="first") == begun, "the same question, asked again"
    assert registry.begin(job, "w", in_group=True).verdict == "elsewhere"
    assert registry.abandon(job.id, "w")
    assert registry.begin(job, "w", in_group=True).verdict == "alone"
    assert registry.status(job.id).state == "queued"
    assert groups(registry) == [[job.id]]
    alone = registry.begin(job, "w")
    assert (alone.verdict, alone.number) == ("run", 2)
    assert registry.client.hget(registry.keys.record(job.id), "deliveries") == b"2", "neither more nor less"


def test_a_job_cancelled_while_its_group_was_lost_ends_with_the_group(registry: Registry) -> None:
    job = jobs(1)[0]
    registry.begin(job, "w", in_group=True)
    registry.cancel(job.id)
    registry.abandon(job.id, "w")
    assert registry.begin(job, "w", in_group=True).verdict == "cancelled"
    assert groups(registry) == []


def test_what_waits_for_a_retry_stays_there_when_its_group_is_put_back(registry: Registry) -> None:
    job = jobs(1)[0]
    registry.begin(job, "w", in_group=True)
    registry.release(job, SourceUnavailable().info, Holder("w", 1), pause_s=60)
    for put_back in (registry.release, registry.hand_back):
        assert put_back(job, EngineTimeout().info, Holder("w")) == "elsewhere"
    assert registry.begin(job, "w", in_group=True).verdict == "elsewhere"
    assert (groups(registry), registry.client.zcard(registry.keys.delayed())) == ([], 1)


# --- read by a worker -------------------------------------------------------------------------------------------------


def picture(width: int) -> Image.Image:
    return Image.new("L", (width, 50), 255)


def log_lines(worker: Worker, **wanted: object) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in worker.log_text().splitlines() if line.startswith("{")]
    return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]


def told_of_group(worker: Worker, job_id: str) -> dict[str, Any]:
    """What the log says at the end of the group in which the job was begun."""
    (began, *_) = log_lines(worker, event="job started", job_id=job_id)
    ended: list[dict[str, Any]] = []

    def logged() -> list[dict[str, Any]]:
        ended.extend(log_lines(worker, event="group ended", group_id=began["group_id"]))
        return ended

    wait_until(logged, 60, "it is logged")
    return {name: ended[0][name] for name in ("jobs", "pages", "calls", "given_back")}


def test_pages_of_several_jobs_go_through_the_engine_together(installation: Installation) -> None:
    queue, options = installation.queue, {"together": 4, "words": 2}
    images = [picture(100), *map(picture, range(101, 104))]
    submitted = queue.submit_many(map(png, images), engine="null", options=options, tag="together", group=4)
    for number, job in enumerate(submitted):
        document = job.result(timeout=60)
        assert (document.job_id, document.tag, document.status) == (job.id, "together", "succeeded")
        (page,) = document.pages
        assert (page.number, page.width) == (1, 100 + number), "each has its own page"
        for word in document.words():
            assert word.crop is not None
            assert job.id in word.crop.uri
        status = job.status()
        assert (status.attempts, status.pages, status.words) == (1, 1, 2)
        assert 0 < status.timings.ocr_s <= status.timings.total_s
    found = told_of_group(installation.worker, submitted[0].id)
    assert found == {"jobs": 4, "pages": 4, "calls": 1, "given_back": 0}


def test_pages_of_long_and_short_images_fill_the_calls(installation: Installation) -> None:
    pages = [1, 3, 1, 5, 1]
    images = [tiff(*(picture(100 + page) for page in range(count))) for count in pages]
    options = {"together": 4}
    submitted = installation.queue.submit_many(images, engine="null", options=options, crops="none", group=5)
    for count, job in zip(pages, submitted, strict=True):
        found = [(page.number, page.width) for page in job.result(timeout=60).pages]
        assert found == [(1 + number, 100 + number) for number in range(count)]
    found_in_log = told_of_group(installation.worker, submitted[0].id)
    assert found_in_log == {"jobs": 5, "pages": 11, "calls": 3, "given_back": 0}


def test_a_job_whose_image_is_bad_fails_alone(installation: Installation) -> None:
    good = png(text_picture("Hello"))
    images = [good, good[: len(good) // 2], "s3://no-such-bucket-of-mine/x.png", good, b"no image", good]
    submitted = installation.queue.submit_many(images, engine="null", options={"together": 8}, group=6)
    ends = [job.wait(60) for job in submitted]
    assert [status.error.code if status.error else status.state for status in ends] == [
        "succeeded",
        "image.truncated",
        "source.bucket_not_found",
        "succeeded",
        "image.not_recognised",
        "succeeded",
    ]
    assert {status.attempts for status in ends} == {1}
    assert told_of_group(installation.worker, submitted[0].id)["pages"] == 3


def test_wrong_options_fail_each_job_with_their_error(installation: Installation) -> None:
    submitted = installation.queue.submit_many([png(picture(9))] * 2, engine="null", options={"x": 1}, group=2)
    codes = {status.error.code for _, status in installation.queue.watch(submitted, 60) if status.error}
    assert codes == {"option.unknown"}


@pytest.mark.parametrize(
    ("fault", "code"), [("error", None), ("bug", "engine.failed"), ("memory", "engine.out_of_memory")]
)
def test_what_the_engine_says_in_a_group_is_asked_again_of_each_job_alone(
    installation: Installation, fault: str, code: str | None
) -> None:
    """The second image alone has a second page, and with it the fault."""
    images = [png(picture(90)), tiff(picture(91), picture(92)), png(picture(93))]
    options = {"together": 8, "fault": fault, "fault_page": 2}
    submitted = installation.queue.submit_many(images, engine="null", options=options, group=3)
    first, bad, last = (job.wait(60) for job in submitted)
    assert {first.state, last.state} == {"succeeded"}
    innocent = 1 if fault == "error" else 2
    assert (first.attempts, bad.attempts, last.attempts) == (innocent, 2, innocent)
    assert bad.state == ("failed" if code else "partial")
    assert bad.error is not None
    assert bad.error.code == (code or "engine.failed")
    found = told_of_group(installation.worker, submitted[0].id)
    assert found["given_back"] == (1 if fault == "error" else 3)


def test_a_job_that_is_worth_another_try_waits_for_it_alone(installation: Installation) -> None:
    images = [png(picture(90)), tiff(picture(91), picture(92)), png(picture(93))]
    options = {"together": 1, "fault": "retryable", "fault_page": 2}
    submitted = installation.queue.submit_many(images, engine="null", options=options, group=3)
    first, bad, last = (job.wait(60) for job in submitted)
    assert (first.state, first.attempts, last.state, last.attempts) == ("succeeded", 1, "succeeded", 1)
    assert (bad.state, bad.error and bad.error.code, bad.attempts) == ("failed", "source.unavailable", 2)


def test_an_engine_that_reads_page_by_page_takes_a_group_in_turn(installation: Installation) -> None:
    image = png(text_picture("Group 17", size=(641, 161)))
    submitted = installation.queue.submit_many([image, image, "file:///nowhere"], group=3)
    first, second, bad = (job.wait(60) for job in submitted)
    assert (first.state, first.cached, second.state, second.cached) == ("succeeded", False, "succeeded", True)
    assert bad.state == "failed"
    assert submitted[1].result().text == "Group 17"
    assert told_of_group(installation.worker, submitted[0].id)["calls"] == 1


def test_a_hostile_group_is_refused_and_its_jobs_are_not_run(installation: Installation) -> None:
    """Whoever made it up has no job in the system; what came from submit_many would be found by its record."""
    queue, good = installation.queue, jobs(2)
    registry = queue.registry
    message = json.loads(celery_message(good[0]))
    del message["properties"]["body_encoding"]
    message["body"] = json.dumps([[], {"jobs": [good[0].to_message(), good[0].to_message()]}, {}])
    registry.client.lpush(registry.keys.queue("ocr.null"), json.dumps(message))
    status = None
    wait_until(lambda: registry.client.exists(registry.keys.record(good[0].id)), 60, "it is refused")
    status = queue.job(good[0].id).wait(60)
    assert (status.state, status.error and status.error.code) == ("failed", "job.malformed")
    malformed = good[1].to_message() | {"crops": "all"}
    message["headers"]["id"] = message["properties"]["correlation_id"] = "a-group"
    message["body"] = json.dumps([[], {"jobs": [malformed, jobs(1)[0].to_message() | {"image": IMAGE}]}, {}])
    registry.client.lpush(registry.keys.queue("ocr.null"), json.dumps(message))
    wait_until(lambda: registry.client.exists(registry.keys.record(good[1].id)), 60, "it fails alone")
    status = queue.job(good[1].id).wait(60)
    assert (status.state, status.error and status.error.code) == ("failed", "job.malformed")
    assert job_in_message(json.dumps(message))["id"] == good[1].id
