"""Workers whose own access is broken, beside a good one under load: no job fails for them, they tell, they recover."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import SubmittedJob
from ocrqueue.core import WorkerInfo
from ocrqueue.core.check import check
from ocrqueue.core.installation import workers_heard_of
from ocrqueue.core.side_lanes import side_lanes
from ocrqueue.settings import Settings, load_settings
from ocrqueue_worker.engines.tesseract.tessdata import tessdata_dir
from tests.support.pictures import png, text_picture
from tests.support.processes import (
    RedisServer,
    Worker,
    as_environment,
    environment,
    free_port,
    redis_server,
    wait_until,
    worker,
)
from tests.support.servers import Guarded, guarded_s3_server

FULL = (
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY)); "
    "sys.argv[0] = 'ocrqueue-worker'; runpy.run_module('ocrqueue_worker', run_name='__main__')"
)
"""Starts a worker none of whose files can grow beyond 1 MiB, as if its disk were full."""
WITHIN_S = 5.0
"""From the moment in which its engines are loaded to the line in its log."""


@dataclass
class Place:
    """An installation whose S3 server knows its users."""

    folder: Path
    redis: RedisServer
    s3: Guarded
    settings: Settings
    queue: OcrQueue
    user: Mapping[str, str]
    names: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def credentials(self, file: Path, **changed: str) -> Mapping[str, str]:
        """What leads a worker to a file of credentials; `changed`: what is not as it should be in it."""
        write_credentials(file, dict(self.user) | {f"aws_{name}": value for name, value in changed.items()})
        return {"AWS_SHARED_CREDENTIALS_FILE": str(file)}

    @contextmanager
    def worker(
        self,
        name: str,
        *,
        credentials: Mapping[str, str],
        command: tuple[str, ...] = ("-m", "ocrqueue_worker"),
        **settings: object,
    ) -> Iterator[Observed]:
        folder = self.folder / f"{name}-{next(self.names)}"
        folder.mkdir()
        port = free_port()
        given = as_environment(self.settings) | {"metrics_port": port, "health_file": folder / "health"} | settings
        node = f"{name}@here"
        arguments = ("--concurrency", "1", "--hostname", node)
        with worker(given, folder, *arguments, command=command, variables=credentials) as running:
            yield Observed(node, running, given, port, self)


def write_credentials(file: Path, user: Mapping[str, str]) -> None:
    file.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in user.items()))


@dataclass(frozen=True)
class Observed:
    """A worker, and what it says of itself everywhere."""

    name: str
    running: Worker
    settings: Mapping[str, object]
    metrics_port: int
    place: Place

    def info(self) -> WorkerInfo:
        (found,) = (each for each in workers_heard_of(self.place.queue.registry)[0] if each.name == self.name)
        return found

    def codes(self) -> list[str]:
        return [trouble.error.code for trouble in self.info().troubles]

    def lines(self, event: str) -> list[dict[str, str]]:
        found = []
        for line in self.running.log_text().splitlines():
            with suppress(ValueError):
                told = json.loads(line)
                if told.get("event") == event:
                    found.append(told)
        return found

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            return str(answer.read().decode())

    def health(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ocrqueue_worker", "health", *arguments],
            env=environment(self.settings),
            capture_output=True,
            text=True,
            check=False,
        )

    def check_says(self, code: str, what: str, remedy: str, *, engine: str = "") -> None:
        """In its log, to all who look at the installation, in its metrics and in its health."""
        (trouble,) = self.info().troubles
        assert (trouble.error.code, trouble.what, trouble.stops) == (code, what, True)
        told = self.lines("this worker's access is broken")[0]
        assert (told["error"], told["what"]) == (code, what)
        assert remedy in told["remedy"], told
        (ready,) = self.lines("engines loaded")
        moments = [datetime.fromisoformat(line["timestamp"]) for line in (ready, told)]
        assert (moments[1] - moments[0]).total_seconds() < WITHIN_S
        takes = f"takes no jobs{engine and f' for {engine}'}: {code}:"
        shown = commanded(self.place, "top", "--once")
        assert f"{self.name}  takes no jobs" in shown, shown
        assert f"{self.name} {takes}" in commanded(self.place, "engines")
        wait_until(
            lambda: f'ocrqueue_worker_troubles{{error="{code}",what="{what}"}} 1.0' in self.metrics(), 60, "metrics"
        )
        assert f"ocrqueue_worker_takes_jobs {1.0 if engine else 0.0}" in self.metrics()
        installed = commanded(self.place, "metrics", "--once")
        assert f'ocrqueue_workers_stopped{{engine="tesseract",error="{code}"}}' in installed
        wait_until(lambda: takes in self.health().stdout, 60, "health")
        assert (self.health().returncode, self.health("--ready").returncode) == (0, 1)

    def check_is_well(self) -> None:
        wait_until(lambda: self.codes() == [], 60, f"{self.name} is well again")
        assert self.running.alive()
        wait_until(lambda: self.health("--ready").stdout == "alive\n", 60, "health")
        assert "ocrqueue_worker_takes_jobs 1.0" in self.metrics()


def commanded(place: Place, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ocrqueue.cli", *arguments],
        env=environment(as_environment(place.settings)) | {"COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_s3_server() as server:
        yield server


@pytest.fixture
def place(guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket, user = f"scans-{uuid.uuid4().hex[:8]}", guarded.make_user(f"user-{uuid.uuid4().hex[:8]}")
    guarded.client("s3").create_bucket(Bucket=bucket)
    write_credentials(tmp_path / "credentials", user)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with redis_server(tmp_path) as redis:
        settings = load_settings(
            redis_url=redis.url,
            storage=f"s3://{bucket}",
            s3_endpoint=guarded.endpoint,
            s3_attempts=1,
            worker_heartbeat_s=1,
            cache_ttl_s=0,
        )
        with OcrQueue(settings) as queue:
            yield Place(tmp_path, redis, guarded, settings, queue, user)


@dataclass
class Load:
    """Jobs that come without end."""

    queue: OcrQueue
    jobs: list[SubmittedJob] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        image = png(text_picture("Hello 42"))
        while not self.stopped.wait(0.05):
            if sum(lane.waiting for lane in self.queue.queues()) < 10:
                self.jobs += self.queue.submit_many([image] * 5, engine="tesseract", crops="none")

    def read_by(self) -> set[str]:
        """The workers that have begun any of the last jobs."""
        return {worker for job in self.jobs[-40:] if (worker := job.status().worker)}


@contextmanager
def load(place: Place) -> Iterator[Load]:
    """All have succeeded at the end."""
    made = Load(place.queue)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stopped.set()
        thread.join()
    ended = dict(place.queue.watch(made.jobs, 120))
    assert {status.state for status in ended.values()} == {"succeeded"}
    wait_until(lambda: check(place.queue.registry) == [], 60, "the keys agree with each other")


@contextmanager
def together(*workers: AbstractContextManager[Observed]) -> Iterator[list[Observed]]:
    """Started at once, and ended at once."""
    with ExitStack() as stack, ThreadPoolExecutor(len(workers)) as starting:
        # each is left by the stack also where another does not start
        started = [starting.submit(worker.__enter__) for worker in workers]
        for worker, start in zip(workers, started, strict=True):
            stack.callback(lambda worker=worker, start=start: start.exception() or worker.__exit__(None, None, None))
        yield [start.result() for start in started]
        for start in started:
            # the first is waited for while the others end, too
            start.result().running.process.terminate()


def limit_files(running: Worker, limit: int) -> None:
    """So many bytes a file, as a quota or a full disk would have it, for all processes of the worker."""
    for pid in (running.pid, *running.running_children()):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def test_sick_workers_that_join_under_load_fail_no_job_and_recover_by_themselves(place: Place) -> None:
    good = place.credentials(place.folder / "good")
    wrong = place.folder / "wrong"
    packs = place.folder / "packs"
    packs.mkdir()
    absent = f"absent-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        stack.enter_context(place.worker("good", credentials=good))
        jobs = stack.enter_context(load(place))
        wait_until(lambda: len(jobs.jobs) > 20, 60, "there is load")

        prlimit = ("-c", f"import resource, runpy, sys; {FULL}")
        secret, bucket, language, disk = stack.enter_context(
            together(
                place.worker("secret", credentials=place.credentials(wrong, secret_access_key="not-the-secret")),
                place.worker("bucket", credentials=good, storage=f"s3://{absent}"),
                place.worker("language", credentials=good, tessdata_dir=packs),
                place.worker("disk", credentials=good, command=prlimit),
            )
        )
        secret.check_says("storage.denied", "storage", "AWS_ACCESS_KEY_ID")
        bucket.check_says("storage.not_found", "storage", "Create it")
        language.check_says("language.missing", "languages of tesseract", "apt-get install", engine="tesseract")
        disk.check_says("worker.disk_full", "temporary files", "TMPDIR")

        seen = len(jobs.jobs)
        wait_until(lambda: len(jobs.jobs) > seen + 40, 120, "the load goes on")
        assert jobs.read_by() == {"good@here"}

        write_credentials(wrong, place.user)
        place.s3.client("s3").create_bucket(Bucket=absent)
        shutil.copy(tessdata_dir(load_settings()) / "eng.traineddata", packs)
        limit_files(disk.running, resource.RLIM_INFINITY)
        for each in (secret, bucket, language, disk):
            each.check_is_well()
        names = {"good@here", "secret@here", "bucket@here", "language@here", "disk@here"}
        wait_until(lambda: jobs.read_by() >= names, 120, "all work")


def test_a_worker_whose_access_breaks_under_its_jobs_gives_them_back_uncounted(place: Place) -> None:
    own = place.s3.make_user("breaking")
    file = place.folder / "breaking"
    write_credentials(file, own)
    with ExitStack() as stack:
        stack.enter_context(place.worker("good", credentials=place.credentials(place.folder / "good")))
        breaking = stack.enter_context(place.worker("breaking", credentials={"AWS_SHARED_CREDENTIALS_FILE": str(file)}))
        jobs = stack.enter_context(load(place))
        wait_until(lambda: {"good@here", "breaking@here"} <= jobs.read_by(), 120, "both work")

        iam = place.s3.client("iam")
        iam.delete_access_key(UserName="breaking", AccessKeyId=own["aws_access_key_id"])
        wait_until(lambda: breaking.codes() == ["storage.denied"], 60, "it has stopped")
        seen = len(jobs.jobs)
        wait_until(lambda: len(jobs.jobs) > seen + 40, 120, "the load goes on")
        assert jobs.read_by() == {"good@here"}
        returned = breaking.lines("part goes back to its lane")
        assert returned
        assert {line["error"] for line in returned} <= {
            "source.access_denied",
            "storage.denied",
            "worker.access_broken",
        }

        key = iam.create_access_key(UserName="breaking")["AccessKey"]
        write_credentials(
            file, {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        )
        breaking.check_is_well()
        wait_until(lambda: "breaking@here" in jobs.read_by(), 120, "it works again")


def test_the_jobs_own_denial_is_seen_by_a_second_worker_and_fails_it_then(place: Place) -> None:
    """The policy of a bucket lets nobody but the administrator in."""
    admin, name = place.s3.client("s3"), f"closed-{uuid.uuid4().hex[:8]}"
    admin.create_bucket(Bucket=name)
    admin.put_object(Bucket=name, Key="page.png", Body=png(text_picture("Hello 42")))
    iam = place.s3.client("iam")
    statement = {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for user in iam.list_users()["Users"]:
        if user["UserName"] != "admin":
            iam.put_user_policy(UserName=user["UserName"], PolicyName="closed", PolicyDocument=policy)
    good = place.credentials(place.folder / "good")
    queue = place.queue
    with place.worker("first", credentials=good) as first, place.worker("second", credentials=good) as second:
        job = queue.submit(f"s3://{name}/page.png", engine="tesseract", crops="none")
        status = job.wait(120)
        assert (status.state, status.error and status.error.code) == ("failed", "source.access_denied")
        assert status.attempts == 2
        assert [len(each.lines("job started")) for each in (first, second)] == [1, 1]
        assert first.codes() == second.codes() == []
    with place.worker("alone", credentials=good):
        job = queue.submit(f"s3://{name}/page.png", engine="tesseract", crops="none")
        status = job.wait(120)
        assert (status.state, status.attempts) == ("failed", 1), "there is no second worker"
    assert check(queue.registry) == []


def test_a_language_is_left_to_workers_that_have_it_and_holds_nobody_up(place: Place) -> None:
    packs, all_packs = place.folder / "packs", tessdata_dir(load_settings())
    packs.mkdir()
    shutil.copy(all_packs / "eng.traineddata", packs)
    good = place.credentials(place.folder / "good")
    queue, image = place.queue, png(text_picture("Hello 42"))

    def submitted(*languages: str, times: int = 1) -> list[SubmittedJob]:
        return queue.submit_many([image] * times, engine="tesseract", languages=languages, crops="none")

    with ExitStack() as stack:
        lacking = stack.enter_context(
            place.worker("lacking", credentials=good, tessdata_dir=packs, worker_heartbeat_s=5)
        )
        missing = submitted("kor")[0].wait(120)
        assert (missing.state, missing.error and missing.error.code) == ("failed", "language.missing")
        assert missing.error is not None
        assert "tesseract-ocr-kor" in missing.error.remedy

        able = stack.enter_context(place.worker("able", credentials=good))
        # stopped, it takes none, and is still there for a while
        os.kill(able.running.pid, signal.SIGSTOP)
        korean, english = submitted("kor", times=5), submitted("eng", times=5)
        ended = dict(queue.watch(english, 120))
        assert {status.worker for status in ended.values()} == {"lacking@here"}
        wait_until(lambda: {job.status().state for job in korean} == {"queued"}, 60, "they wait for the other")
        assert side_lanes(queue.registry) == ["ocr.tesseract/kor"]
        assert sum(lane.waiting for lane in queue.queues()) == 5
        os.kill(able.running.pid, signal.SIGCONT)
        ended = dict(queue.watch(korean, 120))
        assert {(status.state, status.worker) for status in ended.values()} == {("succeeded", "able@here")}
        wait_until(lambda: side_lanes(queue.registry) == [], 60, "the side lane is forgotten")

        shutil.copy(all_packs / "kor.traineddata", packs)
        wait_until(lambda: "kor" in lacking.info().engines[0].languages, 60, "it tells of its new pack")
        able.running.process.terminate()
        able.running.process.wait(60)
        assert submitted("kor")[0].wait(120).worker == "lacking@here"
        wait_until(lambda: check(queue.registry) == [], 60, "the keys agree with each other")
