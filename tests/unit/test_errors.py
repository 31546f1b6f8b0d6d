"""The error taxonomy: codes, remedies, and the public form."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from ocrqueue.errors import (
    BrokerUnavailable,
    EngineFailed,
    ErrorInfo,
    JobUnknown,
    JobWaitTimeout,
    LanguageMissing,
    OcrQueueError,
    SourceNotFound,
    StorageNotFound,
    StorageUnavailable,
    error_classes,
    error_for_clients,
    error_from_info,
    error_info,
)


def test_every_class_has_a_code_of_its_own_and_a_remedy() -> None:
    classes = error_classes()
    assert len(classes) >= 40
    for code, cls in classes.items():
        assert cls.code == code
        assert code.count(".") == 1
        error = cls()
        assert error.message.endswith("."), code
        assert error.info.remedy.endswith("."), code
        assert cls.__doc__, code
        assert error.info.message == cls.__doc__.strip().splitlines()[0]


def test_what_an_engine_says_at_length_is_cut_before_it_is_kept() -> None:
    told = EngineFailed("x" * 1_000_000, remedy="y" * 1_000_000)
    assert len(told.info.model_dump_json()) < 5000
    assert told.info.message.startswith("xxx")
    assert told.info.message.endswith("...")
    assert EngineFailed("z" * 2000).message == "z" * 2000


def test_only_passing_troubles_are_retryable() -> None:
    retryable = {code for code, cls in error_classes().items() if cls.retryable}
    assert retryable == {
        "action.too_many",
        "broker.connections_exhausted",
        "broker.not_replicated",
        "broker.unavailable",
        "engine.throttled",
        "engine.unreachable",
        "event.unverifiable",
        "intake.unavailable",
        "job.deletion_pending",
        "job.not_finished",
        "job.wait_timeout",
        "key.attempts_exceeded",
        "key.rate_exceeded",
        "queue.full",
        "request.cut_off",
        "request.in_progress",
        "request.too_slow",
        "source.credentials",
        "source.timeout",
        "source.unavailable",
        "storage.credentials",
        "storage.unavailable",
        "tenant.limited",
        "upload.no_room",
        "worker.access_broken",
        "worker.disk_full",
        "worker.lost",
        "worker.stopping",
    }


@pytest.mark.parametrize("copy", [lambda e: pickle.loads(pickle.dumps(e)), lambda e: error_from_info(e.info)])
def test_an_error_survives_its_travels(copy) -> None:  # type: ignore[no-untyped-def]  # a function of an error
    error = LanguageMissing("No pack for kor.", remedy="apt-get install tesseract-ocr-kor.", language="kor")
    again = copy(error)
    assert type(again) is LanguageMissing
    assert again.info == error.info
    assert str(again) == "language.missing: No pack for kor. apt-get install tesseract-ocr-kor."


def test_a_code_of_a_newer_version_is_kept() -> None:
    info = ErrorInfo(code="quantum.decoherence", message="Oh.", remedy="Wait.", retryable=True, details={"qubit": 3})
    error = error_from_info(info)
    assert type(error) is OcrQueueError
    assert error.info == info
    assert (error.code, error.retryable) == ("quantum.decoherence", True)
    assert str(error) == "quantum.decoherence: Oh. Wait."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_detail_may_be_called_as_an_argument_is() -> None:
    info = ErrorInfo(code="job.unknown", message="Oh.", details={"message": "a", "remedy": "b", "self": "c"})
    assert error_from_info(info).info == info


def test_a_foreign_exception_shows_nothing_but_its_type() -> None:
    info = error_info(ValueError("password=hunter2"))
    assert info.code == "internal.error"
    assert "ValueError" in info.message
    assert "hunter2" not in json.dumps(info.model_dump())
    assert error_info(MemoryError()).code == "engine.out_of_memory"
    assert error_info(JobUnknown("No job x.")).code == "job.unknown"


@pytest.mark.parametrize("travelled", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_what_an_error_says_of_jobs_travels_with_it(travelled: Callable[[Any], Any]) -> None:
    late, outage = JobWaitTimeout("Oh."), BrokerUnavailable("Oh.")
    late.job_ids, outage.may_pass = ("a", "b"), False
    assert (travelled(late).job_ids, travelled(outage).may_pass) == (("a", "b"), False)
    assert travelled(JobUnknown("Oh.")).job_ids == ()


def test_clients_hear_nothing_of_the_installations_own_places() -> None:
    named = StorageUnavailable("s3://own/results: EndpointConnectionError.", remedy="Look at own.", retry_after_s=7)
    told = error_for_clients(named.info)
    assert (told.code, told.retryable, told.details) == ("storage.unavailable", True, {"retry_after_s": 7})
    assert "own/" not in told.message + told.remedy
    assert "OCRQUEUE_" not in told.message + told.remedy
    gone = error_for_clients(StorageNotFound("s3://own/results/a does not exist.").info)
    assert gone.remedy == StorageNotFound.remedy
    newer = ErrorInfo(code="storage.frozen", message="s3://own/results is frozen.", remedy="Thaw it.", retryable=True)
    assert error_for_clients(newer).message == "storage.frozen"


def test_what_is_the_clients_own_is_told_as_it_is() -> None:
    for error in (JobUnknown("No job x."), SourceNotFound("s3://yours/a does not exist.")):
        assert error_for_clients(error.info) is error.info
