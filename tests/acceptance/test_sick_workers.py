"""Workers whose own access is broken, beside a good one under load: no job fails for them, they tell, they recover."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import threading
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ocrqueue import OcrQueue
from ocrqueue.cli.program import program
from ocrqueue.client import SubmittedJob, registry_of
from ocrqueue.core import WorkerInfo
from ocrqueue.core.check import check
from ocrqueue.core.installation import workers_heard_of
from ocrqueue.core.side_lanes import side_lanes
from ocrqueue.errors import StorageUnavailable
from ocrqueue.settings import WorkerSettings, load_worker_settings, process_settings
from ocrqueue_worker.cli.program import health
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
    settings: WorkerSettings
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
        (found,) = (each for each in workers_heard_of(registry_of(self.place.queue))[0] if each.name == self.name)
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

    def health(self, *arguments: str) -> Result:
        """As `ocrqueue-worker health` has it, without a process of its own."""
        process_settings.cache_clear()
        try:
            return CliRunner().invoke(health, arguments, env=environment(self.settings))
        finally:
            process_settings.cache_clear()

    def check_says(self, code: str, what: str, remedy: str, *, engine: str = "") -> None:
        """In its log, to all who look at the installation, in its metrics and in its health."""
        (trouble,) = self.info().troubles
        assert (trouble.error.code, trouble.what, trouble.stops) == (code, what, True)
        lines = self.lines("this worker's access is broken")
        told = next(line for line in lines if line["error"] == code)
        assert told["what"] == what
        assert lines[0]["error"] in (code, "storage.unavailable")
        assert remedy in told["remedy"], told
        (ready,) = self.lines("engines loaded")
        moments = [datetime.fromisoformat(line["timestamp"]) for line in (ready, lines[0])]
        assert (moments[1] - moments[0]).total_seconds() < WITHIN_S
        of_engine = f"cannot do jobs for {engine}, and leaves them to others if any can"
        takes = f"{of_engine if engine else 'takes no jobs'}: {code}:"
        shown = commanded(self.place, "top", "--once")
        assert f"{self.name}  {takes}" in shown, shown
        assert f"{self.name} {takes}" in commanded(self.place, "engines")
        (row,) = (line for line in commanded(self.place, "workers").splitlines() if line.startswith(self.name))
        assert row.split()[1] == "stopped", row
        wait_until(
            lambda: f'ocrqueue_worker_troubles{{error="{code}",what="{what}"}} 1.0' in self.metrics(), 60, "metrics"
        )
        assert f"ocrqueue_worker_takes_jobs {1.0 if engine else 0.0}" in self.metrics()
        installed = commanded(self.place, "metrics", "--once")
        assert f'ocrqueue_workers_stopped{{engine="tesseract",error="{code}"}}' in installed
        wait_until(lambda: takes in self.health().stdout, 60, "health")
        assert (self.health().exit_code, self.health("--ready").exit_code) == (0, 1)

    def check_is_well(self) -> None:
        wait_until(lambda: self.codes() == [], 60, f"{self.name} is well again")
        assert self.running.alive()
        wait_until(lambda: self.health("--ready").stdout == "alive\n", 60, "health")
        assert "ocrqueue_worker_takes_jobs 1.0" in self.metrics()


def commanded(place: Place, *arguments: str) -> str:
    done = CliRunner().invoke(
        program, arguments, env=environment(as_environment(place.settings)) | {"COLUMNS": "400"}, prog_name="ocrqueue"
    )
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def place(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    bucket, user = f"scans-{uuid.uuid4().hex[:8]}", guarded.make_user(f"user-{uuid.uuid4().hex[:8]}")
    guarded.client("s3").create_bucket(Bucket=bucket)
    write_credentials(folder / "credentials", user)
    with pytest.MonkeyPatch.context() as patch, redis_server(folder) as redis:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        settings = load_worker_settings(
            redis_url=redis.url,
            storage=f"s3://{bucket}",
            s3_endpoint=guarded.endpoint,
            s3_attempts=1,
            worker_heartbeat_s=1,
            cache_ttl_s=0,
        )
        with OcrQueue(settings) as queue:
            yield Place(folder, redis, guarded, settings, queue, user)


@pytest.fixture(scope="module")
def good(place: Place) -> Iterator[Observed]:
    """A worker of which all is well."""
    with place.worker("good", credentials=place.credentials(place.folder / "good")) as working:
        yield working


@pytest.fixture
def another(place: Place) -> Iterator[Place]:
    """An installation without workers, on the same servers."""
    settings = place.settings.model_copy(update={"key_prefix": f"{uuid.uuid4().hex[:8]}:"})
    with OcrQueue(settings) as queue:
        yield replace(place, settings=settings, queue=queue)


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
                # the S3 server of the tests answers 500 now and then where many ask it at once
                with suppress(StorageUnavailable):
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
    ended = dict(place.queue.watch(made.jobs, 300))
    assert {status.state for status in ended.values()} == {"succeeded"}
    wait_until(lambda: check(registry_of(place.queue)) == [], 60, "the keys agree with each other")


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


@pytest.mark.usefixtures("good")
def test_sick_workers_that_join_under_load_fail_no_job_and_recover_by_themselves(place: Place) -> None:
    right = place.credentials(place.folder / "right")
    wrong = place.folder / "wrong"
    packs = place.folder / "packs"
    packs.mkdir()
    absent = f"absent-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        jobs = stack.enter_context(load(place))
        wait_until(lambda: len(jobs.jobs) > 20, 60, "there is load")

        prlimit = ("-c", f"import resource, runpy, sys; {FULL}")
        secret, bucket, language, disk = stack.enter_context(
            together(
                place.worker("secret", credentials=place.credentials(wrong, secret_access_key="not-the-secret")),
                place.worker("bucket", credentials=right, storage=f"s3://{absent}"),
                place.worker("language", credentials=right, tessdata_dir=packs),
                place.worker("disk", credentials=right, command=prlimit),
            )
        )
        codes = (
            (secret, "storage.credentials"),
            (bucket, "storage.not_found"),
            (language, "language.missing"),
            (disk, "worker.disk_full"),
        )
        # on a busy machine storage may not have answered within their first look
        wait_until(lambda: all(each.codes() == [code] for each, code in codes), 60, "they say why")
        secret.check_says("storage.credentials", "storage", "AWS_* variables")
        bucket.check_says("storage.not_found", "storage", "Create it")
        language.check_says("language.missing", "languages of tesseract", "apt-get install", engine="tesseract")
        disk.check_says("worker.disk_full", "temporary files", "TMPDIR")

        seen = len(jobs.jobs)
        wait_until(lambda: len(jobs.jobs) > seen + 40, 300, "the load goes on")
        assert jobs.read_by() == {"good@here"}

        write_credentials(wrong, place.user)
        place.s3.client("s3").create_bucket(Bucket=absent)
        shutil.copy(tessdata_dir(load_worker_settings()) / "eng.traineddata", packs)
        limit_files(disk.running, resource.RLIM_INFINITY)
        for each in (secret, bucket, language, disk):
            each.check_is_well()
        names = {"good@here", "secret@here", "bucket@here", "language@here", "disk@here"}
        wait_until(lambda: jobs.read_by() >= names, 300, "all work")


@pytest.mark.usefixtures("good")
def test_a_worker_whose_access_breaks_under_its_jobs_gives_them_back_uncounted(place: Place) -> None:
    own = place.s3.make_user("breaking")
    file = place.folder / "breaking"
    write_credentials(file, own)
    with ExitStack() as stack:
        breaking = stack.enter_context(place.worker("breaking", credentials={"AWS_SHARED_CREDENTIALS_FILE": str(file)}))
        jobs = stack.enter_context(load(place))
        wait_until(lambda: {"good@here", "breaking@here"} <= jobs.read_by(), 120, "both work")

        iam = place.s3.client("iam")
        iam.delete_access_key(UserName="breaking", AccessKeyId=own["aws_access_key_id"])
        wait_until(lambda: breaking.codes() == ["storage.credentials"], 60, "it has stopped")
        seen = len(jobs.jobs)
        wait_until(lambda: len(jobs.jobs) > seen + 40, 300, "the load goes on")
        assert jobs.read_by() == {"good@here"}
        returned = breaking.lines("part goes back to its lane")
        assert returned
        assert {line["error"] for line in returned} <= {
            "source.credentials",
            "storage.credentials",
            "worker.access_broken",
        }

        key = iam.create_access_key(UserName="breaking")["AccessKey"]
        write_credentials(
            file, {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        )
        breaking.check_is_well()
        wait_until(lambda: "breaking@here" in jobs.read_by(), 120, "it works again")


def test_a_secret_that_is_rotated_badly_fails_no_job_whichever_process_has_read_it(
    another: Place, tmp_path: Path
) -> None:
    """The child is made anew, and its main process has read the good one."""
    file = tmp_path / "rotated"
    queue, image = another.queue, png(text_picture("Hello 42"))
    with another.worker("rotated", credentials=another.credentials(file)) as rotated:
        assert queue.submit(image, engine="tesseract", crops="none").wait(120).state == "succeeded"
        for _ in range(2):
            another.credentials(file, secret_access_key="not-the-secret")
            for child in rotated.running.running_children():
                os.kill(child, signal.SIGKILL)
            jobs = queue.submit_many([image] * 3, engine="tesseract", crops="none")
            wait_until(lambda: rotated.codes() == ["storage.credentials"], 60, "it has stopped")
            wait_until(lambda: {job.status().state for job in jobs} == {"queued"}, 60, "they wait")  # noqa: B023
            write_credentials(file, another.user)
            assert {status.state for _, status in queue.watch(jobs, 120)} == {"succeeded"}
            rotated.check_is_well()
        became = [attempt.became for job in jobs for attempt in job.history()]
        assert set(became) <= {"given back", "succeeded"}, "no retry is counted"
        assert check(registry_of(queue)) == []


def test_the_jobs_own_denial_is_seen_by_a_second_worker_and_fails_it_then(place: Place, good: Observed) -> None:
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
    queue = place.queue
    with place.worker("second", credentials=place.credentials(place.folder / "second")) as second:
        job = queue.submit(f"s3://{name}/page.png", engine="tesseract", crops="none")
        status = job.wait(120)
        assert (status.state, status.error and status.error.code) == ("failed", "source.access_denied")
        assert status.attempts == 2
        assert {attempt.worker for attempt in job.history()} == {good.name, second.name}
        assert good.codes() == second.codes() == []
    job = queue.submit(f"s3://{name}/page.png", engine="tesseract", crops="none")
    status = job.wait(120)
    assert (status.state, status.attempts) == ("failed", 1), "there is no second worker"
    assert check(registry_of(queue)) == []


def test_a_lone_worker_that_cannot_do_an_engines_jobs_says_what_becomes_of_them(another: Place, tmp_path: Path) -> None:
    right = another.credentials(tmp_path / "right")
    with another.worker("lone", credentials=right, tessdata_dir=tmp_path, lost_after_s=2) as lone:
        # on a busy machine storage may not have answered within its first look
        wait_until(lambda: lone.codes() == ["language.missing"], 60, "it says why")
        lone.check_says("language.missing", "languages of tesseract", "apt-get install", engine="tesseract")
        status = another.queue.submit(png(text_picture("Hello 42")), engine="tesseract", crops="none").wait(120)
        assert (status.state, status.error and status.error.code) == ("failed", "language.missing")
        assert status.worker == lone.name, "no other worker could"


def test_a_language_is_left_to_workers_that_have_it_and_holds_nobody_up(another: Place, tmp_path: Path) -> None:
    packs, all_packs = tmp_path / "packs", tessdata_dir(load_worker_settings())
    packs.mkdir()
    shutil.copy(all_packs / "eng.traineddata", packs)
    right = another.credentials(tmp_path / "right")
    queue, image = another.queue, png(text_picture("Hello 42"))

    def submitted(*languages: str, times: int = 1) -> list[SubmittedJob]:
        return queue.submit_many([image] * times, engine="tesseract", languages=languages, crops="none")

    with ExitStack() as stack:
        # one that is stopped counts as there for four heartbeats of who looks
        lacking = stack.enter_context(
            another.worker("lacking", credentials=right, tessdata_dir=packs, worker_heartbeat_s=5)
        )
        missing = submitted("kor")[0].wait(120)
        assert (missing.state, missing.error and missing.error.code) == ("failed", "language.missing")
        assert missing.error is not None
        assert "tesseract-ocr-kor" in missing.error.remedy

        able = stack.enter_context(another.worker("able", credentials=right, worker_heartbeat_s=5))
        # stopped, it takes none, and is still there for a while
        os.kill(able.running.pid, signal.SIGSTOP)
        korean, english = submitted("kor", times=5), submitted("eng", times=5)
        ended = dict(queue.watch(english, 120))
        assert {status.worker for status in ended.values()} == {"lacking@here"}
        wait_until(lambda: {job.status().state for job in korean} == {"queued"}, 60, "they wait for the other")
        assert side_lanes(registry_of(queue)) == ["ocr.tesseract/kor"]
        assert sum(lane.waiting for lane in queue.queues()) == 5
        os.kill(able.running.pid, signal.SIGCONT)
        ended = dict(queue.watch(korean, 120))
        assert {(status.state, status.worker) for status in ended.values()} == {("succeeded", "able@here")}
        shutil.copy(all_packs / "kor.traineddata", packs)
        wait_until(lambda: side_lanes(registry_of(queue)) == [], 60, "the side lane is forgotten")
        wait_until(lambda: "kor" in lacking.info().engines[0].languages, 60, "it tells of its new pack")
        able.running.process.terminate()
        able.running.process.wait(60)
        assert submitted("kor")[0].wait(120).worker == "lacking@here"
        wait_until(lambda: check(registry_of(queue)) == [], 60, "the keys agree with each other")


def test_a_language_waits_for_the_one_worker_that_has_it_while_that_is_stopped(another: Place, tmp_path: Path) -> None:
    packs, file = tmp_path / "packs", tmp_path / "wrong"
    packs.mkdir()
    shutil.copy(tessdata_dir(load_worker_settings()) / "eng.traineddata", packs)
    right = another.credentials(tmp_path / "right")
    wrong = another.credentials(file, secret_access_key="not-the-secret")
    with together(
        another.worker("lacking", credentials=right, tessdata_dir=packs), another.worker("able", credentials=wrong)
    ) as (_, able):
        # on a busy machine storage may not have answered within its first look
        wait_until(lambda: able.codes() == ["storage.credentials"], 60, "it says why")
        image = png(text_picture("Hello 42"))
        job = another.queue.submit(image, engine="tesseract", languages=["kor"], crops="none")
        wait_until(
            lambda: side_lanes(registry_of(another.queue)) == ["ocr.tesseract/kor"], 60, "it waits for the other"
        )
        assert job.status().state == "queued"
        write_credentials(file, another.user)
        status = job.wait(120)
        assert (status.state, status.worker) == ("succeeded", able.name)
