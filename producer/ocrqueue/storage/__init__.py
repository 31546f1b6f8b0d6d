"""Where uploads and results are kept: S3-compatible buckets and folders behind one small interface, `Storage`.

`open_storage` picks by the setting `storage`: s3:// or file://.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ocrqueue.errors import SettingsInvalid, SourceInvalid
from ocrqueue.storage.base import PROBE, RESULT, Storage, StoredObject, is_input, is_of_a_job
from ocrqueue.storage.files import FileStorage, file_uri_path

if TYPE_CHECKING:
    import boto3.session

    from ocrqueue.settings import ClientSettings

__all__ = [
    "PROBE",
    "RESULT",
    "FileStorage",
    "Storage",
    "StoredObject",
    "check_session",
    "file_uri_path",
    "is_input",
    "is_of_a_job",
    "open_storage",
]


def check_session(session: object) -> None:
    """Raises TypeError for what is no session of boto3, such as one of its clients. boto3 is not imported for it."""
    if session is not None and not (hasattr(session, "client") and hasattr(session, "region_name")):
        raise TypeError(f"s3_session must be a boto3.session.Session, not {type(session).__name__}")


def open_storage(settings: ClientSettings, s3_session: boto3.session.Session | None = None) -> Storage:
    """The storage that OCRQUEUE_STORAGE names; nothing is connected yet (see check()). Raises SettingsInvalid.

    `s3_session`: where it is a bucket, an app's own session instead of the settings' credentials.
    """
    if urlsplit(settings.storage).scheme == "file":
        try:
            return FileStorage(file_uri_path(settings.storage))
        except SourceInvalid as error:
            raise SettingsInvalid(f"OCRQUEUE_STORAGE: {error.message}") from None
    from ocrqueue.storage.s3 import S3Storage  # boto3 takes 0.2 s to import, which file:// need not pay

    return S3Storage(settings, s3_session)
