"""What the documentation shows is run as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

import ocrqueue
from ocrqueue import OcrQueue
from ocrqueue.cleaning import Cleaning
from ocrqueue.client import registry_of
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.installation import live_workers
from ocrqueue.core.intake import foreign_lists, take_in_foreign
from ocrqueue.core.reclaimer import reclaim
from ocrqueue.core.tenants import set_weights, tenants
from ocrqueue.errors import BrokerUnavailable, EngineFailed, JobMalformed, JobUnknown, QueueFull, error_classes
from ocrqueue.monitoring.snapshot import read_installation
from ocrqueue.routing import Router, read_engines
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.webhooks.endpoints import endpoints, remove_endpoint, set_endpoint
from ocrqueue.webhooks.notices import failed_notices, notices_of
from tests.integration.conftest import Installation
from tests.integration.test_jobs import many_pages
from tests.support.documentation import ROOT, block_after, snippets
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, environment, free_port, need_program, unmeasured, wait_until, worker
from tests.support.servers import answer, http_server
from tests.support.webhooks import send_due

pytest_plugins = ["tests.support.server_fixtures"]

DOCS = ROOT / "docs"
HELLO = png(text_picture("Hello 42"))


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "samples", tmp_path / "samples"))


def run_python(
    installation: Installation, folder: Path, *arguments: object, **variables: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment(as_environment(installation.settings)) | variables,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_python_snippets_print_what_they_say(installation: Installation, samples: Path) -> None:
    """In one process, one after the other."""
    found = list(snippets(DOCS / "python.md"))
    mark = uuid.uuid4().hex
    script = samples / "snippets.py"
    script.write_text("".join(f"{code}\nprint('{mark}', flush=True)\n" for code, _ in found), encoding="utf-8")
    printed = run_python(installation, samples, script.name).stdout.split(f"{mark}\n")
    for (code, expected), actual in zip(found, printed[:-1], strict=True):
        assert expected is None or actual == expected, code
    assert sum(expected is not None for _, expected in found) >= 8


def test_the_snippet_in_the_readme_runs(installation: Installation, samples: Path) -> None:
    code, _ = next(snippets(ROOT / "README.md"))
    (samples / "readme.py").write_text(code, encoding="utf-8")
    printed = run_python(installation, samples, "readme.py").stdout.splitlines()
    assert any(re.fullmatch(r"LANTERN \(.*\) 0\.\d+ \(\d+, \d+\)", line) for line in printed), "the size of its crop"
    assert len(printed) > 200


def test_an_app_that_has_only_celery_reads_an_image_by_name(installation: Installation, tmp_path: Path) -> None:
    (code, _), *_ = snippets(DOCS / "celery.md")
    (tmp_path / "theirs.py").write_text(code, encoding="utf-8")
    image = installation.file_root / "by-name.png"
    image.write_bytes(HELLO)
    call = f"import json, theirs; print(json.dumps(theirs.read({image.as_uri()!r})))"
    summary = json.loads(run_python(installation, tmp_path, "-c", call).stdout)
    example = json.loads(block_after(DOCS / "celery.md", "returns the summary", "json"))
    assert set(summary) == set(example)
    assert summary["state"] == "succeeded"


def test_a_celery_worker_of_the_apps_own_is_told_of_the_end(installation: Installation, tmp_path: Path) -> None:
    _, _, (code, _), *_ = snippets(DOCS / "celery.md")
    (tmp_path / "replies.py").write_text(code, encoding="utf-8")
    log = tmp_path / "replies.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "replies", "worker", "-Q", "finished-scans", "-P", "solo"],
            cwd=tmp_path,
            env=environment(as_environment(installation.settings)),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        job = installation.queue.submit(HELLO, engine="null", reply_to="finished-scans")
        wait_until(lambda: f"{job.id} succeeded: s3://" in log.read_text(), 300, f"the reply came: {log.read_text()}")
    finally:
        process.kill()
        process.wait()


def test_a_message_by_name_is_what_the_table_says(installation: Installation) -> None:
    """The table of malformed messages: the record and the result of a job that the schema refuses."""
    from celery import Celery
    from celery.exceptions import TaskRevokedError

    url = installation.settings.redis_url.get_secret_value()
    app = Celery("theirs", broker=url, backend=url, set_as_current=False)
    options = {"global_keyprefix": installation.settings.key_prefix}
    app.conf.update(broker_transport_options=options, result_backend_transport_options=options)
    sent = app.send_task("ocrqueue.recognize", kwargs={"job": {"imag": "s3://b/k"}}, queue="ocr.tesseract")
    with pytest.raises(Exception, match=r"^job\.malformed: "):
        sent.get(timeout=100)
    with pytest.raises(JobMalformed):
        installation.queue.job(sent.id).result()
    unknown = app.send_task("ocrqueue.recognise", kwargs={"job": {"image": "s3://b/k"}}, queue="ocr.tesseract").id
    client, keys = registry_of(installation.queue).client, registry_of(installation.queue).keys
    wait_until(lambda: not client.exists(keys.foreign("ocr.tesseract")), 60, "it is dropped")
    assert app.backend.get_state(unknown) == "PENDING", "nobody is told"
    with pytest.raises(JobUnknown):
        installation.queue.job(unknown).status()
    a_minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    expired = app.send_task(
        "ocrqueue.recognize", kwargs={"job": {"image": "s3://b/k"}}, queue="ocr.tesseract", expires=a_minute_ago
    )
    with pytest.raises(Exception, match=r"^job\.expired: "):
        expired.get(timeout=100)
    late = app.send_task(
        "ocrqueue.recognize",
        kwargs={"job": {"image": "s3://b/k"}},
        queue="ocr.tesseract.low",
        countdown=1000,
        priority=9,
    )
    wait_until(lambda: client.zscore(keys.delayed(), late.id), 60, "it is delayed")
    assert installation.queue.job(late.id).status().queue == "ocr.tesseract.low"
    assert installation.queue.job(late.id).cancel() == "cancelled"
    with pytest.raises(TaskRevokedError):
        late.get(timeout=100)
    app.close()


def test_a_crop_is_a_byte_range_of_the_archive(installation: Installation, tmp_path: Path) -> None:
    (code, _), *_ = snippets(DOCS / "storage.md")
    (tmp_path / "crop.py").write_text(code, encoding="utf-8")
    status = installation.queue.submit(HELLO, crops="archive", cache=False).wait(100)
    bucket, _, key = (status.result or "").removeprefix("s3://").partition("/")
    done = subprocess.run(
        [sys.executable, "crop.py", bucket, key],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        timeout=60,
        check=True,
    )
    word = next(installation.queue.document(status).words())
    assert word.crop is not None
    assert word.crop.offset
    assert done.stdout == word.crop.open().read()


# --- an engine of one's own ------------------------------------------------------------------------------------------


@pytest.fixture
def engine_package(tmp_path: Path) -> Path:
    """The folder where the example engine is installed, as pip installs it."""
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    page = DOCS / "engines.md"
    (source / "ocrqueue_remote.py").write_text(block_after(page, "An engine of one's own", "python"), encoding="utf-8")
    (source / "pyproject.toml").write_text(block_after(page, "Its `pyproject.toml`", "toml"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", site, source], env=unmeasured(), check=True)
    return site


def test_the_example_of_an_engine_reads(
    installation: Installation, engine_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        {"text": "Hello", "box": [10, 20, 60, 40], "score": 0.9},
        {"text": "42", "box": [70, 20, 90, 40], "score": 0.3},
    ]
    routes = {
        "/": answer(200, json.dumps({"lines": [words, [{**words[0], "text": "again", "score": 0.8}]]}).encode()),
    }
    settings = {**as_environment(installation.settings), "key_prefix": f"remote-{uuid.uuid4().hex[:8]}:"}
    monkeypatch.setenv("PYTHONPATH", f"{engine_package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with http_server(routes) as server:
        monkeypatch.setenv("REMOTE_OCR_URL", server.url("/"))
        arguments = ("--engine", "remote", "--concurrency", "1")
        with worker(settings, tmp_path, *arguments), OcrQueue(load_worker_settings(**settings)) as queue:
            document = queue.submit(HELLO, engine="remote", options={"least_score": 0.5}).result(timeout=100)
            assert document.text == "Hello\nagain"
            assert [word.confidence for word in document.words()] == [0.9, 0.8]
            assert next(document.words()).polygon == ((10, 20), (60, 20), (60, 40), (10, 40))
            assert all(word.crop and word.crop.image().width == 54 for word in document.words())
            assert (
                queue.submit(HELLO, engine="remote", options={"least_score": 2}).wait(60).error.code == "option.invalid"
            )
            assert queue.submit(HELLO, engine="remote", options={"least_score": 0.5}).wait(100).cached
            routes["/"] = answer(500)
            with pytest.raises(EngineFailed, match="gives no answer"):
                queue.submit(HELLO, engine="remote").result(timeout=100)


# --- the access rules of Redis ---------------------------------------------------------------------------------------


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis with the users of docs/security.md, their passwords as they stand there."""
    port = free_port()
    rules = block_after(DOCS / "security.md", "### Access rules", "text")
    configuration = tmp_path / "redis.conf"
    configuration.write_text(
        f'port {port}\nbind 127.0.0.1\nsave ""\nuser default on >ADMIN ~* &* +@all\n{rules}', encoding="utf-8"
    )
    process = subprocess.Popen([need_program("redis-server"), configuration], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password="ADMIN") as admin:
            wait_until(lambda: _answers(admin), 60, "redis-server answers")
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def work_with_many_jobs(queue: OcrQueue, ended: str) -> None:
    page = queue.jobs(limit=1)
    assert queue.jobs(limit=1, after=page.next) != page
    queue.history(ended)
    assert queue.job(ended).cancel() == "cancelled"
    submitted = queue.submit(HELLO, engine="null", tag="many", tenant="acme", batch="many")
    queue.batch("many", tenant="acme").close(reply_to="finished-scans")
    for act in (queue.replay_many, queue.drop_many, queue.cancel_many, queue.delete_many):
        act(tag="many")
    with pytest.raises(JobUnknown):
        submitted.status()
    assert [entry.action for entry in queue.audit(4)] == ["delete", "cancel", "drop", "replay"]
    assert queue.batch("many", tenant="acme").status().ended_at is not None


def test_the_access_rules_permit_what_is_needed_and_nothing_dangerous(guarded_redis: int, tmp_path: Path) -> None:
    def url(user: str, password: str) -> str:
        return f"redis://{user}:{password}@127.0.0.1:{guarded_redis}/0"

    (tmp_path / "storage").mkdir()
    for_app = {
        "redis_url": url("ocr-app", "APP-PASSWORD"),
        "key_prefix": "acme:",
        "storage": f"file://{tmp_path}/storage",
        "shutdown_grace_s": 0,
        "retry_limit": 1,
        "retry_backoff_s": 0.1,
        "worker_heartbeat_s": 1,
    }
    for_worker = {**for_app, "redis_url": url("ocr-worker", "WORKER-PASSWORD")}
    admin = redis.Redis(port=guarded_redis, password="ADMIN")
    arguments = ("--engine", "null", "--engine", "tesseract", "--concurrency", "1")
    with OcrQueue(load_worker_settings(**for_app)) as queue:
        jobs = [queue.submit(HELLO, engine="null")]  # nobody has been before it
        with worker(for_worker, tmp_path, *arguments):
            assert queue.submit(HELLO, idempotency_key="one").result(timeout=100).text == "Hello 42"
            assert queue.submit(HELLO).wait(100).cached
            jobs += queue.submit_many([HELLO] * 3, engine="null", reply_to="finished-scans", tenant="acme")
            assert len(list(queue.as_completed(jobs, timeout=100))) == 4
            wait_until(lambda: admin.llen("acme:finished-scans") == 3, 60, "the replies were sent")
            queue.submit_many([HELLO] * 2, engine="null", batch="two", close_batch=True)
            assert queue.batch("two").wait(60).succeeded == len(list(queue.batch("two").results())) == 2
            for fault, code in (("retryable", "source.unavailable"), ("kill", "job.poison")):
                status = queue.submit(HELLO, engine="null", options={"fault": fault}).wait(300)
                assert status.error is not None
                assert status.error.code == code
            assert {lane.name for lane in queue.queues() if lane.workers} >= {"ocr.null", "ocr.tesseract"}
            interrupted = queue.submit(HELLO, engine="null", options={"delay_s": 15})
            wait_until(lambda: interrupted.status().state == "running", 60, "it runs")
        assert interrupted.status().state == "queued", "it is back in its lane"
        with OcrQueue(load_worker_settings(**for_app, max_queue_length=1)) as limited, pytest.raises(QueueFull):
            limited.submit("s3://b/k", engine="null")
        set_weights(registry_of(queue), {"acme": 3})
        assert [tenant.weight for tenant in tenants(registry_of(queue)) if tenant.name == "acme"] == [3]
        assert queue.submit(HELLO, engine="null", reply_to="finished-scans").cancel() == "cancelled"
        send_webhooks(queue, load_worker_settings(**for_app | {"redis_url": url("ocr-sender", "SENDER-PASSWORD")}))
        read_installation(registry_of(queue))
        pause_and_resume(queue)
        reconcile(WorkerRegistry(load_worker_settings(**for_worker)), queue)
        dead, *_ = queue.dead_letters.ids()
        queue.dead_letters.replay(dead)
        work_with_many_jobs(queue, dead)
        with worker(for_worker, tmp_path, *arguments):
            assert sent_by_name(url("ocr-by-name", "BY-NAME-PASSWORD"), tmp_path) == "succeeded"
            assert interrupted.wait(100).attempts == 2
            cancelled = queue.submit(many_pages(), engine="null", options={"delay_s": 0.2}, crops="none")
            cancelled.cancel()
            assert cancelled.wait(100).state == "cancelled"
            revoke_by_name(queue, admin, url("ocr-by-name", "BY-NAME-PASSWORD"))
            drain_all(queue)
        denied = admin.acl_log()
        assert denied == []
        for client in (registry_of(queue).client, redis.Redis.from_url(str(for_worker["redis_url"]))):
            for command in (
                ["FLUSHALL"],
                ["CONFIG", "GET", "*"],
                ["KEYS", "*"],
                ["GET", "theirs"],
                ["SET", "theirs", 1],
            ):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*command)
    with (
        OcrQueue(load_worker_settings(**{**for_app, "key_prefix": "other:"})) as other,
        pytest.raises(BrokerUnavailable, match="does not permit"),
    ):
        other.submit("s3://b/k", engine="null")
    admin.close()


def send_webhooks(queue: OcrQueue, sender: WorkerSettings) -> None:
    assert set_endpoint(registry_of(queue), "", "http://127.0.0.1:9/") is not None
    job = queue.submit(HELLO, engine="null")
    job.cancel()
    assert set(send_due(sender)) == {"retry"}
    (notice,) = notices_of(registry_of(queue), job.id)
    assert len(notice.log) == 1
    assert endpoints(registry_of(queue))[0].pending
    assert failed_notices(registry_of(queue)) == []
    job.delete()
    remove_endpoint(registry_of(queue), "", with_secrets=True)


def pause_and_resume(queue: OcrQueue) -> None:
    for named in ({"engine": "null"}, {"lane": "ocr.null.low"}, {"tenant": "acme"}):
        assert queue.pause(**named)
        assert queue.resume(**named)


def drain_all(queue: OcrQueue) -> None:
    queue.drain(*(each.name for each in queue.workers()))
    wait_until(lambda: not queue.workers(), 60, "they have ended")


def reconcile(operator: WorkerRegistry, queue: OcrQueue) -> None:
    reclaim(operator)
    router = Router(operator.settings, lambda: read_engines(operator))
    take_in_foreign(operator, router.prepare, foreign_lists(live_workers(operator), operator.settings))
    for dry_run in (True, False):
        Cleaning(operator, queue.storage, dry_run, results_older_than_s=-60, least_age_s=-60).run()
    operator.close()


def revoke_by_name(queue: OcrQueue, admin: redis.Redis, url: str) -> None:
    """With what the page says that it takes beside the rule."""
    from celery import Celery

    job = queue.submit(many_pages(), engine="null", options={"delay_s": 0.2}, crops="none")
    admin.execute_command("ACL", "SETUSER", "ocr-by-name", "+publish", "&acme:/0.celery.pidbox")
    with Celery("theirs", broker=url, set_as_current=False) as app:
        app.conf.broker_transport_options = {"global_keyprefix": "acme:"}
        app.control.revoke(job.id)
    assert job.wait(100).state == "cancelled"


def sent_by_name(url: str, folder: Path) -> str:
    """The state of a job that a process without ocrqueue's rights sends by name."""
    script = f"""
from celery import Celery
app = Celery("theirs", broker={url!r}, backend={url!r})
app.conf.broker_transport_options = app.conf.result_backend_transport_options = {{"global_keyprefix": "acme:"}}
job = {{"image": "file://{folder}/storage/inputs/hello.png", "engine": "null"}}
print(app.send_task("ocrqueue.recognize", kwargs={{"job": job}}, queue="ocr.null").get(timeout=100)["state"])
"""
    (folder / "storage/inputs/hello.png").write_bytes(HELLO)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True, timeout=200
    ).stdout.strip()


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", DOCS, tmp_path],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    reference = (tmp_path / "api.html").read_text(encoding="utf-8")
    assert [name for name in ocrqueue.__all__ if f'.{name}"' not in reference] == []


def test_the_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_part_that_is_out_of_date_is_found_and_written(tmp_path: Path) -> None:
    (tmp_path / "generate.py").write_bytes((DOCS / "generate.py").read_bytes())
    page = tmp_path / "errors.md"
    page.write_text("before\n<!-- generated: errors -->\nold\n<!-- end: errors -->\nafter\n", encoding="utf-8")

    def run(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, tmp_path / "generate.py", *arguments], capture_output=True, check=False
        ).returncode

    assert run("--check") == 1
    assert run() == 0
    assert run("--check") == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert all(f"| `{code}` |" in text for code in error_classes())
