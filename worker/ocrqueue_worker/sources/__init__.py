"""Fetching an image reference safely: the reference, and whatever answers to it, are untrusted."""

from __future__ import annotations

from ocrqueue.errors import SourceInvalid, SourceSchemeNotAllowed
from ocrqueue.job.references import split_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import Storage
from ocrqueue_worker.sources.deadline import Deadline
from ocrqueue_worker.sources.stored_by_jobs import check_bucket_reference

__all__ = ["fetch"]


def fetch(uri: str, settings: WorkerSettings, storage: Storage) -> bytes:
    """The bytes behind an s3://, gs://, http(s):// or file:// reference, source_max_bytes at most, perhaps none.

    Of `storage` what producers have uploaded may be read whatever the lists of schemes, buckets and folders say. What
    jobs have stored may not, however the reference is written: it can be another tenant's.

    Raises SourceInvalid, SourceSchemeNotAllowed, SourceHostNotAllowed, SourceAddressNotAllowed,
    SourceBucketNotAllowed, SourcePathNotAllowed, SourceNotFound, SourceBucketNotFound, SourceAccessDenied,
    SourceHttpError, SourceTooManyRedirects, SourceTooLarge, and, worth a retry, SourceTimeout, SourceUnavailable and
    SourceCredentials.
    """
    scheme = _scheme(uri)
    if scheme not in settings.source_schemes and not storage.owns(uri):
        raise SourceSchemeNotAllowed(f"References of scheme {scheme[:20]!r} are not allowed here.")
    deadline = Deadline.after(settings.source_timeout_s)
    match scheme:
        case "s3":
            from ocrqueue_worker.sources.s3 import fetch_s3

            check_bucket_reference(uri, storage)
            return fetch_s3(uri, settings, storage, deadline)
        case "gs":
            from ocrqueue_worker.sources.gs import fetch_gs

            check_bucket_reference(uri, storage)
            return fetch_gs(uri, settings, deadline)
        case "http" | "https":
            from ocrqueue_worker.sources.http import fetch_http

            return fetch_http(uri, settings, deadline)
        case "file":
            from ocrqueue_worker.sources.files import fetch_file

            return fetch_file(uri, settings, storage, deadline)
    raise SourceInvalid(f"ocrqueue cannot read references of scheme {scheme[:20]!r}.")


def _scheme(uri: str) -> str:
    # Of these all but the bucket is a key, in which everything stands for itself.
    keyed = uri.startswith(("s3://", "gs://")) and "\0" not in uri
    # split_uri() drops some control characters silently: two parsers would then see two references.
    if not keyed and any(character <= " " or character == "\x7f" for character in uri):
        raise SourceInvalid("The reference holds a space or a control character.", remedy="Percent-encode it.")
    try:
        uri.encode()
    except UnicodeEncodeError:  # a lone surrogate
        raise SourceInvalid("The reference is not a URI.") from None
    scheme = uri[:2] if keyed else split_uri(uri).scheme
    if not scheme or not uri[len(scheme) :].startswith("://"):
        raise SourceInvalid("The reference does not begin with a scheme and `://`.")
    return scheme
