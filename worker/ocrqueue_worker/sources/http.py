"""http:// and https:// references."""

from __future__ import annotations

import re
import ssl
from functools import lru_cache
from importlib.metadata import version
from typing import Final

import httpcore
import httpx

from ocrqueue.errors import (
    OcrQueueError,
    SourceAccessDenied,
    SourceHostNotAllowed,
    SourceHttpError,
    SourceInvalid,
    SourceNotFound,
    SourceSchemeNotAllowed,
    SourceTimeout,
    SourceTooLarge,
    SourceTooManyRedirects,
    SourceUnavailable,
)
from ocrqueue.job.references import redact_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.sources.addresses import address_policy
from ocrqueue_worker.sources.content_coding import body, is_packed
from ocrqueue_worker.sources.deadline import Deadline
from ocrqueue_worker.sources.pinned_connections import CheckedBackend
from ocrqueue_worker.sources.retry_after import retry_after

_TARGET: Final = re.compile(r"https?://[^/?#\\]+([/?][!\"$-~]*)?(#.*)?", re.IGNORECASE)
"""A whole URL of visible ASCII, its path and query in a group; "" stands for "/"."""
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_ERRORS: Final[dict[int, type[OcrQueueError]]] = {
    401: SourceAccessDenied,
    403: SourceAccessDenied,
    404: SourceNotFound,
    408: SourceUnavailable,
    410: SourceNotFound,
    429: SourceUnavailable,
}


def fetch_http(uri: str, settings: WorkerSettings, deadline: Deadline) -> bytes:
    """The body behind the reference, after its redirects. Raises as fetch() does.

    Each fetch has connections of its own, without cookies, proxies or credentials: what one reference's host does
    cannot reach into the next fetch.
    """
    at = uri
    backend = CheckedBackend(address_policy(settings), deadline)
    with httpcore.ConnectionPool(ssl_context=_tls_context(), network_backend=backend) as pool:
        for _ in range(settings.source_max_redirects + 1):
            url = parse_url(at)
            check_host(url, settings)
            answer = _get(pool, url, request_target(at, url), settings, deadline)
            if isinstance(answer, bytes):
                return answer
            at = answer
    raise SourceTooManyRedirects(f"{redact_uri(uri)} redirects more often than {settings.source_max_redirects} times.")


def parse_url(uri: str) -> httpx.URL:
    """The parsed URL: what is checked and what is connected to come from this one parser. Raises SourceInvalid."""
    try:
        url = httpx.URL(uri)
        host = url.host  # decodes an internationalised name, or raises
    except (httpx.InvalidURL, ValueError):
        raise SourceInvalid(f"{redact_uri(uri)} is not a valid URL.") from None
    if not host or "%" in host or not (url.port is None or 0 < url.port < 65536):
        raise SourceInvalid(f"{redact_uri(uri)} has no valid host and port.")
    if url.userinfo:
        raise SourceInvalid(
            f"{redact_uri(uri)} holds a user name or password, which the job's record would show.",
            remedy="Use a presigned URL, or upload the image.",
        )
    return url


def request_target(uri: str, url: httpx.URL) -> bytes:
    """Path and query as they stand in `uri`: a signature holds for these bytes and for no other spelling of them.

    Those of `url`, which are encoded again, where the reference has other characters than URLs have.
    """
    target = _TARGET.fullmatch(uri)
    if target is None or not uri.isascii():
        return url.raw_path
    path = target[1] or ""
    return path.encode() if path.startswith("/") else f"/{path}".encode()


def check_host(url: httpx.URL, settings: WorkerSettings) -> None:
    """Raises SourceHostNotAllowed unless the host is on the list, or there is none."""
    names = {url.host.rstrip("."), url.raw_host.decode("ascii").rstrip(".")}
    if settings.source_hosts and not any(_matches(name, entry) for entry in settings.source_hosts for name in names):
        raise SourceHostNotAllowed(f"The host {url.host[:200]} is not on the list of allowed hosts.")


def _matches(host: str, entry: str) -> bool:
    wanted = entry.lower().rstrip(".")
    return host.endswith(wanted[1:]) and host != wanted[1:] if wanted.startswith("*.") else host == wanted


def _get(
    pool: httpcore.ConnectionPool, url: httpx.URL, target: bytes, settings: WorkerSettings, deadline: Deadline
) -> bytes | str:
    """The body, or where the host redirects to."""
    silence = settings.source_connect_timeout_s
    try:
        with pool.stream(
            "GET",
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
            headers={
                "Host": url.netloc,
                "User-Agent": f"ocrqueue/{version('ocrqueue')}",
                "Accept": "*/*",
                # Some hosts send gzip all the same: what is stored so.
                "Accept-Encoding": "identity",
            },
            extensions={"timeout": {"connect": silence, "read": silence, "write": silence}},
        ) as response:
            headers = httpx.Headers(response.headers)
            if response.status in _REDIRECTS:
                return _redirect(url, headers, settings)
            _check_answer(url, response.status, headers, settings)
            packed = is_packed(headers.get("content-encoding", ""), _shown(url))
            return body(response.iter_stream(), packed, lambda size: _check_size(size, settings), _shown(url))
    except httpcore.TimeoutException:
        deadline.left()
        raise SourceTimeout(f"{_shown(url)} did not answer for {silence:g} s.") from None
    except httpcore.ConnectError as error:
        raise _connect_error(url, error) from None
    except httpcore.LocalProtocolError:
        raise SourceInvalid(f"{_shown(url)} cannot be asked for over HTTP.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise SourceUnavailable(f"{_shown(url)} cut off its answer ({type(error).__name__}).") from None


def _redirect(url: httpx.URL, headers: httpx.Headers, settings: WorkerSettings) -> str:
    try:
        location = headers["location"]
        target = url.join(location)
    except (KeyError, httpx.InvalidURL, ValueError):
        raise SourceHttpError(f"{_shown(url)} redirects to no valid address.") from None
    if target.scheme not in {"http", "https"} or target.scheme not in settings.source_schemes:
        raise SourceSchemeNotAllowed(f"{_shown(url)} redirects to a {target.scheme[:20]!r} reference.")
    # what is whole is followed byte for byte
    return location if _TARGET.fullmatch(location) and location.isascii() else str(target)


def _check_answer(url: httpx.URL, status: int, headers: httpx.Headers, settings: WorkerSettings) -> None:
    if not 200 <= status < 300 or status == 206:
        cls = _ERRORS.get(status, SourceUnavailable if status >= 500 else SourceHttpError)
        asked = retry_after(headers.get("retry-after")) if cls is SourceUnavailable else {}
        raise cls(f"{_shown(url)} answered with HTTP status {status}.", **asked)
    _check_size(int(headers.get("content-length", "0")), settings)  # h11 has checked that it is a number


def _check_size(size: int, settings: WorkerSettings) -> None:
    if size > settings.source_max_bytes:
        raise SourceTooLarge(f"The file is larger than {settings.source_max_bytes} bytes.")


def _connect_error(url: httpx.URL, error: httpcore.ConnectError) -> OcrQueueError:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return SourceHttpError(
            f"The certificate of {_shown(url)} is not valid: {cause.verify_message}.",
            remedy="Correct the host's certificate, or name a private authority's file in SSL_CERT_FILE on the "
            "workers.",
        )
    reason = "no TLS connection" if isinstance(cause, ssl.SSLError) else "no connection"
    return SourceUnavailable(f"There is {reason} to {_shown(url)}.")


def _shown(url: httpx.URL) -> str:
    return redact_uri(str(url))[:300]


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """Trusts certifi's authorities, or those in SSL_CERT_FILE or SSL_CERT_DIR. Takes some 10 ms to make."""
    return httpx.create_ssl_context()
