"""WorkerSettings: from the environment, checked together, shown without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import WorkerSettings, load_worker_settings, mask_password
from ocrqueue.settings.per_engine import PerEngine


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCRQUEUE_SOURCE_HOSTS", "example.org, *.example.net")
    monkeypatch.setenv("OCRQUEUE_STORAGE", "s3://bucket/prefix/")
    monkeypatch.setenv("OCRQUEUE_TESSDATA_DIR", "/opt/tessdata")
    settings = load_worker_settings()
    assert settings.source_hosts == ("example.org", "*.example.net")
    assert settings.storage == "s3://bucket/prefix"
    assert settings.tessdata_dir == Path("/opt/tessdata")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("storage", "ftp://x"),
        ("storage", "file://relative"),
        ("storage", "file:///"),
        ("redis_url", "http://x"),
        ("redis_url", "redis://["),
        ("redis_url", "redis://host:many"),
        ("storage", "s3://["),
        ("storage", "file://["),
        ("key_prefix", "with space"),
        ("delivery_cap", 0),
        ("redis_timeout_s", "inf"),
        ("redis_timeout_s", "nan"),
        ("redis_timeout_s", 1e300),
        ("redis_failover_s", float("inf")),
        ("s3_timeout_s", "inf"),
        ("vision_gather_s", "nan"),
        ("record_ttl_s", 10**30),
        ("s3_addressing", "other"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsInvalid) as error:
        load_worker_settings(**{name: value})
    assert name in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://:hunter2@h", "redis://:hunter2@[", "redis://:hunter2@h\u2100", "redis://h:hunter2"]
)
def test_a_secret_is_not_in_the_refusal(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="redis_url") as error:
        load_worker_settings(redis_url=url)
    assert "hunter2" not in str(error.value)


def test_what_is_no_url_is_masked_as_a_whole() -> None:
    assert load_worker_settings(s3_endpoint="http://key:hunter2@[").masked()["s3_endpoint"] == "***"


def test_secrets_can_be_files_and_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ocrqueue_redis_url").write_text("redis://:hunter2@redis/0\n")
    (tmp_path / "ocrqueue_key_prefix").write_text("file:")
    (tmp_path / "other").write_text("not a setting")
    monkeypatch.setenv("OCRQUEUE_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("OCRQUEUE_KEY_PREFIX", "environment:")
    settings = load_worker_settings()
    assert settings.redis_url.get_secret_value() == "redis://:hunter2@redis/0"
    assert settings.key_prefix == "environment:"
    assert load_worker_settings(key_prefix="argument:").key_prefix == "argument:"


def test_a_file_of_settings_that_is_not_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes("OCRQUEUE_KEY_PREFIX=\u00e9".encode("utf-16"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsInvalid, match="UTF-8"):
        load_worker_settings()


def test_a_folder_of_secrets_that_is_not_there_holds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCRQUEUE_SECRETS_DIR", str(tmp_path / "nowhere"))
    assert load_worker_settings().redis_url == WorkerSettings.model_fields["redis_url"].default


def test_a_secret_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ocrqueue_redis_url").write_bytes(b"redis://:hunter2\xff@h")
    monkeypatch.setenv("OCRQUEUE_SECRETS_DIR", str(tmp_path))
    with pytest.raises(SettingsInvalid, match=r"redis_url.*UnicodeDecodeError") as error:
        load_worker_settings()
    assert "hunter2" not in str(error.value)


def test_limits_must_be_in_order() -> None:
    with pytest.raises(SettingsInvalid, match=r"soft_time_limit_s \(300\) must be below hard_time_limit_s \(300\)"):
        load_worker_settings(soft_time_limit_s=300)
    with pytest.raises(SettingsInvalid, match=r"soft_time_limit_s \(240\) of keras must be below .* \(100\)"):
        load_worker_settings(hard_time_limit_s="300,keras=100")
    with pytest.raises(SettingsInvalid, match=r"record_ttl_s \(900\) must not be above ended_ttl_s \(899\)"):
        load_worker_settings(record_ttl_s=900, ended_ttl_s=899)
    with pytest.raises(SettingsInvalid, match=r"lost_after_s \(5\.0\) must be at least twice worker_heartbeat_s"):
        load_worker_settings(lost_after_s=5, worker_heartbeat_s=3)


def test_a_number_can_differ_by_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCRQUEUE_SOFT_TIME_LIMIT_S", "100, keras=200")
    limit = load_worker_settings().soft_time_limit_s
    assert (limit.of("tesseract"), limit.of("keras"), str(limit)) == (100, 200, "100,keras=200")
    assert load_worker_settings(soft_time_limit_s=7).soft_time_limit_s == PerEngine(7)


@pytest.mark.parametrize("value", ["", "keras=1", "1,2", "1,keras", "1;keras=2", "-1", "1.5", None, True])
def test_what_is_no_number_by_engine_is_refused(value: object) -> None:
    with pytest.raises(SettingsInvalid, match="soft_time_limit_s"):
        load_worker_settings(soft_time_limit_s=value)


def test_masked_settings_hold_every_field_and_no_password() -> None:
    settings = load_worker_settings(
        redis_url="rediss://user:hunter2@host:6380/1?password=hunter2", s3_endpoint="http://key:hunter2@s3:9000"
    )
    masked = settings.masked()
    assert set(masked) == set(WorkerSettings.model_fields)
    assert "hunter2" not in str(masked)
    assert masked["redis_url"] == "rediss://user:***@host:6380/1?***"
    assert "hunter2" not in repr(settings.redis_url)


def test_mask_leaves_urls_without_secrets_alone() -> None:
    assert mask_password("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"


def test_every_field_is_described_with_a_unit_where_it_has_one() -> None:
    for name, field in WorkerSettings.model_fields.items():
        assert field.description, name
