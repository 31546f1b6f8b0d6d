"""The S3 client that storage and sources share, and what its errors mean."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as boto
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from urllib3.exceptions import HTTPError

from ocrqueue.errors import SettingsInvalid

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from ocrqueue.settings import ClientSettings

S3Error: TypeAlias = boto.ClientError | boto.BotoCoreError | HTTPError
S3_ERRORS: Final = (boto.ClientError, boto.BotoCoreError, HTTPError)
"""All that a client's methods, and reading a body, may raise."""

FailureKind: TypeAlias = Literal[
    "unavailable", "credentials", "denied", "no_bucket", "no_key", "exists", "wrong_region", "refused"
]


@dataclass(frozen=True, slots=True)
class S3Failure:
    """What an S3 error means. `detail` is the error's code: never text of the server's, which may hold secrets."""

    kind: FailureKind
    detail: str
    retry_after: str | None = None
    """The server's header."""


def s3_client(settings: ClientSettings, session: boto3.session.Session | None = None) -> S3Client:
    """The client of this process for these settings; thread-safe. Raises SettingsInvalid.

    `session`: an app's own, with its credentials; else those of the settings count, and then what the AWS SDK finds.

    Made once (that takes 0.1 s) in each process: sockets made before a fork must not be used on both sides of it.
    """
    endpoint = settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return _client(
        os.getpid(),
        endpoint or None,
        settings.s3_region,
        settings.s3_addressing,
        settings.s3_timeout_s,
        settings.s3_attempts,
        settings.upload_threads + 2,
        tuple(
            secret and secret.get_secret_value()
            for secret in (settings.s3_access_key_id, settings.s3_secret_access_key, settings.s3_session_token)
        ),
        session,
    )


def forget_s3_clients() -> None:
    """Let the next request read the credentials again."""
    _client.cache_clear()


def s3_failure(error: S3Error) -> S3Failure:
    """What an error of an S3 client means. After a denial the next client reads the credentials again."""
    failure = _failure(error)
    if failure.kind in ("credentials", "denied"):
        # some servers deny what credentials that are not valid any more ask for, and do not say that they are not
        forget_s3_clients()
    return failure


def _failure(error: S3Error) -> S3Failure:
    if not isinstance(error, boto.ClientError):
        return S3Failure(_client_side_kind(error), type(error).__name__)
    response: Any = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    retry_after = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after")
    if not re.fullmatch(r"[A-Za-z][A-Za-z.]{1,63}", code):  # a HEAD has none: botocore puts the status there
        return S3Failure(_server_side_kind("", status), f"HTTP {status}", retry_after)
    # of several objects in one request each has a code and no status
    detail = f"{code} ({f'HTTP {status}' if status else error.operation_name})"
    return S3Failure(_server_side_kind(code, status), detail, retry_after)


# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_KINDS: Final[dict[str, FailureKind]] = {
    "NoSuchBucket": "no_bucket",
    "NoSuchKey": "no_key",
    "InvalidRange": "no_key",
    "PreconditionFailed": "exists",
    "ConditionalRequestConflict": "exists",
    "NotImplemented": "refused",
    "PermanentRedirect": "wrong_region",
    "AuthorizationHeaderMalformed": "wrong_region",
    "IllegalLocationConstraintException": "wrong_region",
    "AccessDenied": "denied",
    "InvalidAccessKeyId": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "ExpiredToken": "credentials",
    "ExpiredTokenException": "credentials",
    "InvalidToken": "credentials",
    "InvalidTokenId": "credentials",
    "InvalidClientTokenId": "credentials",
    "TokenRefreshRequired": "credentials",
    "RequestExpired": "credentials",
    "RequestTimeTooSkewed": "credentials",
    "RequestTimeout": "unavailable",
    "RequestTimeoutException": "unavailable",
    "InternalError": "unavailable",
    "ServiceUnavailable": "unavailable",
    "SlowDown": "unavailable",
    "Throttling": "unavailable",
    "ThrottlingException": "unavailable",
    "ThrottledException": "unavailable",
    "RequestThrottled": "unavailable",
    "RequestLimitExceeded": "unavailable",
    "BandwidthLimitExceeded": "unavailable",
    "PriorRequestNotComplete": "unavailable",
    "OperationAborted": "unavailable",
}
_STATUSES: Final[dict[int, FailureKind]] = {
    301: "wrong_region",
    307: "wrong_region",
    401: "denied",
    403: "denied",
    404: "no_key",
    408: "unavailable",
    409: "exists",
    412: "exists",
    416: "no_key",
    429: "unavailable",
    501: "refused",
}
_CREDENTIAL_ERRORS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.MetadataRetrievalError,
)
_TRANSPORT_ERRORS: Final = (
    HTTPError,
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.FlexibleChecksumError,
    boto.ChecksumError,
)


def _server_side_kind(code: str, status: int) -> FailureKind:
    if code in _KINDS:
        return _KINDS[code]
    return _STATUSES.get(status, "unavailable" if status >= 500 else "refused")


def _client_side_kind(error: boto.BotoCoreError | HTTPError) -> FailureKind:
    if isinstance(error, _CREDENTIAL_ERRORS):
        return "credentials"
    return "unavailable" if isinstance(error, _TRANSPORT_ERRORS) else "refused"


def is_off_aws(endpoint: str | None) -> bool:
    """Whether the server is not one of AWS's; None stands for AWS."""
    host = (urlsplit(endpoint).hostname or "") if endpoint else "amazonaws.com"
    return not f".{host}".endswith((".amazonaws.com", ".amazonaws.com.cn"))


@lru_cache(maxsize=16)
def _client(
    _process: int,
    endpoint: str | None,
    region: str | None,
    addressing: Literal["auto", "path", "virtual"],
    timeout_s: float,
    attempts: int,
    connections: int,
    credentials: tuple[str | None, ...],
    given: boto3.session.Session | None,
) -> S3Client:
    try:
        off_aws = is_off_aws(endpoint)
        # Servers other than AWS's may refuse the checksums that boto3 adds since 1.36.
        checksums: Literal["when_required", "when_supported"] = "when_required" if off_aws else "when_supported"
        config = Config(
            s3={"addressing_style": "path" if addressing == "auto" and off_aws else addressing},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            max_pool_connections=connections,
            tcp_keepalive=True,
            user_agent=f"ocrqueue/{version('ocrqueue')}",  # botocore puts its own together again for every request
        )
        # boto3's default session must not be shared between threads
        key_id, secret, token = credentials if given is None else (None, None, None)
        session = given or boto3.session.Session(key_id, secret, token)
        client = session.client(
            "s3", endpoint_url=endpoint, region_name=region or session.region_name or "us-east-1", config=config
        )
        if endpoint is None and is_off_aws(client.meta.endpoint_url):  # ~/.aws/config names one
            own = client.meta.endpoint_url
            return _client(_process, own, region, addressing, timeout_s, attempts, connections, credentials, given)
    except (boto.BotoCoreError, ValueError) as error:  # ValueError: botocore's answer to a malformed endpoint
        reason = "OCRQUEUE_S3_ENDPOINT is not a URL" if isinstance(error, ValueError) else type(error).__name__
        raise SettingsInvalid(
            f"No S3 client can be made: {reason}.",
            remedy="Correct OCRQUEUE_S3_ENDPOINT, OCRQUEUE_S3_REGION, or the AWS_* variables and ~/.aws files.",
        ) from None
    client.meta.events.register("before-sign.s3.PutObject", _drop_expect_header)
    return client


def _drop_expect_header(request: AWSRequest, **_: object) -> None:
    """Spare each upload the round trip of `Expect: 100-continue`: what is stored is small.

    Together with the fixed user agent this takes a fifth off the CPU time of storing a crop.
    """
    del request.headers["Expect"]
