"""Uploaded images: which jobs refer to one, and that none is removed to which a job refers or is about to."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.core import Outcome, WorkerRegistry
from ocrqueue.core.check import check
from ocrqueue.core.dead_letters import DeadLetters
from ocrqueue.core.removal import removal
from ocrqueue.errors import EngineFailed
from ocrqueue.job import Job
from ocrqueue.job.references import input_name
from ocrqueue.settings import WorkerSettings
from ocrqueue.submitting import submission
from ocrqueue.submitting.image_input import HashedFile
from tests.support.moves import begun, job, submit, succeeded
from tests.support.processes import wait_until

NAME = f"{'0123456789abcdef' * 4}.png"
IMAGE = f"s3://bucket/prefix/inputs/{NAME}"
DAY_MS = 86_400_000


def test_a_file_with_its_sum_is_uploaded_once(settings: WorkerSettings, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data := b"\x89PNG" + bytes(5_000_000))
    with OcrQueue(settings) as queue, path.open("rb") as file:
        file.seek(1000)
        image = HashedFile(file, hashlib.sha256(data).hexdigest(), "mine.png")
        first, second = (queue.submit(image, engine="null").status() for _ in range(2))
        assert first.image == second.image == queue.storage.uri(f"inputs/{image.sha256}.png")
        assert queue.storage.read_uri(first.image) == data
        assert first.name == "mine.png"


def removable(registry: WorkerRegistry, leaving: str = "", name: str = NAME) -> bool:
    with removal(registry, [(name, leaving)]) as claimed:
        return claimed.inputs == (name,)


def life_ms(registry: WorkerRegistry, name: str = NAME) -> int:
    """Of what is known of the image; -1: for good, -2: nothing is."""
    return int(registry.client.pttl(registry.keys.input(name)))


def fail(registry: WorkerRegistry, given: Job) -> None:
    hold = begun(registry)
    assert hold.job_id == given.id
    registry.finish(hold, given, Outcome(job_id=given.id, state="failed", error=EngineFailed().info))


def test_an_image_stays_while_a_job_is_at_work_and_an_hour_after_its_record(registry: WorkerRegistry) -> None:
    given = job(image=IMAGE)
    assert removable(registry)
    submit(registry, given)
    assert (removable(registry), life_ms(registry)) == (False, -1)
    hold = begun(registry)
    assert (removable(registry), life_ms(registry)) == (False, -1)
    registry.finish(hold, given, succeeded(hold))
    assert not removable(registry)
    expected_ms = registry.client.pttl(registry.keys.record(given.id)) + 3_600_000
    assert abs(life_ms(registry) - expected_ms) < 60_000


def test_who_cancels_ends_the_reference_too(registry: WorkerRegistry) -> None:
    given = job(image=IMAGE)
    submit(registry, given)
    assert registry.cancel(given.id) == "cancelled"
    assert 0 < life_ms(registry) <= registry.settings.record_ttl_s * 1000 + 3_600_000


def test_the_last_of_several_jobs_counts(registry: WorkerRegistry) -> None:
    first, second = job(image=IMAGE), job(image=IMAGE)
    submit(registry, first, second)
    fail(registry, first)
    assert (removable(registry), life_ms(registry)) == (False, -1)
    hold = begun(registry)
    registry.finish(hold, second, succeeded(hold))
    assert life_ms(registry) > registry.settings.dead_letter_ttl_s * 1000, "the dead letter's record stays longer"
    assert not removable(registry, leaving=first.id), "the second has it still"
    assert life_ms(registry) < registry.settings.dead_letter_ttl_s * 1000
    assert removable(registry, leaving=second.id)
    assert life_ms(registry) == -2
    registry.client.delete(*(registry.keys.record(each.id) for each in (first, second)))
    registry.client.delete(registry.keys.dead())


def test_a_replayed_job_refers_for_good_again(registry: WorkerRegistry) -> None:
    given = job(image=IMAGE)
    submit(registry, given)
    fail(registry, given)
    assert life_ms(registry) > 0
    DeadLetters(registry).replay(given.id)
    assert life_ms(registry) == -1
    assert check(registry) == []


def test_a_job_of_an_image_elsewhere_leaves_no_key_and_no_field(registry: WorkerRegistry) -> None:
    given = job(image="s3://bucket/inputs/page.png")
    submit(registry, given)
    assert not registry.client.hexists(registry.keys.record(given.id), "input")
    assert registry.client.keys(f"{registry.keys.root}input:*") == []


def test_many_jobs_of_the_past_are_forgotten_a_few_at_a_time(registry: WorkerRegistry) -> None:
    registry.client.zadd(registry.keys.input(NAME), {f"old-{number}": number for number in range(35)})
    for rest in (25, 15, 5, 0):
        registry.announce_input(NAME, "new")
        assert registry.client.zcard(registry.keys.input(NAME)) == rest + 1


def test_an_image_that_is_announced_stays_for_a_day(registry: WorkerRegistry) -> None:
    assert registry.announce_input(NAME, "x")
    assert not removable(registry)
    assert DAY_MS - 100_000 < life_ms(registry) <= DAY_MS
    submit(registry, job(id="x", image=IMAGE))
    assert registry.announce_input(NAME, "x"), "asked again, late"
    assert life_ms(registry) == -1


def test_an_image_uploaded_for_a_submission_that_is_an_earlier_job_is_let_go_of(registry: WorkerRegistry) -> None:
    other = IMAGE.replace("0123", "3210")
    first = job(image=other, idempotency_key="k")
    again = job(image=IMAGE, idempotency_key="k")
    submit(registry, first)
    assert registry.announce_input(NAME, again.id)
    assert submit(registry, again) == [first.id]
    assert removable(registry)
    assert submit(registry, first) == [first.id]
    assert not removable(registry, name=input_name(other) or "")


def test_a_job_keeps_its_image_that_comes_again_with_the_key_of_another(registry: WorkerRegistry) -> None:
    own, other = job(id="own", image=IMAGE), job(id="other", idempotency_key="k")
    submit(registry, own, other)
    again = own.model_copy(update={"idempotency_key": "k"})
    for _ in range(2):
        assert registry.announce_input(NAME, own.id)
        assert submit(registry, again) == [other.id]
        assert not removable(registry)
    hold = begun(registry)
    assert registry.finish(hold, own, succeeded(hold)) == "succeeded"
    assert submit(registry, again) == [other.id]
    assert not removable(registry), "its record stays"
    # what came with the key is another image
    elsewhere = IMAGE.replace("0123", "3210")
    assert registry.announce_input(input_name(elsewhere) or "", own.id)
    assert submit(registry, again.model_copy(update={"image": elsewhere})) == [other.id]
    assert removable(registry, name=input_name(elsewhere) or "")


def test_what_is_being_removed_is_nobody_elses_and_is_not_announced(registry: WorkerRegistry) -> None:
    with removal(registry, [(NAME, "")], ["gone"]) as first:
        assert (first.inputs, first.job_ids, first.in_time()) == ((NAME,), ("gone",), True)
        assert not registry.announce_input(NAME, "x")
        with removal(registry, [(NAME, "")], ["gone"]) as second:
            assert (second.inputs, second.job_ids) == ((), ())
        assert not registry.announce_input(NAME, "x"), "the second claim has ended nothing"
    assert registry.announce_input(NAME, "x")
    assert registry.client.keys(f"{registry.keys.root}removal:*") == []


def test_a_claim_whose_answer_was_lost_is_asked_for_again(registry: WorkerRegistry) -> None:
    asked = registry.arguments.claim_removal("token", 60, [(NAME, "")], ["gone"])
    assert registry.run("claim_removal", asked) == [1, 1]
    assert registry.run("claim_removal", asked) == [1, 1]
    assert registry.run("end_removal", registry.arguments.end_removal("other", [NAME, "gone"])) == 0
    assert registry.run("end_removal", registry.arguments.end_removal("token", [NAME, "gone"])) == 2


def test_a_claim_ends_by_itself(registry: WorkerRegistry) -> None:
    assert registry.run("claim_removal", registry.arguments.claim_removal("t", 0.05, [(NAME, "")], [])) == [1]
    wait_until(lambda: registry.announce_input(NAME, "x"), 60, "it ends")


def test_the_results_of_a_job_with_a_record_are_not_to_be_removed(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    with removal(registry, job_ids=[given.id, "gone"]) as claimed:
        assert claimed.job_ids == ("gone",)


def test_who_begins_while_an_earlier_result_is_removed_is_told(registry: WorkerRegistry) -> None:
    given = job(id="of-old")
    with removal(registry, job_ids=[given.id]):
        submit(registry, given)
        hold = begun(registry)
        start = registry.begin(hold, "worker@host", "null")
        assert (start.may_be_stored, start.is_being_removed) == (True, True)
    start = registry.begin(hold, "worker@host", "null")
    assert (start.may_be_stored, start.is_being_removed) == (True, False)


@pytest.mark.parametrize("face", ["sync", "async"])
def test_an_upload_waits_until_the_image_is_removed_and_stores_it_anew(
    settings: WorkerSettings, registry: WorkerRegistry, face: str
) -> None:
    data = b"\x89PNG of a kind"
    name = f"{hashlib.sha256(data).hexdigest()}.png"
    with OcrQueue(settings) as queue:
        queue.storage.put(f"inputs/{name}", data, "image/png")
        submitted: list[str] = []

        def submit_it() -> None:
            submitted.append(asyncio.run(in_loop(settings, data)) if face == "async" else queue.submit(data).id)

        with removal(registry, [(name, "")]) as claimed:
            assert claimed.inputs == (name,)
            thread = threading.Thread(target=submit_it)
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
            queue.storage.delete([f"inputs/{name}"])
        thread.join(60)
        assert queue.storage.exists(f"inputs/{name}")
        assert not removable(registry, name=name)
        assert registry_of(queue).client.zrange(registry.keys.input(name), 0, -1) == [submitted[0].encode()]


async def in_loop(settings: WorkerSettings, data: bytes) -> str:
    async with AsyncOcrQueue(settings) as queue:
        return (await queue.submit(data)).id


@pytest.mark.parametrize(("age_s", "stored_anew"), [(3600, False), (90_000, True)])
def test_an_image_that_was_stored_long_ago_is_stored_anew(
    settings: WorkerSettings, registry: WorkerRegistry, tmp_path: Path, age_s: int, stored_anew: bool
) -> None:
    with OcrQueue(settings) as queue:
        first = queue.submit(b"BM picture")
        (file,) = (tmp_path / "storage" / "inputs").iterdir()
        import os

        then = time.time() - age_s
        os.utime(file, (then, then))
        assert queue.submit(b"BM picture").id != first.id
        assert (time.time() - file.stat().st_mtime < age_s / 2) == stored_anew


def test_a_thousand_jobs_of_one_image_cost_what_one_does(registry: WorkerRegistry) -> None:
    given = [job(image=IMAGE) for _ in range(1000)]
    submit(registry, *given)
    assert registry.client.zcard(registry.keys.input(NAME)) == 1000
    for each in given[:10]:
        registry.cancel(each.id)
    assert (removable(registry), life_ms(registry)) == (False, -1)


@pytest.mark.parametrize("fault", ["no member", "member too many", "member at its end"])
def test_check_finds_what_does_not_agree(settings: WorkerSettings, fault: str) -> None:
    with closing(WorkerRegistry(settings)) as registry:
        given = job(image=IMAGE)
        submit(registry, given)
        assert check(registry) == []
        changes: dict[str, Sequence[object]] = {
            "no member": ("ZREM", registry.keys.input(NAME), given.id),
            "member too many": ("ZADD", registry.keys.input(NAME), "inf", "nobody"),
            "member at its end": ("ZADD", registry.keys.input(NAME), "1000", given.id),
        }
        registry.client.execute_command(*changes[fault])
        assert len(check(registry)) == 1


def test_who_uploads_without_a_job_is_told_of_no_removal(settings: WorkerSettings) -> None:
    with OcrQueue(settings) as queue:
        uri = submission.upload(b"GIF8", queue.storage)
        assert input_name(uri) is not None
