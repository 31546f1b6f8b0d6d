"""Names that a client is given: a mistyped one is refused, and one that is right counts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.errors import SettingsInvalid
from ocrqueue.job import Job
from ocrqueue.settings import ClientSettings, SettingIgnored, load_worker_settings
from ocrqueue.settings.overrides import ClientOverrides
from ocrqueue.submitting.submission import JobFields

BOTH = pytest.mark.parametrize("client", [OcrQueue, AsyncOcrQueue])


@BOTH
def test_a_mistyped_setting_is_refused(client: Callable[..., Any]) -> None:
    with pytest.raises(SettingsInvalid, match=r"redis_ulr.*redis_url"):
        client(redis_ulr="redis://elsewhere")
    with pytest.raises(SettingsInvalid, match="no setting 'tenant_wieghts_of_all'"):
        client(load_worker_settings(), tenant_wieghts_of_all=1)


@BOTH
def test_overrides_count_beside_settings(client: Callable[..., Any]) -> None:
    given = load_worker_settings(redis_url="redis://first", key_prefix="mine:", record_ttl_s=100)
    made = client(given, redis_url="redis://second").settings
    assert made.redis_url.get_secret_value() == "redis://second"
    assert (made.key_prefix, made.record_ttl_s) == ("mine:", 100)
    assert made.model_copy(update={"redis_url": given.redis_url}) == given
    with pytest.raises(SettingsInvalid, match="record_ttl_s"):
        client(given, record_ttl_s=0)


@pytest.mark.parametrize("name", ["submit", "submit_many"])
@BOTH
def test_fields_of_a_job_are_typed(client: type, name: str) -> None:
    assert get_args(get_type_hints(getattr(client, name))["fields"]) == (JobFields,)
    assert set(JobFields.__annotations__) == set(Job.model_fields) - {"schema_version", "image", "route"}


@BOTH
def test_settings_are_typed(client: type) -> None:
    assert signature(client).parameters["overrides"].annotation == "Unpack[ClientOverrides]"
    assert set(ClientOverrides.__annotations__) == set(ClientSettings.model_fields)


@BOTH
def test_a_wrong_setting_of_workers_does_not_stop_an_app(
    client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCRQUEUE_VISION_TIMEOUT_S", "soon")
    monkeypatch.setenv("OCRQUEUE_KEY_PREFIX", "mine:")
    with pytest.raises(SettingsInvalid, match="vision_timeout_s"):
        load_worker_settings()
    assert client().settings.key_prefix == "mine:"
    with pytest.raises(SettingsInvalid, match=r"vision_timeout_s is a setting of workers.*OCRQUEUE_VISION_TIMEOUT_S"):
        client(vision_timeout_s=1.0)
    monkeypatch.setenv("OCRQUEUE_REDIS_TIMEOUT_S", "soon")
    with pytest.raises(SettingsInvalid, match="redis_timeout_s"):
        client()


@BOTH
def test_a_variable_that_is_no_setting_is_warned_of(
    client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ocrqueue.settings.unknown._told", set())
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("OCRQUEUE_STORAG=s3://b/p\nOTHER=1\nOCRQUEUE_KEY_PREFIX=mine:\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ocrqueue_gateway_secrets").write_text("x")
    (tmp_path / "secrets" / "ocrqueue_s3_secret_key").write_text("x")
    monkeypatch.setenv("OCRQUEUE_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("OCRQUEUE_REDIS_ULR", "redis://elsewhere")
    monkeypatch.setenv("OCRQUEUE_ZZZZZZ", "1")
    with pytest.warns(SettingIgnored) as told:
        assert client().settings.key_prefix == "mine:"
    assert [str(each.message) for each in told] == [
        "OCRQUEUE_REDIS_ULR is not a setting; did you mean OCRQUEUE_REDIS_URL?",
        "OCRQUEUE_S3_SECRET_KEY is not a setting; did you mean OCRQUEUE_S3_SECRET_ACCESS_KEY?",
        "OCRQUEUE_STORAG is not a setting; did you mean OCRQUEUE_STORAGE?",
        "OCRQUEUE_ZZZZZZ is not a setting, and is ignored",
    ]
    assert {each.filename for each in told} == {__file__}
    client()  # once is enough, and the names are not secret


@BOTH
def test_a_client_and_its_handles_say_why_they_cannot_be_pickled(client: Callable[..., Any]) -> None:
    queue = client()
    for each in (queue, queue.job("some-id"), queue.batch("some-batch")):
        with pytest.raises(TypeError, match=rf"pass a job's id there: {queue.__class__.__name__}\(\)\.job\(id\)"):
            pickle.dumps(each)
