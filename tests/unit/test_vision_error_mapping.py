"""What Google's errors mean, and what is said of them."""

from __future__ import annotations

import pytest
from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.rpc.error_details_pb2 import ErrorInfo

from ocrqueue_worker.engines.vision.error_mapping import chain, error_of, image_error


def denied(reason: str, message: str = "denied") -> Exception:
    info = ErrorInfo(reason=reason, domain="googleapis.com", metadata={"consumer": "projects/123456"})
    return google.PermissionDenied(message, error_info=info)


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (denied("BILLING_DISABLED"), "engine.access_denied", "Enable billing for the project"),
        (google.PermissionDenied("This API method requires billing to be enabled."), "engine.access_denied", "billing"),
        (google.FailedPrecondition("Billing must be enabled."), "engine.access_denied", "Enable billing"),
        (denied("SERVICE_DISABLED"), "engine.access_denied", "gcloud services enable vision.googleapis.com"),
        (denied("IAM_PERMISSION_DENIED"), "engine.access_denied", "Check the service account's roles"),
        (google.Unauthenticated("bad token"), "engine.access_denied", "GOOGLE_APPLICATION_CREDENTIALS"),
        (DefaultCredentialsError("none"), "engine.access_denied", "GOOGLE_APPLICATION_CREDENTIALS"),
        (RefreshError("invalid_grant"), "engine.access_denied", "GOOGLE_APPLICATION_CREDENTIALS"),
        (
            google.ServiceUnavailable("Getting metadata from plugin failed with error: ('invalid_grant: Bad', {})"),
            "engine.access_denied",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (RefreshError("try later", retryable=True), "engine.unreachable", "token server"),
        (TransportError("no route"), "engine.unreachable", "network"),
        (google.TooManyRequests("slow down"), "engine.throttled", "slow down"),
        (google.BadGateway("bad gateway"), "engine.unreachable", "network"),
        (google.InvalidArgument("Bad image data."), "engine.image_refused", "Bad image data."),
        (google.MethodNotImplemented("no"), "engine.failed", "UNIMPLEMENTED"),
        (ValueError("ours"), "engine.failed", "ValueError"),
    ],
)
def test_every_error_has_its_code_and_says_what_to_do(raised: Exception, code: str, says: str) -> None:
    error = error_of(raised)
    assert error.code == code
    assert says in str(error)


def test_only_throttling_and_outages_are_worth_a_retry() -> None:
    retryable = [google.ResourceExhausted("x"), google.ServiceUnavailable("x"), google.DeadlineExceeded("x")]
    assert all(error_of(error).retryable for error in retryable)
    permanent = [denied("BILLING_DISABLED"), google.InvalidArgument("x"), DefaultCredentialsError("x")]
    assert not any(error_of(error).retryable for error in permanent)


def test_the_outermost_cause_that_says_something_counts_however_deep() -> None:
    inner = google.ResourceExhausted("Quota exceeded")
    error: Exception = google.RetryError("gave up", cause=inner)
    for depth in range(10):
        outer = RuntimeError(str(depth))
        outer.__cause__ = error
        error = outer
    assert error_of(error).code == "engine.throttled"
    assert error_of(ExceptionGroup("several", [ValueError("no"), inner])).code == "engine.throttled"


def test_causes_in_a_circle_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first
    assert list(chain(first)) == [first, second]
    assert error_of(first).code == "engine.failed"


def test_nothing_secret_is_repeated() -> None:
    said = "Error fetching https://storage.example.org/a.png?X-Goog-Signature=abc&X-Goog-Credential=me: no\n\x1b[31m"
    for error in (error_of(google.InvalidArgument(said)), image_error(3, said), image_error(7, said, True)):
        assert "abc" not in str(error)
        assert "\x1b" not in str(error)
        assert "\n" not in str(error)
    assert len(error_of(google.InvalidArgument("x" * 10_000)).message) < 300
    missing = DefaultCredentialsError("File /home/somebody/key.json was not found.")
    assert "somebody" not in str(error_of(missing))


def test_errors_of_single_images() -> None:
    assert image_error(8, "").code == "engine.throttled"
    assert image_error(14, "").code == "engine.unreachable"
    assert image_error(3, "Bad image data.").code == "engine.image_refused"
    assert image_error(7, "denied").code == "engine.access_denied"
    assert image_error(7, "denied", by_reference=True).code == "source.access_denied"
    assert image_error(5, "Error opening file: gs://b/o.", by_reference=True).code == "source.not_found"
    assert image_error(99, "?").code == "engine.unreachable"
