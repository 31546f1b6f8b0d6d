"""Redis over TLS with a user and a password: records, queue and results, all of it encrypted."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from ocrqueue import OcrQueue
from ocrqueue.core.pools import async_connection_pool, connection_pool
from ocrqueue.errors import BrokerUnavailable, SettingsInvalid
from ocrqueue.settings import load_worker_settings
from tests.support.certificates import make_certificate
from tests.support.pictures import png, text_picture
from tests.support.processes import as_environment, free_port, need_program, wait_until, worker

HELLO = png(text_picture("Hello 42"))


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that speaks TLS only; the URL trusts the authority that signed its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    made = make_certificate(folder)
    port = free_port()
    configuration = folder / "redis.conf"
    configuration.write_text(
        f"""
        port 0
        tls-port {port}
        tls-auth-clients no
        tls-cert-file {made.certificate}
        tls-key-file {made.key}
        tls-ca-cert-file {made.authority}
        user default off
        user ocr on >s3cret ~* &* +@all
        save ""
        dir {folder}
        logfile {folder}/redis.log
        """
    )
    process = subprocess.Popen([need_program("redis-server"), str(configuration)])
    url = f"rediss://ocr:s3cret@127.0.0.1:{port}/0?ssl_ca_certs={made.authority}"
    try:
        with redis.Redis.from_url(url) as client:
            wait_until(lambda: answers(client), 60, "redis-server answers")
        yield url
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_a_job_goes_all_the_way_over_tls(tls_url: str, tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "hello.png").write_bytes(HELLO)
    settings = load_worker_settings(
        redis_url=tls_url,
        storage=f"file://{tmp_path}/storage",
        source_file_roots=str(tmp_path),
        worker_heartbeat_s=1,
    )
    with worker(as_environment(settings), tmp_path, "-e", "null", "-c", "1") as running, OcrQueue(settings) as queue:
        assert queue.submit(HELLO, engine="null").wait(100).state == "succeeded"
        app = Celery("theirs", broker=tls_url, backend=tls_url, set_as_current=False)
        checked = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": tls_url.partition("ssl_ca_certs=")[2]}
        app.conf.update(broker_use_ssl=checked, redis_backend_use_ssl=checked)
        job = {"image": (tmp_path / "hello.png").as_uri(), "engine": "null"}
        sent = app.send_task("ocrqueue.recognize", kwargs={"job": job}, queue="ocr.null")
        assert sent.get(timeout=100)["pages"] == 1
        sent.forget()
        app.close()
        assert "s3cret" not in running.log_text()


def test_a_certificate_of_an_unknown_authority_is_refused(tls_url: str) -> None:
    with OcrQueue(load_worker_settings(redis_url=tls_url.partition("?")[0])) as queue, pytest.raises(BrokerUnavailable):
        queue.job("x").status()


def test_a_wrong_password_is_refused(tls_url: str) -> None:
    with (
        OcrQueue(load_worker_settings(redis_url=tls_url.replace("s3cret", "guess"))) as queue,
        pytest.raises(BrokerUnavailable, match="user or password"),
    ):
        queue.job("x").status()


@pytest.mark.parametrize(
    ("url", "requirement", "authority"),
    [
        ("rediss://h", ssl.CERT_REQUIRED, None),
        ("rediss://h?ssl_cert_reqs=none", ssl.CERT_NONE, None),
        ("rediss://h/1?ssl_ca_certs=/ca.pem&db=1", ssl.CERT_REQUIRED, "/ca.pem"),
        ("sentinels://h/name", ssl.CERT_REQUIRED, None),
        ("sentinels://h/name?ssl_ca_certs=/ca.pem", ssl.CERT_REQUIRED, "/ca.pem"),
    ],
)
def test_certificates_are_checked_unless_the_url_says_otherwise(
    url: str, requirement: ssl.VerifyMode, authority: str | None
) -> None:
    settings = load_worker_settings(redis_url=url)
    pools = [connection_pool(settings), async_connection_pool(settings)]
    pools += [
        each.connection_pool
        for pool in pools
        for each in getattr(getattr(pool, "sentinel_manager", None), "sentinels", [])
    ]
    for pool in pools:
        made = pool.make_connection()
        found = made if isinstance(made, redis.Connection) else made.ssl_context
        assert (found.cert_reqs, found.ca_certs) == (requirement, authority)


def test_a_requirement_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="has a wrong value"):
        connection_pool(load_worker_settings(redis_url="rediss://h?ssl_cert_reqs=nonsense")).make_connection()
