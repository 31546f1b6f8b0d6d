"""Batches of jobs: whatever becomes of each, the counts are right, and the end of the last is told once."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.core import Hold, Outcome, WorkerRegistry
from ocrqueue.core.batches import BatchStatus, wait_for_batch
from ocrqueue.core.check import check
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.scripts import load_script
from ocrqueue.core.steps import Commands, Sleep
from ocrqueue.errors import (
    BatchClosed,
    BatchInvalid,
    BatchUnknown,
    BrokerUnavailable,
    EngineFailed,
    ImageEmpty,
    JobMalformed,
    JobWaitTimeout,
)
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings
from tests.faults.messages_envelopes import envelope
from tests.support.moves import begun, end_lease, hold_of, job, reclaimed, submit, succeeded, take, taken_in
from tests.support.processes import wait_until

PAGE = "s3://bucket/page.png"
NAME = "case-7"


@pytest.fixture
def queue(settings: WorkerSettings) -> Iterator[OcrQueue]:
    with OcrQueue(settings) as made:
        yield made


def send(queue: OcrQueue, count: int, **fields: object) -> list[str]:
    given = {"engine": "null", "batch": NAME, **fields}
    return [each.id for each in queue.submit_many([PAGE] * count, **given)]


def end_next(registry: WorkerRegistry, error: type[EngineFailed] | type[ImageEmpty] | None = None) -> str:
    hold = begun(registry)
    state = "failed" if error else "succeeded"
    outcome = Outcome(job_id=hold.job_id, state="failed", error=error().info) if error else succeeded(hold)
    assert registry.finish(hold, job(id=hold.job_id), outcome) == state
    return hold.job_id


def counts(queue: OcrQueue, name: str = NAME, tenant: str = "") -> dict[str, int]:
    """Those that are not 0."""
    return {str(state): count for state, count in queue.batch(name, tenant=tenant).status().counts.items() if count}


def replies(registry: WorkerRegistry, queue_name: str) -> list[dict[str, object]]:
    """The summaries that were sent there, the oldest first."""
    found = []
    for text in reversed(registry.client.lrange(f"{registry.settings.key_prefix}{queue_name}", 0, -1)):
        message = json.loads(text)
        assert message["headers"]["task"] == "ocrqueue.batch_finished"
        found.append(json.loads(message["body"])[1]["summary"])
    return found


def test_counts_follow_the_jobs(registry: WorkerRegistry, queue: OcrQueue) -> None:
    ids = send(queue, 6)
    submit(registry, job())
    assert counts(queue) == {"queued": 6}
    hold = begun(registry)
    assert counts(queue) == {"queued": 5, "running": 1}
    # BEGIN and FINISH whose answers were lost are asked again
    registry.begin(hold, "worker@host", "null")
    assert counts(queue) == {"queued": 5, "running": 1}
    registry.release(hold, EngineFailed().info, is_retry=True)
    assert counts(queue) == {"queued": 6}
    hold = begun(registry)
    for _ in range(3):
        registry.finish(hold, job(id=hold.job_id), succeeded(hold))
    assert counts(queue) == {"queued": 5, "succeeded": 1}
    lost = begun(registry)
    end_lease(registry, lost)
    reclaimed(registry)
    assert counts(queue) == {"queued": 5, "succeeded": 1}
    end_next(registry, ImageEmpty)
    assert registry.cancel(ids[-1]) == "cancelled"
    assert registry.cancel(ids[-1]) == "cancelled"
    running = begun(registry)
    registry.cancel(running.job_id)
    assert counts(queue) == {"queued": 2, "running": 1, "succeeded": 1, "failed": 1, "cancelled": 1}
    registry.release(running, None)
    status = queue.batch(NAME).status()
    assert counts(queue) == {"queued": 2, "succeeded": 1, "failed": 1, "cancelled": 2}
    assert (status.jobs, status.ended, status.closed) == (6, 4, False)
    assert status.progress == pytest.approx(4 / 6)


def test_a_split_job_is_one(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 1)
    registry.split(begun(registry), 2, "pin")
    assert counts(queue) == {"running": 1}
    first = begun(registry)
    registry.release(first, EngineFailed().info, is_retry=True)
    assert counts(queue) == {"running": 1}
    end_lease(registry, begun(registry))
    reclaimed(registry)
    assert counts(queue) == {"running": 1}
    for part in (begun(registry), begun(registry)):
        registry.finish(part, job(id=part.job_id), succeeded(part), next_token=part.closing.token)
    (job_id,) = {status.id for status in queue.batch(NAME).jobs()}
    # the closing part's worker is lost
    closing = registry.client.hget(registry.keys.record(job_id), "place")
    assert closing == b"hand"
    registry.client.zadd(registry.keys.leases(), {job_id: 1}, xx=True)
    reclaimed(registry)
    assert counts(queue) == {"queued": 1}
    end_next(registry)
    assert counts(queue) == {"succeeded": 1}


def test_the_end_of_a_closed_batch_is_told_once(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 3)
    end_next(registry)
    end_next(registry, ImageEmpty)
    batch = queue.batch(NAME)
    for _ in range(3):
        assert batch.close(reply_to="done").closed_at is not None
    assert replies(registry, "done") == []
    hold = begun(registry)
    for _ in range(3):
        registry.finish(hold, job(id=hold.job_id), succeeded(hold))
    summary = {"batch": NAME, "tenant": "", "jobs": 3, "succeeded": 2, "partial": 0, "failed": 1, "cancelled": 0}
    assert replies(registry, "done") == [summary]
    assert batch.close(reply_to="done").ended_at is not None
    with pytest.raises(BatchClosed, match="has ended already: another gets no message"):
        batch.close(reply_to="another")
    assert (replies(registry, "done"), replies(registry, "another")) == ([summary], [])


def test_a_batch_whose_jobs_have_ended_ends_as_it_is_closed(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 2, tenant="acme")
    assert registry.cancel(end_next(registry)) == "succeeded"
    end_next(registry)
    assert queue.batch(NAME, tenant="acme").status().ended_at is None
    assert queue.batch(NAME, tenant="acme").close("done").ended_at is not None
    assert [(each["tenant"], each["succeeded"]) for each in replies(registry, "done")] == [("acme", 2)]


def test_a_batch_is_added_to_until_it_is_closed(registry: WorkerRegistry, queue: OcrQueue) -> None:
    first = send(queue, 2)
    send(queue, 2, close_batch=True)
    with pytest.raises(BatchClosed) as refused:
        queue.submit_many([job(), job(batch=NAME), job()])
    assert len(refused.value.submitted) == 1
    assert counts(queue) == {"queued": 4}
    # one that is known is no new one
    assert submit(registry, job(id=first[0], batch=NAME)) == [first[0]]
    assert counts(queue) == {"queued": 4}
    with pytest.raises(JobMalformed):
        queue.submit_many([PAGE], engine="null", close_batch=True)
    with pytest.raises(BatchUnknown):
        queue.batch("other").close()


def test_a_job_that_is_submitted_twice_counts_once(registry: WorkerRegistry, queue: OcrQueue) -> None:
    made = job(batch=NAME, idempotency_key="a")
    submit(registry, made, made, job(batch=NAME, idempotency_key="a"), job(batch="other", idempotency_key="a"))
    assert counts(queue) == {"queued": 1}
    with pytest.raises(BatchUnknown):
        queue.batch("other").status()


def test_a_replay_puts_the_job_back_and_the_end_is_told_anew(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 2)
    failed = end_next(registry, ImageEmpty)
    end_next(registry)
    queue.batch(NAME).close("done")
    for _ in range(2):
        queue.job(failed).replay()
    status = queue.batch(NAME).status()
    assert (status.ended_at, status.queued, status.failed) == (None, 1, 0)
    assert check(registry) == []
    with pytest.raises(BatchClosed):
        send(queue, 1)
    end_next(registry)
    assert [(each["failed"], each["succeeded"]) for each in replies(registry, "done")] == [(1, 1), (0, 2)]


def test_a_name_belongs_to_its_tenant(registry: WorkerRegistry, queue: OcrQueue) -> None:
    for count, tenant in ((1, ""), (2, "acme"), (3, "other")):
        send(queue, count, tenant=tenant)
    assert [counts(queue, tenant=tenant)["queued"] for tenant in ("", "acme", "other")] == [1, 2, 3]
    queue.batch(NAME, tenant="acme").close()
    send(queue, 1, tenant="other")
    assert len(queue.jobs(batch=NAME).jobs) == 1
    assert len(queue.jobs(batch=NAME, tenant="other", state="queued").jobs) == 4
    assert queue.batch(NAME, tenant="acme").cancel().jobs == 2
    assert counts(queue, tenant="other") == {"queued": 4}


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "-a", "a\n", "a" * 129, "<JOBS>", "é", "a*", "a\0"])
def test_no_other_name_gets_in(queue: OcrQueue, name: str) -> None:
    with pytest.raises(BatchInvalid):
        queue.batch(name)
    with pytest.raises(JobMalformed):
        queue.submit(PAGE, engine="null", batch=name)
    with pytest.raises(BatchInvalid):
        queue.batch("a", tenant=f"{name}/")


@pytest.mark.parametrize("reply_to", ["ocrqueue:leases", "ocr.null", "a b", "celery-task-meta-1", ""])
def test_no_key_of_ours_is_a_reply_queue(queue: OcrQueue, reply_to: str) -> None:
    send(queue, 1)
    with pytest.raises(BatchInvalid):
        queue.batch(NAME).close(reply_to)


def test_where_no_list_is_nobody_is_told(registry: WorkerRegistry, queue: OcrQueue) -> None:
    registry.client.set(f"{registry.settings.key_prefix}taken", "a text")
    send(queue, 1)
    queue.batch(NAME).close("taken")
    end_next(registry)
    assert queue.batch(NAME).status().ended_at is not None


def test_jobs_come_in_the_order_of_submission(registry: WorkerRegistry, queue: OcrQueue) -> None:
    ids = send(queue, 130)
    ids += send(queue, 130, priority="high")
    for _ in range(40):
        end_next(registry, random.Random(3).choice((None, ImageEmpty)))
    failed = [status.id for status in queue.batch(NAME).jobs() if status.state == "failed"]
    for job_id in failed[:5]:
        queue.job(job_id).replay()
    found = list(queue.batch(NAME).jobs())
    assert [status.id for status in found] == ids
    assert {status.batch for status in found} == {NAME}
    newest = queue.jobs(batch=NAME, limit=200)
    rest = queue.jobs(batch=NAME, limit=200, after=newest.next)
    listed = [*newest.jobs, *rest.jobs]
    at_work = [status.id for status in found if not status.finished]
    assert [status.id for status in listed[: len(at_work)]] == at_work[::-1], "they come first, the newest at the head"
    assert {status.id for status in listed[len(at_work) :]} == {status.id for status in found if status.finished}
    assert len(listed) == len(ids)


def test_waiting_ends_with_the_last_job(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 3)
    batch = queue.batch(NAME)
    seen: list[BatchStatus] = []
    with pytest.raises(JobWaitTimeout):
        batch.wait(0)
    with pytest.raises(BatchUnknown):
        queue.batch("other").wait()

    def end_all() -> None:
        wait_until(lambda: bool(seen), 60, "the wait has begun")
        for _ in range(3):
            end_next(registry)

    worker = threading.Thread(target=end_all)
    worker.start()
    assert batch.wait(60, seen.append).succeeded == 3
    worker.join()
    ended = [status.ended for status in seen]
    assert ended == sorted(ended)
    assert (ended[0], ended[-1]) == (0, 3)
    with pytest.raises(JobWaitTimeout, match=r"did not finish within 0.05 s: it is not closed\."):
        batch.wait(0.05, until_closed=True)
    batch.close()
    assert batch.wait(0, until_closed=True).closed


def test_waiting_outlasts_an_outage_as_far_as_is_asked(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    refusal = BrokerUnavailable("refused")
    refusal.may_pass = False
    for patient_s, timeout, outage, outlasts in (
        (0.0, None, BrokerUnavailable("gone"), False),
        (0.0, 60.0, BrokerUnavailable("gone"), True),
        (0.0, 60.0, refusal, False),
        (60.0, None, BrokerUnavailable("gone"), True),
    ):
        arguments = ScriptArguments(settings.model_copy(update={"redis_failover_s": patient_s}))
        steps = wait_for_batch(arguments, NAME, "", timeout, None, until_closed=False)
        next(steps)
        if not outlasts:
            with pytest.raises(BrokerUnavailable):
                steps.throw(outage)
            continue
        assert isinstance(steps.throw(outage), Sleep)
        assert isinstance(steps.send(None), Commands)
        with pytest.raises(StopIteration) as ended:
            steps.send([{b"jobs": b"1", b"succeeded": b"1"}])
        assert ended.value.value.succeeded == 1


def test_it_goes_with_the_last_of_its_records(registry: WorkerRegistry, queue: OcrQueue) -> None:
    client, settings = registry.client, registry.settings
    keys = [registry.keys.batch("", NAME), registry.keys.by_batch("", NAME)]
    send(queue, 2)
    assert [client.ttl(key) for key in keys] == [-1, -1]
    end_next(registry)
    assert [client.ttl(key) for key in keys] == [-1, -1]
    failed = end_next(registry, ImageEmpty)
    # also one that nobody ever closes
    life = client.pttl(registry.keys.record(failed))
    assert life > settings.record_ttl_s * 1000
    assert all(abs(client.pttl(key) - life) < 60_000 for key in keys)
    send(queue, 1)
    assert [client.ttl(key) for key in keys] == [-1, -1]


def test_a_record_that_has_expired_stays_counted(registry: WorkerRegistry, queue: OcrQueue) -> None:
    ids = send(queue, 3)
    end_next(registry)
    client = registry.client
    client.delete(registry.keys.record(ids[0]))
    client.zadd(registry.keys.by_state("succeeded"), {f"{ids[0]} /{NAME}  ": 1})
    reclaimed(registry)
    assert client.zscore(registry.keys.by_batch("", NAME), ids[0]) is None
    assert counts(queue) == {"queued": 2, "succeeded": 1}
    assert [status.id for status in queue.batch(NAME).jobs()] == ids[1:]


def test_of_deleted_jobs_only_the_count_stays(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 4)
    ended = end_next(registry)
    assert queue.delete(ended)
    assert registry.client.zscore(registry.keys.by_batch("", NAME), ended) is None
    assert queue.delete_many(batch=NAME).jobs == 3
    assert counts(queue) == {"succeeded": 1, "cancelled": 3}
    assert list(queue.batch(NAME).jobs()) == []


def test_a_job_that_redis_has_lost_is_counted_at_its_end(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 1)
    hold = begun(registry)
    # not those of other installations, whose workers have noted which Redis it is
    registry.client.delete(*registry.client.scan_iter(match=f"{registry.keys.root}*", count=1000))
    made = job(id=hold.job_id, batch=NAME)
    registry.finish(hold, made, succeeded(hold))
    assert counts(queue) == {"succeeded": 1}


class Mixer:
    """Moves at random, of jobs in four batches and in none."""

    def __init__(self, registry: WorkerRegistry, queue: OcrQueue) -> None:
        self.registry, self.queue, self.chosen = registry, queue, random.Random(11)
        self.made: dict[str, Job] = {}
        self.hands: list[Hold] = []
        self.refused: set[tuple[str | None, str]] = set()
        self.moves = (self.submit, self.take, self.begin, self.release, self.finish, self.fail, self.lose)

    def step(self) -> None:
        self.chosen.choice((*self.moves, self.cancel, self.replay))()

    def submit(self) -> None:
        each = job(batch=self.chosen.choice((NAME, "b", None)), tenant=self.chosen.choice(("", "acme")))
        try:
            submit(self.registry, each)
            self.made[each.id] = each
        except BatchClosed:
            self.refused.add((each.batch, each.tenant))

    def take(self) -> None:
        self.hands += [part.hold for part in take(self.registry, 2).parts]

    def begin(self) -> None:
        for hold in self.hands[-1:]:
            self.registry.begin(hold, "w@h", "null")

    def release(self) -> None:
        for hold in self.popped():
            self.registry.release(hold, None, is_retry=self.chosen.random() < 0.5)

    def finish(self) -> None:
        for hold in self.popped():
            self.registry.finish(hold, self.made[hold.job_id], succeeded(hold))

    def fail(self) -> None:
        for hold in self.popped():
            outcome = Outcome(job_id=hold.job_id, state="failed", error=EngineFailed().info)
            self.registry.finish(hold, self.made[hold.job_id], outcome)

    def lose(self) -> None:
        for hold in self.popped():
            end_lease(self.registry, hold)
            reclaimed(self.registry)

    def cancel(self) -> None:
        for job_id in self.chosen.sample(list(self.made), min(1, len(self.made))):
            self.registry.cancel(job_id)

    def replay(self) -> None:
        for status in self.queue.jobs(state="failed", limit=1).jobs:
            self.queue.job(status.id).replay()

    def popped(self) -> list[Hold]:
        found, self.hands = self.hands[-1:], self.hands[:-1]
        return found


def by_name(registry: WorkerRegistry, job_id: str, **fields: object) -> None:
    """A foreign app sends a job."""
    given = {"image": PAGE, "engine": "null", "batch": NAME, **fields}
    message = envelope(job_id, kwargs={"job": given}, headers={"ignore_result": False})
    registry.client.lpush(registry.keys.foreign("ocr.null"), json.dumps(message))


def test_jobs_that_are_sent_by_name_come_into_it_too(registry: WorkerRegistry, queue: OcrQueue) -> None:
    by_name(registry, "sent")
    by_name(registry, "revoked")
    registry.run("cancel", registry.arguments.revoke("revoked"))
    by_name(registry, "unnamed", batch="a b")
    assert taken_in(registry, lambda each: each) == {"taken_in": 1, "cancelled": 1, "refused": 1}
    assert counts(queue) == {"queued": 1, "cancelled": 1}
    assert [status.id for status in queue.batch(NAME).jobs()] == ["sent", "revoked"]


def test_one_that_is_sent_by_name_to_a_closed_batch_fails(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 1, close_batch=True)
    by_name(registry, "late")
    assert taken_in(registry, lambda each: each) == {"refused": 1}
    status = registry.status("late")
    assert (status.state, status.error and status.error.code, status.batch) == ("failed", "batch.closed", None)
    assert counts(queue) == {"queued": 1}
    # replayed, it is outside all the same
    queue.job("late").replay()
    assert counts(queue) == {"queued": 1}


def test_whatever_happens_the_counts_are_right(registry: WorkerRegistry, queue: OcrQueue) -> None:
    mixer = Mixer(registry, queue)
    for step in range(600):
        mixer.step()
        if step == 400:
            assert mixer.refused == set()
            queue.batch(NAME).close("done")
        if step % 50 == 0:
            assert check(registry) == []
    assert mixer.refused == {(NAME, "")}
    for name, tenant in itertools.product((NAME, "b"), ("", "acme")):
        found = Counter(each.state for each in queue.batch(name, tenant=tenant).jobs())
        assert counts(queue, name, tenant) == dict(found)
        assert len(found) > 1


def test_a_job_without_a_batch_costs_nothing(registry: WorkerRegistry) -> None:
    submit(registry, job())
    hold = begun(registry)
    registry.finish(hold, job(id=hold.job_id), succeeded(hold))
    names = {key.decode() for key in registry.client.scan_iter(f"{registry.keys.root}*")}
    assert not [name for name in names if "batch" in name]
    assert b"batch" not in registry.client.hgetall(registry.keys.record(hold.job_id))
    assert [entry.decode() for entry in registry.client.zrange(registry.keys.by_state("succeeded"), 0, -1)] == [
        hold.job_id
    ]


def test_check_tells_counts_that_are_wrong(registry: WorkerRegistry, queue: OcrQueue) -> None:
    ids = send(queue, 2)
    key, client = registry.keys.batch("", NAME), registry.client
    for field in ("jobs", "running", "failed"):
        client.hincrby(key, field, 1)
        assert check(registry), field
        client.hincrby(key, field, -1)
    client.expire(key, 1000)
    assert check(registry)
    client.persist(key)
    score = client.zscore(registry.keys.by_batch("", NAME), ids[0])
    client.zrem(registry.keys.by_batch("", NAME), ids[0])
    assert check(registry)
    client.zadd(registry.keys.by_batch("", NAME), {ids[0]: score})
    assert check(registry) == []


def test_closing_works_at_the_memory_limit(registry: WorkerRegistry) -> None:
    assert load_script("close_batch").startswith("#!lua flags=allow-oom")


def test_a_side_lane_and_a_pause_move_no_count(registry: WorkerRegistry, queue: OcrQueue) -> None:
    send(queue, 2)
    hold_of(registry)
    queue.pause(tenant="")
    assert counts(queue) == {"queued": 2}
    queue.resume(tenant="")
    assert counts(queue) == {"queued": 2}


def test_the_same_for_asyncio(registry: WorkerRegistry, settings: WorkerSettings) -> None:
    async def steps() -> None:
        async with AsyncOcrQueue(settings) as queue:
            sent = await queue.submit_many([PAGE] * 3, engine="null", batch=NAME, tenant="acme", close_batch=True)
            batch = queue.batch(NAME, tenant="acme")
            assert (await batch.status()).queued == 3
            with pytest.raises(BatchClosed) as refused:
                await queue.submit_many([PAGE], engine="null", batch=NAME, tenant="acme")
            assert list(refused.value.submitted) == []
            seen: list[BatchStatus] = []
            waiting = asyncio.create_task(batch.wait(60, seen.append, until_closed=True))
            await asyncio.to_thread(wait_until, lambda: bool(seen), 30, "the wait has begun")
            assert (await batch.cancel()).jobs == 3
            assert (await waiting).cancelled == 3
            assert [status.id async for status in batch.jobs()] == [each.id for each in sent]
            assert [document async for _, document in batch.results()] == [None] * 3
            assert (await batch.close()).ended_at is not None
            with pytest.raises(BatchClosed, match="done gets no message"):
                await batch.close("done")
            with pytest.raises(BatchInvalid):
                queue.batch("a b")

    asyncio.run(steps())


def test_results_are_read_in_order(registry: WorkerRegistry, queue: OcrQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = send(queue, 3)
    end_next(registry)
    end_next(registry, ImageEmpty)
    end_next(registry)
    monkeypatch.setattr(queue, "document", lambda status: status.id)
    found = [(status.state, document) for status, document in queue.batch(NAME).results()]
    assert found == [("succeeded", ids[0]), ("failed", None), ("succeeded", ids[2])]


def test_a_job_needs_no_batch_of_its_own() -> None:
    assert Job(image=PAGE).batch is None
    assert "batch" not in Job(image=PAGE).to_message()
