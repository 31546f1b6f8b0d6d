"""Each way out of a Celery task is one move: the part is in one place after it, and the job ends or waits again."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocrqueue import OcrQueue, SubmittedJob
from ocrqueue.client import registry_of
from ocrqueue.core.check import check
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.brokers import celery_app, wait_for_remote_control
from tests.support.gates import PLUGINS, Gates, page, with_gated
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import RedisServer, Worker, as_environment, wait_until, worker

HELLO = png(text_picture("Hello 42"))
QUICK = {
    "worker_heartbeat_s": 0.5,
    # what only the end of a lease would bring back is not back within the tests' patience
    "lost_after_s": 120,
    # of a job that asks for less, the hard limit is as far above as here
    "soft_time_limit_s": 100,
    "hard_time_limit_s": 103,
    "retry_limit": 1,
    "retry_backoff_s": 0.1,
}

# what the task never raises by itself is raised once for each job whose tag names it: before BEGIN, or around FINISH
WAYS = """
import os
from pathlib import Path

from celery.exceptions import Ignore, Reject
from ocrqueue_worker.app import app
from ocrqueue_worker.task.delivery import Delivery

WAYS = {"ignore": Ignore, "reject": Reject, "exit": SystemExit, "memory": MemoryError, "bug": RuntimeError}


def met(job, moment):
    way, _, at = (job.tag or "").partition(" ")
    note = Path(os.environ["WAYS_MET"]) / job.id
    if at != moment or note.exists():
        return
    note.touch()
    if way == "kill":
        os.kill(os.getpid(), 9)
    if way == "soft-limit":
        os.kill(os.getpid(), 10)
        return
    raise WAYS[way]


begin, end = Delivery.begin, Delivery.end


def begun(delivery):
    met(delivery.job, "before")
    start = begin(delivery)
    met(delivery.job, "begun")
    return start


def ended(delivery, *arguments):
    page = f" page {delivery.hold.page}" if delivery.hold.page is not None else ""
    met(delivery.job, "ending" + page)
    closing = end(delivery, *arguments)
    met(delivery.job, "after" + page)
    return closing


Delivery.begin, Delivery.end = begun, ended
"""


@dataclass(frozen=True)
class Place:
    queue: OcrQueue
    worker: Worker
    settings: WorkerSettings

    def settled(self) -> None:
        assert check(registry_of(self.queue)) == []
        client, keys = registry_of(self.queue).client, registry_of(self.queue).keys
        wait_until(lambda: not client.exists(keys.leases()), 60, "nothing is in a hand")
        assert not list(client.scan_iter(match=f"{keys.root}hand:*"))
        again = self.queue.submit(HELLO, engine="null", cache=False)
        assert again.wait(60).state == "succeeded", "the worker goes on"
        assert self.worker.alive()


@pytest.fixture(scope="module", params=["prefork", "threads", "solo"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def started(redis: RedisServer, folder: Path, pool: str) -> Iterator[Place]:
    (folder / "ways.py").write_text(WAYS)
    for name in ("met", "storage"):
        (folder / name).mkdir()
    settings = with_gated(
        load_worker_settings(
            redis_url=redis.url, key_prefix=f"test-{uuid.uuid4().hex[:8]}:", storage=f"file://{folder}/storage"
        )
    )
    variables = {
        "WAYS_MET": str(folder / "met"),
        "PYTHONPATH": f"{PLUGINS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    command = ("-m", "celery", "-A", "ways:app", "worker", "-P", pool, "-c", "1", "-Q", "ocr.null,ocr.gated")
    with (
        worker(as_environment(settings) | QUICK, folder, command=command, variables=variables) as running,
        OcrQueue(settings) as queue,
    ):
        yield Place(queue, running, settings)


@pytest.fixture(scope="module")
def place(redis: RedisServer, pool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A worker that goes on after each way out, for all tests of its pool."""
    with started(redis, tmp_path_factory.mktemp("ways"), pool) as place:
        yield place


@pytest.fixture
def own_place(redis: RedisServer, pool: str, tmp_path: Path) -> Iterator[Place]:
    """A worker that a test may end."""
    with started(redis, tmp_path, pool) as place:
        yield place


def submit(place: Place, tag: str = "", **options: object) -> SubmittedJob:
    """A job that is read, whatever was read before."""
    return place.queue.submit(HELLO, engine="null", tag=tag or None, options=options, crops="none", cache=False)


def test_success_and_the_errors_of_a_job(place: Place) -> None:
    assert submit(place).wait(60).state == "succeeded"
    for fault, code, attempts in (
        ("error", "engine.failed", 1),
        ("bug", "engine.failed", 1),
        ("memory", "engine.out_of_memory", 1),
        ("retryable", "source.unavailable", 2),
    ):
        status = submit(place, fault=fault).wait(60)
        assert (status.state, status.error and status.error.code, status.attempts) == ("failed", code, attempts)
        place.settled()


@pytest.mark.parametrize("way", ["reject", "bug", "memory"])
def test_what_the_task_raises_before_it_begins(place: Place, way: str) -> None:
    """The part is back in its lane at once, without a mark."""
    status = submit(place, f"{way} before").wait(60)
    assert (status.state, status.attempts) == ("succeeded", 1)
    place.settled()


@pytest.mark.parametrize("way", ["reject", "bug"])
def test_what_the_task_raises_after_it_has_begun(place: Place, way: str) -> None:
    """A delivery is counted, and the part is back at once."""
    status = submit(place, f"{way} begun").wait(60)
    assert (status.state, status.attempts) == ("succeeded", 2)
    place.settled()


def test_want_of_memory_after_it_has_begun_ends_the_job(place: Place) -> None:
    status = submit(place, "memory begun").wait(60)
    assert (status.state, status.error and status.error.code, status.attempts) == ("failed", "engine.out_of_memory", 1)
    place.settled()


@pytest.mark.parametrize("way", ["ignore", "reject", "bug", "memory"])
def test_what_the_task_raises_after_the_end_changes_nothing(place: Place, way: str) -> None:
    status = submit(place, f"{way} after").wait(60)
    assert (status.state, status.attempts) == ("succeeded", 1)
    place.settled()
    assert place.queue.job(status.id).status().state == "succeeded"


@pytest.mark.parametrize("pool", ["prefork"], indirect=True)
@pytest.mark.parametrize("way", ["exit", "kill"])
@pytest.mark.parametrize(("moment", "attempts"), [("before", 1), ("begun", 2), ("after", 1)])
def test_a_lost_child(place: Place, way: str, moment: str, attempts: int) -> None:
    status = submit(place, f"{way} {moment}").wait(60)
    assert (status.state, status.attempts) == ("succeeded", attempts)
    place.settled()


@pytest.mark.parametrize("pool", ["prefork"], indirect=True)
@pytest.mark.parametrize("moment", ["ending", "after"])
def test_a_soft_limit_that_ends_with_the_work_interrupts_nothing(place: Place, moment: str) -> None:
    before = len(place.worker.log_text())
    status = submit(place, f"soft-limit {moment}").wait(60)
    assert (status.state, status.attempts) == ("succeeded", 1)
    place.settled()
    assert "raised unexpected" not in place.worker.log_text()[before:]


@pytest.mark.parametrize("pool", ["prefork"], indirect=True)
def test_a_soft_limit_that_ends_with_the_last_page_has_the_pages_gathered_later(place: Place) -> None:
    """In a time of their own, and with no child lost."""
    children = place.worker.running_children()
    document = tiff(text_picture("one"), text_picture("two"))
    for moment in ("ending page 2", "after page 2"):
        job = place.queue.submit(
            document, engine="null", options={"split": True}, crops="none", cache=False, tag=f"soft-limit {moment}"
        )
        status = job.wait(60)
        # the gathering begins with the last page, and once more
        assert (status.state, status.pages, status.attempts) == ("succeeded", 2, 2)
    place.settled()
    assert place.worker.running_children() == children


@pytest.mark.parametrize("pool", ["prefork"], indirect=True)
def test_time_limits(place: Place) -> None:
    for fault in ("stall", "hang"):
        options = {"fault": fault}
        status = place.queue.submit(HELLO, engine="null", options=options, crops="none", time_limit_s=4).wait(60)
        assert (status.state, status.error and status.error.code, status.attempts) == ("failed", "engine.timeout", 1)
        place.settled()


@pytest.mark.parametrize("pool", ["prefork", "threads"], indirect=True)
def test_a_revoke_is_a_cancel(place: Place, gates: Gates) -> None:
    busy = place.queue.submit(page(60), **gates.fields)
    wait_until(lambda: gates.reached(60), 60, "a page is read")
    waiting = submit(place)
    with celery_app(place.settings) as theirs:
        wait_for_remote_control(theirs)
        ((_, answer),) = theirs.control.revoke(waiting.id, reply=True, timeout=60, limit=1)[0].items()
        assert "ok" in answer
        # the answer says that the revoke is known, not that the job has ended
        assert waiting.wait(60).state == "cancelled"
    gates.open([60])
    assert busy.wait(60).state == "succeeded"
    place.settled()


@pytest.mark.parametrize("pool", ["prefork"], indirect=True)
def test_a_revoke_that_terminates_is_a_cancel_of_what_runs(place: Place, gates: Gates) -> None:
    job = place.queue.submit(page(60), **gates.fields)
    wait_until(lambda: gates.reached(60), 60, "a page is read")
    with celery_app(place.settings) as theirs:
        wait_for_remote_control(theirs)
        theirs.control.revoke(job.id, terminate=True, signal="SIGKILL")
        assert job.wait(60).state == "cancelled"
    place.settled()


def test_remote_control_answers_and_ends_a_worker(own_place: Place, gates: Gates, pool: str) -> None:
    with celery_app(own_place.settings) as theirs:
        wait_for_remote_control(theirs)
        ((name, answer),) = theirs.control.ping(timeout=60, limit=1)[0].items()
        assert answer == {"ok": "pong"}
        if pool != "solo":
            # whose only thread has the page
            job = own_place.queue.submit(page(60), **gates.fields)
            wait_until(lambda: gates.reached(60), 60, "a page is read")
            (active,) = theirs.control.inspect(timeout=60, limit=1).active()[name]
            assert active["id"] == job.id
            gates.open([60])
            assert job.wait(60).state == "succeeded"
        theirs.control.shutdown()
        assert own_place.worker.process.wait(60) == 0
    assert own_place.queue.engines()["null"] == []
    assert check(registry_of(own_place.queue)) == []


@pytest.mark.parametrize("pool", ["prefork"], indirect=True)
def test_what_was_taken_and_not_begun_goes_back_at_once_when_a_worker_stops(own_place: Place) -> None:
    (child,) = own_place.worker.running_children()
    os.kill(child, signal.SIGSTOP)
    job = submit(own_place)
    registry = registry_of(own_place.queue)
    wait_until(lambda: registry.client.zcard(registry.keys.leases()) == 1, 60, "it is in the worker's hand")
    own_place.worker.process.send_signal(signal.SIGTERM)
    wait_until(lambda: registry.client.zcard(registry.keys.leases()) == 0, 60, "it waits again")
    assert (job.status().state, job.status().attempts) == ("queued", 0)
    assert check(registry) == []
    os.kill(child, signal.SIGCONT)
    own_place.worker.process.wait(60)
    assert (job.status().state, job.status().attempts) == ("queued", 0)
