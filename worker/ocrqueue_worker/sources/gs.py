"""gs:// references, read over Cloud Storage's JSON API with the workers' own Google credentials.

STORAGE_EMULATOR_HOST leads to another server, without credentials, as it does in Google's own libraries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from ocrqueue.errors import (
    OcrQueueError,
    SourceAccessDenied,
    SourceBucketNotAllowed,
    SourceBucketNotFound,
    SourceCredentials,
    SourceHttpError,
    SourceInvalid,
    SourceNotFound,
    SourceSchemeNotAllowed,
    SourceTimeout,
    SourceTooLarge,
    SourceUnavailable,
)
from ocrqueue.job.references import split_gs_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.sources.content_coding import body, is_packed
from ocrqueue_worker.sources.deadline import Deadline
from ocrqueue_worker.sources.retry_after import retry_after

if TYPE_CHECKING:
    from requests import Response, Session

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_KEY_BYTES: Final = 1024
_CHUNK: Final = 64 * 1024
_SCOPES: Final = ("https://www.googleapis.com/auth/devstorage.read_only",)
_HOST: Final = "https://storage.googleapis.com"


def check_gs(uri: str, settings: WorkerSettings) -> tuple[str, str]:
    """Bucket and object. Raises SourceInvalid, SourceSchemeNotAllowed, SourceBucketNotAllowed."""
    if "gs" not in settings.source_schemes:
        raise SourceSchemeNotAllowed("References of scheme 'gs' are not allowed here.")
    bucket, key = split_gs_uri(uri)
    if not _BUCKET.fullmatch(bucket) or not _is_name(key):
        raise SourceInvalid("Not a gs://bucket/object reference: the bucket's name or the object's is not valid.")
    if settings.source_buckets and bucket not in settings.source_buckets:
        raise SourceBucketNotAllowed(f"The bucket {bucket!r} is not on the list of allowed buckets.")
    return bucket, key


def fetch_gs(uri: str, settings: WorkerSettings, deadline: Deadline) -> bytes:
    """The object's bytes. Raises as fetch() does."""
    bucket, key = check_gs(uri, settings)
    # the library's timeouts bound the silence of the server and of the one for credentials, not the whole
    try:
        return deadline.bound(lambda: _read(bucket, key, settings, deadline))
    except (SourceNotFound, SourceAccessDenied):
        # Some write names as URLs have them. Without the right to list, what does not exist is denied.
        decoded = unquote(key)
        if decoded == key or not _is_name(decoded):
            raise
        with suppress(SourceNotFound, SourceAccessDenied):
            return deadline.bound(lambda: _read(bucket, decoded, settings, deadline))
        raise


def _is_name(key: str) -> bool:
    return bool(key) and not {".", ".."} & set(key.split("/")) and len(key.encode()) <= _KEY_BYTES


def _read(bucket: str, key: str, settings: WorkerSettings, deadline: Deadline) -> bytes:
    try:
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException, Timeout
        from urllib3.exceptions import HTTPError
    except ImportError:
        raise SourceSchemeNotAllowed(
            "This worker cannot read gs:// references.", remedy="On the workers: pip install 'ocrqueue-worker[vision]'."
        ) from None
    host = _emulator() or _HOST
    url = f"{host}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}?alt=media"
    silence = settings.source_connect_timeout_s
    try:
        with (
            _session(host == _HOST) as session,
            session.get(
                url,
                # a compressed body could unfold to any size
                headers={"Accept-Encoding": "identity", "User-Agent": f"ocrqueue/{version('ocrqueue')}"},
                timeout=(silence, silence),
                stream=True,
                allow_redirects=False,
            ) as response,
        ):
            _check_answer(response, bucket, key)
            return _body(response, settings, deadline, _shown(bucket, key))
    except GoogleAuthError as error:
        raise _credentials_error(error) from None
    except Timeout:
        deadline.left()
        raise SourceTimeout(f"{_shown(bucket, key)}: no answer for {silence:g} s.") from None
    except (RequestException, HTTPError, OSError) as error:
        raise SourceUnavailable(f"{_shown(bucket, key)}: no connection ({type(error).__name__}).") from None


def _emulator() -> str | None:
    host = os.environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    return (host if "://" in host else f"http://{host}") if host else None


def _session(with_credentials: bool) -> Session:
    """For one fetch, without proxies, cookies or netrc."""
    if with_credentials:
        from google.auth.transport.requests import AuthorizedSession

        session: Session = AuthorizedSession(_credentials(os.getpid()))  # type: ignore[no-untyped-call]  # google's are partial
    else:
        import requests

        session = requests.Session()
    session.trust_env = False
    return session


@lru_cache(maxsize=1)
def _credentials(_process: int) -> Any:
    """Of this process; they fetch their tokens when they are used. Raises DefaultCredentialsError."""
    import google.auth

    return google.auth.default(scopes=_SCOPES)[0]


def forget_gs_credentials() -> None:
    """What is asked next reads them again: they may have been replaced."""
    _credentials.cache_clear()


def check_gs_credentials(settings: WorkerSettings) -> None:
    """Raises SourceCredentials where Google's token server does not take the credentials that this worker was given.

    A worker that was given none has nothing that could be broken: the jobs' references are.
    """
    if _emulator() or not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
    except ImportError:
        return
    try:
        forget_gs_credentials()
        _credentials(os.getpid()).refresh(Request())
    except GoogleAuthError as error:
        found = _credentials_error(error)
        if isinstance(found, SourceCredentials):
            raise found from None


def _check_answer(response: Response, bucket: str, key: str) -> None:
    status, shown = response.status_code, _shown(bucket, key)
    if status in (401, 403):
        forget_gs_credentials()
    if status == 404:
        # https://cloud.google.com/storage/docs/json_api/v1/status-codes#404-not-found
        if "bucket does not exist" in _start(response):
            raise SourceBucketNotFound(f"The bucket {bucket!r} does not exist.", remedy="Check the bucket's name.")
        raise SourceNotFound(f"There is no object {shown}.")
    if status == 401:
        raise SourceCredentials(f"{shown}: the workers' Google credentials are not accepted (HTTP status 401).")
    if status == 403:
        raise SourceAccessDenied(
            f"{shown}: access denied (HTTP status {status}).",
            remedy="Grant the workers' service account the role roles/storage.objectViewer on the bucket.",
        )
    if status in (408, 429) or status >= 500:
        raise SourceUnavailable(f"{shown}: HTTP status {status}.", **retry_after(response.headers.get("retry-after")))
    if status != 200:
        raise SourceHttpError(f"{shown}: HTTP status {status}.")


def _start(response: Response) -> str:
    return str(response.raw.read(2048, decode_content=False), "utf-8", "replace")


def _body(response: Response, settings: WorkerSettings, deadline: Deadline, shown: str) -> bytes:
    length = response.headers.get("content-length", "")
    _check_size(int(length) if length.isdecimal() else 0, settings)
    packed = is_packed(response.headers.get("content-encoding", ""), shown)
    return body(_chunks(response, deadline), packed, lambda size: _check_size(size, settings), shown)


def _chunks(response: Response, deadline: Deadline) -> Iterator[bytes]:
    while chunk := response.raw.read(_CHUNK, decode_content=False):
        deadline.left()
        yield chunk


def _check_size(size: int, settings: WorkerSettings) -> None:
    if size > settings.source_max_bytes:
        raise SourceTooLarge(f"The object is larger than {settings.source_max_bytes} bytes.")


def _credentials_error(error: Any) -> OcrQueueError:
    if getattr(error, "retryable", False) or type(error).__name__ == "TransportError":
        return SourceUnavailable("Google's token server does not answer.")
    forget_gs_credentials()
    return SourceCredentials(
        f"There are no Google credentials on this worker, or they are not accepted ({type(error).__name__}).",
        remedy="Set GOOGLE_APPLICATION_CREDENTIALS on the workers, or use workload identity. Waiting jobs then go on.",
    )


def _shown(bucket: str, key: str) -> str:
    return f"gs://{bucket}/{key[:200]}"
