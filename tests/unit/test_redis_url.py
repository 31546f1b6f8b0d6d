"""The URL of Redis behind Sentinels: what it names, what is refused, what may be shown of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
import redis.asyncio

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.core.pools import async_connection_pool, connection_pool
from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import load_worker_settings
from ocrqueue.settings.redis_url import Sentinels, place_of, sentinels_of
from ocrqueue_worker.app import celery_settings

ENCRYPTED = (redis.SSLConnection, redis.asyncio.SSLConnection)
WHOLE = (
    "sentinels://app:p%40%2Fss@h1:26380,[fd00::1],h3:1/my%20jobs/3"
    "?sentinel_username=watch&sentinel_password=p%26%40ss&ssl_ca_certs=/ca.pem&ssl_check_hostname=false"
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sentinel://h/jobs", Sentinels((("h", 26379),), "jobs", False, "redis:///")),
        ("sentinel://:pw@h:1,g:2/jobs/", Sentinels((("h", 1), ("g", 2)), "jobs", False, "redis://:pw@/")),
        ("sentinel://h/jobs?db=4&x=a@b/c", Sentinels((("h", 26379),), "jobs", False, "redis:///?db=4&x=a@b/c")),
        ("redis://h:1/0", None),
        ("rediss://u:p@h/jobs", None),
    ],
)
def test_what_it_names(url: str, expected: Sentinels | None) -> None:
    assert sentinels_of(url) == expected


@pytest.mark.parametrize("make", [connection_pool, async_connection_pool])
def test_servers_and_sentinels_have_credentials_of_their_own_and_are_both_encrypted(make: object) -> None:
    pool = make(load_worker_settings(redis_url=WHOLE, redis_timeout_s=3))  # type: ignore[operator]
    of_servers = pool.connection_kwargs
    assert (of_servers["username"], of_servers["password"], of_servers["db"]) == ("app", "p@/ss", 3)
    assert issubclass(pool.connection_class, ENCRYPTED)
    assert pool.service_name == "my jobs"
    addresses = []
    for each in pool.sentinel_manager.sentinels:
        asked = each.connection_pool.connection_kwargs
        assert (asked["username"], asked["password"], asked.get("db") or 0) == ("watch", "p&@ss", 0)
        assert (asked["ssl_ca_certs"], asked["ssl_check_hostname"]) == ("/ca.pem", False)
        assert asked["socket_timeout"] == asked["socket_connect_timeout"] == pytest.approx(0.33)
        assert issubclass(each.connection_pool.connection_class, ENCRYPTED)
        addresses.append((asked["host"], asked["port"]))
    assert addresses == [("h1", 26380), ("fd00::1", 26379), ("h3", 1)]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("sentinel://:hunter2@h", "names no primary"),
        ("sentinel://:hunter2@h:26379/", "names no primary"),
        ("sentinel://:hunter2@/jobs", "host or port"),
        ("sentinel://:hunter2@h,/jobs", "host or port"),
        ("sentinel://:hunter2@h:many/jobs", "host or port"),
        ("sentinel://hunter2/@h/jobs", "number of a database"),
        ("sentinel://h/jobs/hunter2", "number of a database"),
        ("sentinel:hunter2", "must begin with"),
    ],
)
def test_what_cannot_work_is_refused_without_a_word_of_it(url: str, complaint: str) -> None:
    with pytest.raises(SettingsInvalid, match=complaint) as error:
        load_worker_settings(redis_url=url)
    assert "redis_url" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (WHOLE, "h1:26380,[fd00::1],h3:1/my%20jobs/3"),
        ("redis://u:hunter2@h:1/2?password=x", "h:1/2"),
        ("redis://", "127.0.0.1"),
        ("rediss://:hunter2@h/", "h"),
    ],
)
def test_what_may_be_shown(url: str, place: str) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize("hosts", ["h1", "h1:1,h2", "[::1]:1,[::2]", "h1,[::1]"])
def test_no_password_is_shown(hosts: str) -> None:
    url = f"sentinels://app:hunter2@{hosts}/jobs?sentinel_password=hunter2"
    settings = load_worker_settings(redis_url=url)
    for shown in (str(settings), str(settings.masked()), str(celery_settings(settings)), repr(sentinels_of(url))):
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:hunter2@h:1/2?x=y", "redis://h:1/2"),
        ("rediss://:hunter2@h", "redis://h/"),
        ("sentinels://u:hunter2@h:1,g/jobs/2?sentinel_password=hunter2", "sentinel://h:1/jobs/2"),
    ],
)
def test_celery_knows_where_its_broker_is_and_no_more(url: str, shown: str) -> None:
    assert celery_settings(load_worker_settings(redis_url=url))["broker_url"] == shown


def test_who_waits_bears_an_outage_where_a_failover_is_to_be_expected() -> None:
    assert load_worker_settings(redis_url="redis://h").longest_outage_s == 0
    assert load_worker_settings(redis_url="sentinel://h/jobs").longest_outage_s == 60
    assert load_worker_settings(redis_url="sentinel://h/jobs", redis_failover_s=7).longest_outage_s == 7
    assert load_worker_settings(redis_url="redis://h", redis_failover_s=7).longest_outage_s == 7


def test_replicas_are_waited_for_within_the_time_of_one_answer() -> None:
    assert load_worker_settings(submit_replicas_timeout_s=9).submit_replicas == 0
    with pytest.raises(SettingsInvalid, match=r"submit_replicas_timeout_s \(1.5\) must be at most a quarter"):
        load_worker_settings(submit_replicas=1, submit_replicas_timeout_s=1.5)


@pytest.mark.parametrize("make", [OcrQueue, AsyncOcrQueue])
@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@h/0?hunter2=1",
        "redis://:hunter2@h/0?socket_timeout=hunter2",
        "redis://:hunter2@h/0?health_check_interval=hunter2",
        "redis://:hunter2@h/0?db=hunter2",
        "redis://:hunter2@h/0?protocol=9",
        "redis://:hunter2@h/0?decode_responses=true",
        "rediss://:hunter2@h/0?ssl_cert_reqs=hunter2",
        "sentinel://:hunter2@h/jobs?hunter2=1",
        "sentinel://:hunter2@h/jobs?socket_timeout=hunter2",
    ],
)
def test_an_option_that_cannot_work_is_refused_before_the_first_call(make: Callable[..., object], url: str) -> None:
    with pytest.raises(SettingsInvalid, match="redis_url has an option") as refused:
        make(redis_url=url)
    assert "hunter2" not in str(refused.value) + repr(refused.value.__cause__)


@pytest.mark.parametrize("path", ["jobs", "0/1", "-1", "hunter2/0", "\u0663"])
def test_what_is_no_database_is_not_taken_for_the_first_one(path: str) -> None:
    with pytest.raises(SettingsInvalid, match="number of a database") as refused:
        load_worker_settings(redis_url=f"redis://:hunter2@h/{path}")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("end", ["", "/", "/0", "/15/", "?db=3", "/0?client_name=mine&retry_on_timeout=1"])
def test_a_url_that_works_is_taken(end: str) -> None:
    for pool in (connection_pool, async_connection_pool):
        pool(load_worker_settings(redis_url=f"redis://h{end}"))
